//! What can be wrong with a connection.

use std::io;

use execnet_channel::{ConfigError, ConnectionError};
use execnet_proto::FrameError;

/// A connection was not served, or broke.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A field of the agent's configuration is out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The link begins with something else than a HELLO.
    #[error("the link does not begin with the protocol")]
    NoHello(#[source] FrameError),
    /// Another frame stands in front of the HELLO.
    #[error("the first frame is of the kind {0:#04x}, no HELLO")]
    NotHello(u8),
    /// The link ended within the HELLO.
    #[error("the link ended within the controller's first words")]
    CutOff,
    /// A setting of the controller's cannot be applied; it was told so.
    #[error("setting {name}: {reason}")]
    Setting {
        /// The setting.
        name: String,
        /// Why not.
        reason: String,
    },
    /// The link could not be used.
    #[error("the link failed")]
    Link(#[from] io::Error),
    /// The connection broke off, or the controller broke the rules of the protocol.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// Standard input and output are a terminal.
    #[error(
        "standard input is a terminal: a far end is started by a gateway, such as `popen//agent`, and speaks a \
         binary protocol"
    )]
    Terminal,
}

impl ServeError {
    /// The error and its causes in one line.
    #[must_use]
    pub fn report(&self) -> String {
        let mut text = format!("execnet-agent: {self}");
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        text
    }
}
