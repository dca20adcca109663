//! How gateways ended, and those that did not.

use std::sync::Arc;
use std::{error, fmt};

use execnet_channel::ConnectionError;
use execnet_transport::Ending;

/// A gateway has ended: why, and what its process said last. Cheap to clone.
///
/// ```text
/// gateway gw0 (popen python3 [pid 4711]) is gone: killed by SIGKILL (signal 9)
/// ```
#[derive(Clone, Debug)]
pub struct GatewayLost(Arc<Lost>);

#[derive(Debug)]
struct Lost {
    id: String,
    address: String,
    ending: Option<Ending>,
    stderr: Vec<String>,
    cause: ConnectionError,
}

impl GatewayLost {
    pub(crate) fn new(
        id: String,
        address: String,
        ending: Option<Ending>,
        stderr: Vec<String>,
        cause: ConnectionError,
    ) -> Self {
        Self(Arc::new(Lost { id, address, ending, stderr, cause }))
    }

    /// The gateway's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// How its process ended: exit status or signal. `None` when there is no process, or it did not end in time.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.0.ending
    }

    /// The last lines of its standard error.
    #[must_use]
    pub fn stderr(&self) -> &[String] {
        &self.0.stderr
    }

    /// How the connection ended: tells the peer's fault from the link's.
    #[must_use]
    pub fn cause(&self) -> &ConnectionError {
        &self.0.cause
    }

    /// Whether it ended because somebody asked it to.
    #[must_use]
    pub fn is_exit(&self) -> bool {
        matches!(self.0.ending, None | Some(Ending::Exited(0) | Ending::Closed))
            && self.0.cause.is_clean()
    }
}

impl fmt::Display for GatewayLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lost { id, address, ending, stderr, cause } = &*self.0;
        write!(f, "gateway {id} ({address}) is gone: ")?;
        match ending {
            Some(Ending::Closed) | None => write!(f, "{cause}")?,
            // Then the ending is our own doing.
            Some(_) if matches!(cause, ConnectionError::NoAnswer(_)) => write!(f, "{cause}")?,
            // A protocol error is worth telling beside the exit that followed from it.
            Some(ending) if cause.is_peer_fault() => write!(f, "{cause}; {ending}")?,
            Some(ending) => write!(f, "{ending}")?,
        }
        if self.is_exit() { Ok(()) } else { write_lines(f, stderr) }
    }
}

impl error::Error for GatewayLost {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.0.cause)
    }
}

/// Gateways that did not end, even when killed.
#[derive(Debug, thiserror::Error)]
#[error("{} did not end, even when killed", .stuck.join(", "))]
#[non_exhaustive]
pub struct TerminateError {
    /// Their ids. They are not in the group any more.
    pub stuck: Vec<String>,
}

pub(super) fn write_lines(f: &mut fmt::Formatter<'_>, lines: &[String]) -> fmt::Result {
    if !lines.is_empty() {
        f.write_str("; its last output:")?;
    }
    lines.iter().try_for_each(|line| write!(f, "\n    {line}"))
}
