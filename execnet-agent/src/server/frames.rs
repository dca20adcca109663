//! Frames by their headers alone: where each ends, and what kind it is. Payloads pass unseen.

use execnet_proto::{HEADER_LEN, MAGIC};

const CLOSE: u8 = 0x06;
const PING: u8 = 0x09;
const PONG: u8 = 0x0a;

/// Follows the stream of one side, in whatever pieces it comes.
#[derive(Debug)]
pub struct Frames {
    /// Bytes of the preamble that are still to come.
    preamble: usize,
    /// The part of a header that has come.
    header: [u8; HEADER_LEN],
    have: usize,
    /// Bytes of the payload that are still to come.
    payload: usize,
    /// Whether the last frame to begin was a CLOSE of the connection.
    closed: bool,
}

impl Default for Frames {
    fn default() -> Self {
        Self { preamble: MAGIC.len(), header: [0; HEADER_LEN], have: 0, payload: 0, closed: false }
    }
}

impl Frames {
    /// Takes note of the next bytes. Gives how many of them, from their start, end with a whole frame, and whether any
    /// frame but PING and PONG began in them or went on.
    pub fn follow(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut rest = bytes;
        let (mut whole, mut busy) = (0, false);
        while !rest.is_empty() {
            let wanted = if self.preamble > 0 {
                self.preamble
            } else if self.payload > 0 {
                self.payload
            } else {
                HEADER_LEN - self.have
            };
            let (taken, later) = rest.split_at(wanted.min(rest.len()));
            rest = later;
            if self.preamble > 0 {
                self.preamble -= taken.len();
            } else if self.payload > 0 {
                self.payload -= taken.len();
                busy |= !self.is_keepalive();
            } else {
                for (to, from) in self.header.iter_mut().skip(self.have).zip(taken) {
                    *to = *from;
                }
                self.have += taken.len();
                if self.have == HEADER_LEN {
                    self.have = 0;
                    let [kind, a, b, c, number @ ..] = self.header;
                    self.payload = u32::from_be_bytes([0, a, b, c]) as usize;
                    self.closed = kind == CLOSE && number == [0; 4];
                    busy |= !self.is_keepalive();
                }
            }
            if self.at_boundary() {
                whole = bytes.len() - rest.len();
            }
        }
        (whole, busy)
    }

    /// Bytes that the payload of the current frame is still to bring.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.payload
    }

    /// Whether the bytes so far end with a whole frame, or with the preamble: where another one may go in between.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.preamble == 0 && self.payload == 0 && self.have == 0
    }

    /// Whether the preamble has begun.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.preamble < MAGIC.len()
    }

    /// Whether the last frame was this side's farewell.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed && self.at_boundary()
    }

    fn is_keepalive(&self) -> bool {
        let [kind, ..] = self.header;
        kind == PING || kind == PONG
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use execnet_proto::{ChannelId, Format, Frame};

    use super::*;

    fn stream() -> (BytesMut, Vec<usize>) {
        let channel = ChannelId::new(1).unwrap();
        let data = |len| Frame::Data {
            channel,
            more: false,
            format: Format::Bytes,
            payload: vec![0x89; len].into(),
        };
        let frames = [Frame::Open(channel), data(0), data(300), Frame::Ping([1; 8]), data(70_000)];
        let mut bytes = BytesMut::from(&MAGIC[..]);
        let mut ends = vec![bytes.len()];
        for frame in frames {
            frame.encode(&mut bytes);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn the_ends_of_frames_are_found_in_any_cutting() {
        let (bytes, ends) = stream();
        for size in [1, 2, 7, 8, 9, 100, 1 << 20] {
            let mut frames = Frames::default();
            let mut at = 0;
            for piece in bytes.chunks(size) {
                let (whole, _) = frames.follow(piece);
                let last = ends
                    .iter()
                    .copied()
                    .filter(|end| (at + 1..=at + piece.len()).contains(end))
                    .max();
                assert_eq!(whole, last.map_or(0, |end| end - at), "pieces of {size} at {at}");
                at += piece.len();
                assert_eq!(frames.at_boundary(), ends.contains(&at));
            }
        }
    }

    #[test]
    fn only_pings_are_idle() {
        let mut bytes = BytesMut::new();
        let mut frames = Frames::default();
        assert!(!frames.follow(&MAGIC).1);
        Frame::Ping([0; 8]).encode(&mut bytes);
        Frame::Pong([0; 8]).encode(&mut bytes);
        assert!(!frames.follow(&bytes).1);
        bytes.clear();
        Frame::Close { channel: None, fault: None }.encode(&mut bytes);
        assert!(frames.follow(&bytes).1 && frames.is_closed());
    }
}
