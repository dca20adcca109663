use std::fmt;
use std::process::ExitStatus;

use crate::signal;

/// How a far end ended. Prints as `exit status 3` or `killed by SIGKILL (signal 9)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ending {
    /// The process ended by itself with this status, 0 to 255.
    Exited(i32),
    /// A signal ended the process.
    Signaled {
        /// The signal's number on this machine.
        signal: i32,
        /// Whether the system wrote a core file.
        core_dumped: bool,
    },
    /// The link is closed, and there was no process to ask.
    Closed,
    /// The process has ended, but something else in this program took its status: a wait for any
    /// child, or an ignored `SIGCHLD`.
    Unknown,
}

impl Ending {
    /// Whether the process ended by itself with status 0.
    #[must_use]
    pub fn success(&self) -> bool {
        matches!(self, Self::Exited(0))
    }

    /// The exit status, unless a signal ended the process or nobody knows.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        match *self {
            Self::Exited(status) => Some(status),
            _ => None,
        }
    }

    /// The signal that ended the process, by its number there.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        match *self {
            Self::Signaled { signal, .. } => Some(signal),
            _ => None,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exited(status) => write!(f, "exit status {status}"),
            Self::Signaled { signal, core_dumped } => {
                let core = if core_dumped { ", core dumped" } else { "" };
                match signal::name(signal) {
                    Some(name) => write!(f, "killed by {name} (signal {signal}{core})"),
                    None => write!(f, "killed by signal {signal}{core}"),
                }
            }
            Self::Closed => f.write_str("link closed"),
            Self::Unknown => f.write_str("ended with unknown status"),
        }
    }
}

impl From<ExitStatus> for Ending {
    fn from(status: ExitStatus) -> Self {
        #[cfg(unix)]
        {
            use std::os::unix::process::ExitStatusExt;
            if let Some(signal) = status.signal() {
                return Self::Signaled { signal, core_dumped: status.core_dumped() };
            }
        }
        status.code().map_or(Self::Unknown, Self::Exited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signaled(signal: i32, core_dumped: bool) -> String {
        Ending::Signaled { signal, core_dumped }.to_string()
    }

    #[test]
    fn prints_a_status() {
        assert_eq!(Ending::Exited(0).to_string(), "exit status 0");
        assert_eq!(Ending::Exited(255).to_string(), "exit status 255");
        assert_eq!(Ending::Closed.to_string(), "link closed");
        assert_eq!(Ending::Unknown.to_string(), "ended with unknown status");
    }

    #[cfg(unix)]
    #[test]
    fn prints_a_signal_by_name() {
        assert_eq!(signaled(9, false), "killed by SIGKILL (signal 9)");
        assert_eq!(signaled(11, true), "killed by SIGSEGV (signal 11, core dumped)");
    }

    #[test]
    fn prints_a_signal_without_a_name() {
        assert_eq!(signaled(4000, false), "killed by signal 4000");
        assert_eq!(signaled(4000, true), "killed by signal 4000, core dumped");
    }
}
