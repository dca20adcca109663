//! Frames: their kinds, one file for each that has a payload worth one, and the only dispatch.

mod control;
mod data;
mod fault;
mod header;
mod hello;

pub use control::{OutputStream, Terminate};
pub use data::{Format, Formats};
pub use fault::Fault;
pub use header::{HEADER_LEN, Header, Kind};
pub use hello::Hello;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{ChannelId, FrameError, MAX_FRAME};

/// A frame with its payload understood.
///
/// A multiplexer reads DATA straight from a [`RawFrame`](crate::RawFrame) and this for the rest.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "who handles frames wants to be told of a new one")]
pub enum Frame {
    /// The first frame of each side. Boxed: it is large, and comes once.
    Hello(Box<Hello>),
    /// Opens a channel.
    Open(ChannelId),
    /// Opens a channel whose first message the far end is to run.
    Exec(ChannelId),
    /// Credit for a channel, or for the connection.
    Credit {
        /// The channel, or `None` for the connection.
        channel: Option<ChannelId>,
        /// Bytes, not 0.
        amount: u32,
    },
    /// The sender sends no more messages here.
    Eof(ChannelId),
    /// The sender is done with the channel, or with the connection.
    Close {
        /// The channel, or `None` for the connection.
        channel: Option<ChannelId>,
        /// Why, if something went wrong.
        fault: Option<Fault>,
    },
    /// Stop what runs on this channel.
    Interrupt(ChannelId),
    /// End.
    Terminate(Terminate),
    /// To be answered with the same bytes.
    Ping([u8; 8]),
    /// The answer.
    Pong([u8; 8]),
    /// A message, or a fragment of one.
    Data {
        /// The channel it belongs to.
        channel: ChannelId,
        /// More fragments follow.
        more: bool,
        /// How the message is encoded.
        format: Format,
        /// The bytes.
        payload: Bytes,
    },
    /// A question (empty), or its answer (a CBOR map).
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
}

impl Frame {
    /// Understands a payload.
    ///
    /// # Errors
    /// Whatever is wrong with it; the connection cannot go on.
    pub fn parse(header: Header, payload: Bytes) -> Result<Self, FrameError> {
        let kind = header.kind;
        let id = ChannelId::new(header.channel);
        let channel =
            id.ok_or(FrameError::ChannelNumber { kind, found: 0, expected: "a channel's number" });
        let connection = match id {
            None => Ok(()),
            Some(_) => Err(FrameError::channel_number(kind, id, "0")),
        };
        Ok(match kind {
            Kind::Data { more, format } => Self::Data { channel: channel?, more, format, payload },
            Kind::Hello => {
                connection?;
                Self::Hello(Box::new(Hello::from_bytes(&payload)?))
            }
            Kind::Open => {
                control::empty(kind, &payload)?;
                Self::Open(channel?)
            }
            Kind::Exec => {
                control::empty(kind, &payload)?;
                Self::Exec(channel?)
            }
            Kind::Credit => Self::Credit { channel: id, amount: control::credit(&payload)? },
            Kind::Eof => {
                control::empty(kind, &payload)?;
                Self::Eof(channel?)
            }
            Kind::Close => Self::Close {
                channel: id,
                fault: if payload.is_empty() { None } else { Some(Fault::from_bytes(&payload)?) },
            },
            Kind::Interrupt => {
                control::empty(kind, &payload)?;
                Self::Interrupt(channel?)
            }
            Kind::Terminate => {
                connection?;
                Self::Terminate(control::terminate(&payload)?)
            }
            Kind::Ping => {
                connection?;
                Self::Ping(control::ping(kind, &payload)?)
            }
            Kind::Pong => {
                connection?;
                Self::Pong(control::ping(kind, &payload)?)
            }
            Kind::Status => {
                connection?;
                Self::Status(payload)
            }
            Kind::Output => {
                let (stream, bytes) = control::output(payload)?;
                Self::Output { channel: id, stream, bytes }
            }
        })
    }

