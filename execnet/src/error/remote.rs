//! What remote code raised.

use std::{error, fmt};

use execnet_proto::Fault;

/// An exception in remote code. Prints as the interpreter would print it, traceback included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteError(Fault);

impl RemoteError {
    /// The exception's type, such as `ZeroDivisionError`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// Its message; may be empty.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The whole traceback, with the lines of the source that was sent.
    #[must_use]
    pub fn traceback(&self) -> Option<&str> {
        self.0.traceback.as_deref()
    }
}

impl From<Fault> for RemoteError {
    fn from(fault: Fault) -> Self {
        Self(fault)
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.traceback {
            Some(traceback) => f.write_str(traceback.trim_end()),
            None => self.0.fmt(f),
        }
    }
}

impl error::Error for RemoteError {}
