//! Why an item was not sent or received, and how channels end.

use super::{GatewayLost, RemoteError};

/// Sending an item failed; nothing of it was sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The item itself, or the state of the channel: the caller's or the remote task's doing.
    #[error(transparent)]
    Channel(execnet_channel::SendError),
    /// The gateway has ended.
    #[error("cannot send: {0}")]
    Lost(#[from] GatewayLost),
    /// There was no room for the item in time. The channel is as it was.
    #[error("the item was not sent in time: the remote code does not read")]
    TimedOut,
}

/// Receiving an item failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The channel is at its end: no further item will come.
    #[error("end of channel: the remote code has ended, or closed the channel")]
    End,
    /// The remote code raised an exception.
    #[error("{0}")]
    Remote(#[from] RemoteError),
    /// The gateway has ended while the channel was open.
    #[error("{0}")]
    Lost(#[from] GatewayLost),
    /// The item is not of the type asked for. It has been taken off the channel.
    #[error(transparent)]
    Item(execnet_channel::ReceiveError),
    /// No item came in time. The channel is as it was.
    #[error("no item came in time")]
    TimedOut,
}

/// Waiting for the remote side's close found an error.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The remote code raised an exception.
    #[error("{0}")]
    Remote(#[from] RemoteError),
    /// The gateway ended before the channel was closed.
    #[error("{0}")]
    Lost(#[from] GatewayLost),
    /// The remote code was not done in time. It goes on.
    #[error("the remote code was not done in time")]
    TimedOut,
}
