//! What the core tells its owner.

use bytes::Bytes;
use execnet_proto::{ChannelId, OutputStream, Terminate};

use std::time::Duration;

/// Something that the owner of a [`Connection`](super::Connection) may act on.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The peer's HELLO has arrived: see [`Connection::peer`](super::Connection::peer).
    Hello,
    /// The peer opened a channel. Take it with [`Connection::accept`](super::Connection::accept)
    /// or refuse it by closing it.
    Opened {
        /// Its number.
        channel: ChannelId,
        /// Opened by EXEC: its first message is a request to run.
        exec: bool,
    },
    /// There is something to receive, or the end. Told once after a `recv` that found nothing.
    Readable(ChannelId),
    /// Sending is worth another try. Told once after a `try_send` that was blocked.
    Writable(ChannelId),
    /// The peer has closed the channel, or the connection has ended. Told once after it was asked for.
    Closed(ChannelId),
    /// The peer wants what runs on this channel to stop.
    Interrupt(ChannelId),
    /// The peer wants us to end.
    Terminate(Terminate),
    /// A PONG of ours came back.
    Pong {
        /// The token given to `ping`.
        token: u64,
        /// Time between the two.
        round_trip: Duration,
    },
    /// The peer asks how we are: [`Connection::answer_status`](super::Connection::answer_status).
    StatusAsked,
    /// The answer to the oldest question that is open: a CBOR map.
    Status(Bytes),
    /// What the far end's programs printed.
    Output {
        /// The task that printed it, where that is known.
        channel: Option<ChannelId>,
        /// Where it was printed to.
        stream: OutputStream,
        /// The bytes.
        bytes: Bytes,
    },
    /// The connection has ended: see [`Connection::error`](super::Connection::error).
    Ended,
}
