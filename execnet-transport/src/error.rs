use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};

/// Why a [`Transport`](crate::Transport) has no link to give.
///
/// [`stage`](Self::stage) tells how far it came, [`fault`](Self::fault) who has to act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// A program could not be started. Nothing of it is left behind.
    #[error("cannot start {program:?}: {fault}")]
    Spawn {
        /// The program as it was named; empty if none was.
        program: String,
        /// What the matter was.
        fault: SpawnFault,
        /// What the system said.
        source: io::Error,
    },
    /// A limit of time passed.
    #[error("timed out after {after:?} while {stage}")]
    TimedOut {
        /// What was under way.
        stage: Stage,
        /// The limit.
        after: Duration,
    },
    /// A host could not be reached over ssh.
    #[cfg(all(feature = "ssh", unix))]
    #[error("{error}")]
    Ssh {
        /// What went wrong, the same from either implementation.
        error: Box<crate::ssh::SshError>,
        /// What the layer below said, if it said anything.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// Anything else; made by [`ConnectError::other`].
    #[error("{message} (while {stage})")]
    Other {
        /// What was under way.
        stage: Stage,
        /// Who has to act.
        fault: Fault,
        /// What was found, what was expected, and the way out.
        message: String,
        /// The cause, if there is one.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl ConnectError {
    /// An error of a transport of your own. Leave the cause's text out of `message`: it is told
    /// through [`source`](Error::source).
    ///
    /// ```
    /// use execnet_transport::{ConnectError, Fault, Stage};
    ///
    /// let cause = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    /// let message = "nobody listens on port 4711 of web1; is the server running?";
    /// let error = ConnectError::other(Stage::Connect, Fault::FarEnd, message, Some(cause.into()));
    /// assert_eq!(error.to_string(), format!("{message} (while connecting)"));
    /// ```
    pub fn other(
        stage: Stage,
        fault: Fault,
        message: impl Into<String>,
        source: Option<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Other { stage, fault, message: message.into(), source }
    }

    /// What the system refuses on the way to this program.
    #[cfg(unix)]
    pub(crate) fn system(program: impl Into<String>, source: io::Error) -> Self {
        Self::Spawn { program: program.into(), fault: SpawnFault::System, source }
    }

    /// How far the attempt came.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Spawn { .. } => Stage::Spawn,
            #[cfg(all(feature = "ssh", unix))]
            Self::Ssh { error, .. } => error.stage(),
            Self::TimedOut { stage, .. } | Self::Other { stage, .. } => *stage,
        }
    }

    /// Who has to act.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Spawn { fault: SpawnFault::System, .. } => Fault::System,
            Self::Spawn { .. } => Fault::Caller,
            Self::TimedOut { .. } => Fault::Link,
            #[cfg(all(feature = "ssh", unix))]
            Self::Ssh { error, .. } => error.fault(),
            Self::Other { fault, .. } => *fault,
        }
    }

    /// Whether the caller asked for something that cannot be had, so that trying again is useless.
    pub fn is_caller_fault(&self) -> bool {
        self.fault() == Fault::Caller
    }
}

/// The steps on the way to a far end, in order. Prints as what is being done: `connecting`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Starting a program on this machine.
    Spawn,
    /// Looking up a name.
    Resolve,
    /// Reaching the other machine.
    Connect,
    /// Proving who is who.
    Authenticate,
    /// Agreeing on the terms of the connection.
    Handshake,
    /// Getting the far side to speak the protocol.
    Bootstrap,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spawn => "starting the program",
            Self::Resolve => "resolving the name",
            Self::Connect => "connecting",
            Self::Authenticate => "authenticating",
            Self::Handshake => "shaking hands",
            Self::Bootstrap => "starting the worker",
        })
    }
}

/// Who has to act for a failed attempt to succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The caller: what it asked for cannot be had.
    Caller,
    /// The far end: it was reached, and it refused or failed.
    FarEnd,
    /// What lies between: it was lost, or too slow.
    Link,
    /// This machine: it has no process, descriptor or memory left. A later attempt may succeed.
    System,
}

/// Why a program could not be started, with the way out in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpawnFault {
    /// There is no program: the list of arguments is empty.
    EmptyArgv,
    /// An argument, a name or value for the environment, or the directory contains a NUL byte.
    NulByte,
    /// The program, named without a slash, is in no directory of `PATH`.
    NotOnPath,
    /// The program, named with a slash, does not exist.
    NoSuchFile,
    /// The program exists, but not the interpreter or loader that it names.
    NoInterpreter,
    /// The program exists, but this user may not execute it.
    NotExecutable,
    /// The program is not in a format that this machine can run.
    BadFormat,
    /// The directory to start in is none, or this user may not enter it.
    Directory(PathBuf),
    /// Arguments and environment together are longer than the system allows.
    TooLong,
    /// The system refused, for example because a limit was reached. The source tells.
    System,
}

impl fmt::Display for SpawnFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyArgv => "the list of arguments is empty; its first item is the program",
            Self::NulByte => "an argument, variable or directory contains a NUL byte; remove it",
            Self::NotOnPath => "no such program on PATH; install it or give its full path",
            Self::NoSuchFile => "no such file; check the path",
            Self::NoInterpreter => {
                "the file exists, but the interpreter that it names does not; check its first line"
            }
            Self::NotExecutable => {
                "not executable; it needs execute permission, on its directories as well"
            }
            Self::BadFormat => {
                "not in a format that this machine runs; a script needs a first line as #!/bin/sh"
            }
            Self::Directory(path) => {
                return write!(f, "cannot enter the directory {path:?}; make it or choose another");
            }
            Self::TooLong => "arguments and environment are too long; send the data over the link",
            Self::System => "the system refused to start another process",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_can_be_told_apart() {
        let spawn = |fault| ConnectError::Spawn {
            program: "x".into(),
            fault,
            source: io::Error::from(io::ErrorKind::Other),
        };
        assert!(spawn(SpawnFault::NotOnPath).is_caller_fault());
        assert_eq!(spawn(SpawnFault::System).fault(), Fault::System);
        let after = Duration::from_secs(3);
        let late = ConnectError::TimedOut { stage: Stage::Handshake, after };
        assert_eq!((late.stage(), late.fault()), (Stage::Handshake, Fault::Link));
        assert_eq!(late.to_string(), "timed out after 3s while shaking hands");
    }

    #[test]
    fn a_cause_is_kept_and_not_repeated() {
        let cause = io::Error::new(io::ErrorKind::ConnectionReset, "gone");
        let error =
            ConnectError::other(Stage::Resolve, Fault::Link, "no answer", Some(cause.into()));
        assert_eq!(error.to_string(), "no answer (while resolving the name)");
        assert_eq!(error.source().unwrap().to_string(), "gone");
    }
}
