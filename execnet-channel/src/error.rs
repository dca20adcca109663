//! One error for each operation, and one cloneable cause of death.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use execnet_proto::{ChannelId, Fault, Format, FrameError, Kind, cbor};

/// Why a connection ended. Every channel of it reports the same.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// We ended it. The caller's doing.
    #[error("the connection was closed here")]
    ClosedHere,
    /// The peer said farewell, or the stream ended between two messages.
    #[error("the other side closed the connection")]
    ClosedByPeer,
    /// The peer ended it with an error: it refused us, or found our frames wrong.
    #[error("the other side ended the connection: {0}")]
    Refused(Fault),
    /// The stream ended inside a frame or a message, or before the preamble. The peer died, or the link.
    #[error("the connection broke off {place}")]
    BrokenOff {
        /// Where: "inside a frame", "inside a message", or "before the first frame".
        place: &'static str,
    },
    /// The peer's bytes are not the protocol. The peer's fault, or the link's.
    #[error("protocol error: {0}")]
    Frame(#[from] FrameError),
    /// The peer's frames break the rules. The peer's fault.
    #[error("protocol error: {0}")]
    Misbehaved(#[from] PeerMisbehaved),
    /// Nothing was heard of the peer for so long.
    #[error("no answer for {} s", .0.as_secs_f32().round())]
    NoAnswer(Duration),
    /// Reading or writing failed. The link's fault.
    #[error("the link failed: {0}")]
    Link(#[source] Arc<io::Error>),
}

impl ConnectionError {
    /// Whether nothing went wrong: one of the sides closed on purpose.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        matches!(self, Self::ClosedHere | Self::ClosedByPeer)
    }

    /// Whether the peer broke the protocol.
    #[must_use]
    pub const fn is_peer_fault(&self) -> bool {
        matches!(self, Self::Frame(_) | Self::Misbehaved(_))
    }

    /// Whether the link, or the machine behind it, failed.
    #[must_use]
    pub const fn is_link_fault(&self) -> bool {
        matches!(self, Self::BrokenOff { .. } | Self::NoAnswer(_) | Self::Link(_))
    }
}

/// How a peer's well-formed frames break the rules (PROTOCOL.md §2–§8).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerMisbehaved {
    /// The first frame was not HELLO.
    #[error("{0} frame before HELLO")]
    BeforeHello(Kind),
    /// A second HELLO.
    #[error("a second HELLO")]
    SecondHello,
    /// DATA beyond a channel's credit.
    #[error("channel {channel}: {cost} bytes sent on a credit of {credit}")]
    Overspent {
        /// The channel.
        channel: ChannelId,
        /// What the frame costs.
        cost: u32,
        /// What there was.
        credit: u32,
    },
    /// DATA beyond the connection's credit.
    #[error("connection: {cost} bytes sent on a credit of {credit}")]
    ConnectionOverspent {
        /// What the frame costs.
        cost: u32,
        /// What there was.
        credit: u32,
    },
    /// A CREDIT that takes a window beyond its maximum.
    #[error("credit beyond the largest window (channel {0:?}; None is the connection)")]
    TooMuchCredit(Option<ChannelId>),
    /// A channel opened with a number that is not the next one of the peer's.
    #[error("channel {found} opened; expected {expected:?}")]
    WrongNumber {
        /// The number in the frame.
        found: ChannelId,
        /// The next number of that side; `None` when it has used all.
        expected: Option<ChannelId>,
    },
    /// More channels open at once than we announced.
    #[error("more than {0} channels open at once")]
    TooManyChannels(u32),
    /// A frame for a channel that was never opened, or whose both ends are closed.
    #[error("{kind} frame for channel {channel}, which is not open")]
    NotOpen {
        /// The frame's kind.
        kind: Kind,
        /// Its channel.
        channel: ChannelId,
    },
    /// A frame on a channel after the sender's own CLOSE.
    #[error("{kind} frame on channel {channel} after its CLOSE")]
    AfterClose {
        /// The frame's kind.
        kind: Kind,
        /// Its channel.
        channel: ChannelId,
    },
    /// DATA or EOF after the sender's EOF.
    #[error("{kind} frame on channel {channel} after its EOF")]
    AfterEof {
        /// The frame's kind.
        kind: Kind,
        /// Its channel.
        channel: ChannelId,
    },
    /// An EOF between the fragments of a message.
    #[error("EOF on channel {0} inside a message")]
    EofInsideMessage(ChannelId),
    /// A message longer than we announced.
    #[error("channel {channel}: a message longer than {most} bytes")]
    MessageTooLong {
        /// The channel.
        channel: ChannelId,
        /// Our `max_message`.
        most: u64,
    },
    /// A fragment in another format than the one before it.
    #[error("channel {0}: a message changes its format between fragments")]
    FormatChanged(ChannelId),
    /// An empty fragment with more to follow.
    #[error("channel {0}: an empty fragment")]
    EmptyFragment(ChannelId),
    /// A message in a format that we did not announce.
    #[error("channel {channel}: a message in the format {}, which was not announced", .format.name())]
    FormatNotAnnounced {
        /// The channel.
        channel: ChannelId,
        /// Its format.
        format: Format,
    },
    /// A frame that only the other role may send.
    #[error("{0} frame from the side that may not send it")]
    WrongSide(Kind),
    /// More PINGs or questions than anybody needs.
    #[error("more than {most} unanswered {kind} frames")]
    Flood {
        /// PING or STATUS.
        kind: Kind,
        /// The most that is held.
        most: usize,
    },
    /// A PONG that is not the answer to the oldest PING.
    #[error("PONG {token:#x}, which answers nothing (awaited: {awaited:x?})")]
    WrongPong {
        /// What it answers.
        token: u64,
        /// The oldest PING's; `None` when there is no PING to answer.
        awaited: Option<u64>,
    },
    /// An answer that nobody asked for.
    #[error("{0} frame that answers nothing")]
    Unasked(Kind),
}