    /// Appends the frame to `out`, and tells what its header is.
    ///
    /// A fault is cut to the least `max_frame` that every side accepts. Payloads beyond
    /// [`MAX_FRAME`] cannot be framed: cut messages into fragments first.
    ///
    /// # Panics
    /// In debug builds, when a payload is longer than [`MAX_FRAME`].
    pub fn encode(&self, out: &mut BytesMut) -> Header {
        match self {
            Self::Hello(hello) => put(out, Kind::Hello, None, &hello.to_bytes()),
            Self::Open(channel) => put(out, Kind::Open, Some(*channel), &[]),
            Self::Exec(channel) => put(out, Kind::Exec, Some(*channel), &[]),
            Self::Credit { channel, amount } => {
                put(out, Kind::Credit, *channel, &amount.to_be_bytes())
            }
            Self::Eof(channel) => put(out, Kind::Eof, Some(*channel), &[]),
            Self::Close { channel, fault } => {
                let max = crate::Limits::LEAST.max_frame as usize;
                let fault = fault.as_ref().map(|fault| fault.to_bytes(max)).unwrap_or_default();
                put(out, Kind::Close, *channel, &fault)
            }
            Self::Interrupt(channel) => put(out, Kind::Interrupt, Some(*channel), &[]),
            Self::Terminate(Terminate { grace_ms, kill_ms }) => {
                let times = (u64::from(*grace_ms) << 32) | u64::from(*kill_ms);
                put(out, Kind::Terminate, None, &times.to_be_bytes())
            }
            Self::Ping(token) => put(out, Kind::Ping, None, token),
            Self::Pong(token) => put(out, Kind::Pong, None, token),
            Self::Data { channel, more, format, payload } => {
                put(out, Kind::Data { more: *more, format: *format }, Some(*channel), payload)
            }
            Self::Status(answer) => put(out, Kind::Status, None, answer),
            Self::Output { channel, stream, bytes } => {
                let number = channel.map_or(0, ChannelId::get);
                let len = checked_len(bytes.len() + 1);
                let header = Header { kind: Kind::Output, len, channel: number };
                out.put_slice(&header.to_bytes());
                out.put_u8(stream.to_byte());
                out.put_slice(bytes);
                header
            }
        }
    }
}

fn put(out: &mut BytesMut, kind: Kind, channel: Option<ChannelId>, payload: &[u8]) -> Header {
    let header = Header {
        kind,
        len: checked_len(payload.len()),
        channel: channel.map_or(0, ChannelId::get),
    };
    out.reserve(HEADER_LEN + payload.len());
    out.put_slice(&header.to_bytes());
    out.put_slice(payload);
    header
}

fn checked_len(len: usize) -> u32 {
    debug_assert!(len <= MAX_FRAME as usize, "a payload of {len} bytes cannot be framed");
    len as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: Kind, channel: u32, payload: &'static [u8]) -> Result<Frame, FrameError> {
        let header = Header { kind, len: payload.len() as u32, channel };
        Frame::parse(header, Bytes::from_static(payload))
    }

    /// A kind, a payload that it takes, and whether it goes with number 0 and with a channel's.
    const KINDS: [(Kind, &[u8], bool, bool); 13] = [
        (Kind::Hello, b"\xa1\x68versions\x82\x01\x01", true, false),
        (Kind::Open, b"", false, true),
        (Kind::Exec, b"", false, true),
        (Kind::Credit, b"\0\0\0\x01", true, true),
        (Kind::Eof, b"", false, true),
        (Kind::Close, b"", true, true),
        (Kind::Interrupt, b"", false, true),
        (Kind::Terminate, &[0; 8], true, false),
        (Kind::Ping, &[0; 8], true, false),
        (Kind::Pong, &[0; 8], true, false),
        (Kind::Data { more: false, format: Format::Bytes }, b"x", false, true),
        (Kind::Status, b"", true, false),
        (Kind::Output, b"\x01", true, true),
    ];

    #[test]
    fn each_kind_stands_on_its_own_numbers_only() {
        for (kind, payload, zero, number) in KINDS {
            for (channel, good) in [(0, zero), (1, number), (u32::MAX, number)] {
                match parse(kind, channel, payload) {
                    Ok(_) => assert!(good, "{kind} on {channel}"),
                    Err(FrameError::ChannelNumber { found, .. }) => {
                        assert!(!good && found == channel, "{kind} on {channel}");
                    }
                    Err(other) => panic!("{kind} on {channel}: {other}"),
                }
            }
        }
    }

    #[test]
    fn what_is_wrong_inside_a_payload_is_named() {
        for (kind, what) in [(Kind::Hello, "HELLO"), (Kind::Close, "the fault in a CLOSE")] {
            let error = parse(kind, 0, b"\xff").unwrap_err();
            assert!(error.to_string().starts_with(what), "{error}");
            assert!(std::error::Error::source(&error).is_some());
        }
    }

    #[test]
    fn a_long_fault_fits_the_smallest_frame() {
        let fault = Fault::new("E", "long ".repeat(10_000));
        let mut out = BytesMut::new();
        Frame::Close { channel: None, fault: Some(fault) }.encode(&mut out);
        assert!(out.len() <= HEADER_LEN + crate::Limits::LEAST.max_frame as usize);
    }
}
