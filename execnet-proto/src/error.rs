//! What can be wrong with a peer's frames.

use crate::{ChannelId, Kind, Versions, cbor};

/// A peer's bytes that are not this protocol. Each ends the connection.
///
/// The caller is never at fault here: whoever sent the bytes is, or the link damaged them
/// ([`FrameError::Damaged`], [`FrameError::NoPreamble`]).
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The preamble did not come within the noise that is allowed in front of it.
    #[error(
        "no execnet preamble within {skipped} bytes: the other side does not speak this protocol"
    )]
    NoPreamble {
        /// How many bytes came instead.
        skipped: usize,
    },
    /// The preamble arrived, but changed on its way.
    #[error("the link is not transparent: it {how}")]
    Damaged {
        /// What the link does to the bytes.
        how: &'static str,
    },
    /// A kind that may not be ignored, and that this version does not define.
    #[error("unknown frame kind {kind:#04x} on channel {channel}")]
    UnknownKind {
        /// The kind byte.
        kind: u8,
        /// The channel field beside it.
        channel: u32,
    },
    /// A DATA frame in a format that nobody announced.
    #[error("unknown message format {format} on channel {channel}")]
    UnknownFormat {
        /// The three format bits.
        format: u8,
        /// The channel field beside it.
        channel: u32,
    },
    /// A payload longer than announced as `max_frame`.
    #[error("{kind} frame of {found} bytes; at most {most} were announced")]
    TooLong {
        /// Kind of the frame.
        kind: Kind,
        /// The length in its header.
        found: u32,
        /// The most that is accepted.
        most: u32,
    },
    /// A frame of an unknown kind, to be ignored, but longer than announced as `max_frame`.
    #[error("a frame to be ignored of {found} bytes; at most {most} were announced")]
    UnknownTooLong {
        /// The length in its header.
        found: u32,
        /// The most that is accepted.
        most: u32,
    },
    /// A payload of a size that the kind cannot have.
    #[error("{kind} frame with a payload of {found} bytes; expected {expected}")]
    PayloadSize {
        /// Kind of the frame.
        kind: Kind,
        /// Length of its payload.
        found: usize,
        /// What the kind takes, in words.
        expected: &'static str,
    },
    /// A frame about a channel on number 0, or one about the connection on another number.
    #[error("{kind} frame on channel {found}; expected {expected}")]
    ChannelNumber {
        /// Kind of the frame.
        kind: Kind,
        /// The number in its header.
        found: u32,
        /// What the kind takes, in words.
        expected: &'static str,
    },
    /// A CREDIT frame that gives nothing.
    #[error("CREDIT frame with an increment of 0")]
    NoCredit,
    /// An OUTPUT frame that names neither stdout nor stderr.
    #[error("OUTPUT frame for stream {found}; expected 1 (stdout) or 2 (stderr)")]
    OutputStream {
        /// The stream byte.
        found: u8,
    },
    /// A limit in a HELLO out of its range.
    #[error("HELLO announces {name} = {found}; expected {least} to {most}")]
    LimitOutOfRange {
        /// Key in the HELLO.
        name: &'static str,
        /// What was announced.
        found: u64,
        /// The least that may be.
        least: u64,
        /// The most that may be.
        most: u64,
    },
    /// The two sides have no protocol version in common.
    #[error("no common protocol version: we speak {ours}, they speak {theirs}")]
    VersionMismatch {
        /// Our versions.
        ours: Versions,
        /// Theirs.
        theirs: Versions,
    },
    /// The CBOR inside a HELLO, a fault or a request.
    #[error("{what}: {source}")]
    Cbor {
        /// Which frame's payload it was.
        what: &'static str,
        /// What is wrong with it.
        source: cbor::DecodeError,
    },
}

impl FrameError {
    /// The type name that goes into the fault sent to the peer (PROTOCOL.md §3, §6).
    #[must_use]
    pub const fn fault_kind(&self) -> &'static str {
        match self {
            Self::VersionMismatch { .. } => "VersionMismatch",
            _ => "ProtocolError",
        }
    }

    pub(crate) const fn channel_number(
        kind: Kind,
        found: Option<ChannelId>,
        expected: &'static str,
    ) -> Self {
        let found = match found {
            Some(id) => id.get(),
            None => 0,
        };
        Self::ChannelNumber { kind, found, expected }
    }
}