/// Opening a channel failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// As many are open as the peer allows.
    #[error("{0} channels are open already, as many as the other side allows; close some first")]
    TooMany(u32),
    /// All numbers of this side have been used.
    #[error("this connection has used all its channel numbers; make a new one")]
    NumbersUsedUp,
    /// The connection has ended.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

/// Sending on a channel failed. Nothing of the message was sent.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The value cannot be encoded. The caller's fault.
    #[error("cannot send: {0}")]
    Encode(#[from] cbor::EncodeError),
    /// Longer than the peer accepts.
    #[error("cannot send a message of {len} bytes: the other side accepts {most}")]
    TooLong {
        /// Length of the message.
        len: u64,
        /// The peer's `max_message`.
        most: u64,
    },
    /// The peer does not read this format.
    #[error("cannot send in the format {}: the other side does not read it", .0.name())]
    Format(Format),
    /// This side has finished sending, or closed the channel.
    #[error("cannot send: the channel was closed for sending here")]
    ClosedHere,
    /// The peer has closed the channel.
    #[error("cannot send: the other side closed the channel")]
    ClosedByPeer,
    /// The connection has ended.
    #[error("cannot send: {0}")]
    Connection(#[source] ConnectionError),
}

/// Why no further message comes, when that is not the clean end.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The peer closed the channel with an error.
    #[error("{0}")]
    Remote(Fault),
    /// The connection has ended while the channel was open.
    #[error("{0}")]
    Connection(#[source] ConnectionError),
    /// The message is not of the type asked for, or not valid. It has been taken off the channel.
    #[error("a message that is not what was expected: {0}")]
    Decode(#[from] cbor::DecodeError),
    /// The message is in another format than the one asked for. It has been taken off the channel.
    #[error("a message in the format {}; expected {expected}", .found.name())]
    Format {
        /// The format of the message.
        found: Format,
        /// What was asked for.
        expected: &'static str,
    },
}
