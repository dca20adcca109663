//! The eight bytes in front of every payload.

use std::fmt;

use super::Format;
use crate::FrameError;

/// Length of a frame's header, in bytes.
pub const HEADER_LEN: usize = 8;

/// What a frame is about: its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "who handles frames wants to be told of a new one")]
pub enum Kind {
    /// Versions, limits, windows, formats, facts. The first frame of each side.
    Hello,
    /// Opens a channel.
    Open,
    /// Opens a channel and asks the far end to run its first message.
    Exec,
    /// Gives credit.
    Credit,
    /// The sender sends no more messages on this channel.
    Eof,
    /// The sender is done with this channel, or with the connection.
    Close,
    /// Stop what runs on this channel.
    Interrupt,
    /// End: how long tasks may go on, and until the kill.
    Terminate,
    /// Answer with a PONG.
    Ping,
    /// Answers a PING.
    Pong,
    /// A message, or a fragment of one.
    Data {
        /// More fragments of this message follow.
        more: bool,
        /// How the message is encoded.
        format: Format,
    },
    /// Asks how the other side is, or answers.
    Status,
    /// What the far end's programs printed.
    Output,
}

impl Kind {
    const DATA: u8 = 0x10;
    const MORE: u8 = 0x08;
    /// Receivers that do not know a kind with this bit skip the frame.
    const MAY_BE_IGNORED: u8 = 0x80;

    /// The byte on the wire.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Hello => 0x01,
            Self::Open => 0x02,
            Self::Exec => 0x03,
            Self::Credit => 0x04,
            Self::Eof => 0x05,
            Self::Close => 0x06,
            Self::Interrupt => 0x07,
            Self::Terminate => 0x08,
            Self::Ping => 0x09,
            Self::Pong => 0x0a,
            Self::Data { more, format } => {
                Self::DATA | if more { Self::MORE } else { 0 } | format.to_bits()
            }
            Self::Status => 0x81,
            Self::Output => 0x82,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hello => "HELLO",
            Self::Open => "OPEN",
            Self::Exec => "EXEC",
            Self::Credit => "CREDIT",
            Self::Eof => "EOF",
            Self::Close => "CLOSE",
            Self::Interrupt => "INTERRUPT",
            Self::Terminate => "TERMINATE",
            Self::Ping => "PING",
            Self::Pong => "PONG",
            Self::Data { .. } => "DATA",
            Self::Status => "STATUS",
            Self::Output => "OUTPUT",
        })
    }
}

/// A frame's header: kind, payload length, channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "eight bytes, all taken")]
pub struct Header {
    /// What the frame is about.
    pub kind: Kind,
    /// Length of the payload in bytes, below 2²⁴.
    pub len: u32,
    /// The channel's number, or 0 for the connection's own frames.
    pub channel: u32,
}

impl Header {
    /// The header as it stands on the wire. `len` is cut to its 24 bits.
    #[must_use]
    #[inline]
    pub const fn to_bytes(self) -> [u8; HEADER_LEN] {
        let kind = (self.kind.to_byte() as u64) << 56;
        let len = (self.len as u64 & 0xff_ffff) << 32;
        (kind | len | self.channel as u64).to_be_bytes()
    }

    /// Reads a header; `Ok(Err(len))` is a frame of an unknown kind that is to be skipped, with a
    /// payload of `len` bytes.
    #[inline]
    pub(crate) fn from_bytes(bytes: [u8; HEADER_LEN]) -> Result<Result<Self, u32>, FrameError> {
        let [byte, l0, l1, l2, c0, c1, c2, c3] = bytes;
        let len = u32::from_be_bytes([0, l0, l1, l2]);
        let channel = u32::from_be_bytes([c0, c1, c2, c3]);
        let kind = match byte {
            0x10..=0x1f => {
                let bits = byte & 0x07;
                let Some(format) = Format::from_bits(bits) else {
                    return Err(FrameError::UnknownFormat { format: bits, channel });
                };
                Kind::Data { more: byte & Kind::MORE != 0, format }
            }
            0x01 => Kind::Hello,
            0x02 => Kind::Open,
            0x03 => Kind::Exec,
            0x04 => Kind::Credit,
            0x05 => Kind::Eof,
            0x06 => Kind::Close,
            0x07 => Kind::Interrupt,
            0x08 => Kind::Terminate,
            0x09 => Kind::Ping,
            0x0a => Kind::Pong,
            0x81 => Kind::Status,
            0x82 => Kind::Output,
            unknown if unknown & Kind::MAY_BE_IGNORED != 0 => return Ok(Err(len)),
            unknown => return Err(FrameError::UnknownKind { kind: unknown, channel }),
        };
        Ok(Ok(Self { kind, len, channel }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_a_kind_or_skipped_or_refused() {
        let mut known = 0;
        for byte in 0..=u8::MAX {
            match Header::from_bytes([byte, 0, 1, 2, 0, 0, 0, 9]) {
                Ok(Ok(header)) => {
                    known += 1;
                    assert_eq!(header.kind.to_byte(), byte);
                    assert_eq!(header.to_bytes(), [byte, 0, 1, 2, 0, 0, 0, 9]);
                    assert_eq!((header.len, header.channel), (258, 9));
                }
                Ok(Err(skip)) => assert!(byte & 0x80 != 0 && skip == 258),
                Err(FrameError::UnknownKind { kind, channel: 9 }) => assert_eq!(kind, byte),
                Err(FrameError::UnknownFormat { format, .. }) => assert_eq!(format, byte & 7),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(known, 10 + 6 + 2);
    }
}
