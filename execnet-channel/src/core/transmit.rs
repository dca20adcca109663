//! What waits to be written, gathered so that one system call takes many frames.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{BufMut, Bytes, BytesMut};
use execnet_proto::{ChannelId, Format, Frame, HEADER_LEN, Header, Kind, MAGIC};

use super::trace;

/// Payloads from this length on are handed to the system where they lie; below, copying them
/// beside their header is cheaper than one more slice of a vectored write.
const GATHER: usize = 4 << 10;

/// Bytes to write, in order: urgent frames, then the others, with long payloads in between where
/// they belong.
///
/// Fill it with [`Connection::poll_transmit`](super::Connection::poll_transmit), write
/// [`slices`](Self::slices), [`advance`](Self::advance) by what was written, until
/// [`is_empty`](Self::is_empty). Its buffers are used again for the next filling.
#[derive(Debug, Default)]
pub struct Batch {
    urgent: BytesMut,
    small: BytesMut,
    /// Long payloads, each with the offset in `small` that it stands in front of.
    large: VecDeque<(usize, Bytes)>,
    /// Bytes not written yet: asked for several times with each message.
    len: usize,
    /// How much of `urgent` and of `small` has been written.
    urgent_done: usize,
    small_done: usize,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether everything has been written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes not written yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// All of it, when it lies in one piece.
    #[cfg(feature = "tokio")]
    pub(crate) fn single(&self) -> Option<&[u8]> {
        let urgent = self.urgent.get(self.urgent_done..)?;
        let small = self.small.get(self.small_done..)?;
        match (urgent, small) {
            _ if !self.large.is_empty() => None,
            (bytes, []) | ([], bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Fills `slices` with what is to be written next and gives how many there are.
    #[must_use]
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        let mut put = |bytes: &'a [u8]| -> bool {
            if bytes.is_empty() {
                return true;
            }
            match slices.get_mut(count) {
                Some(slice) => {
                    *slice = IoSlice::new(bytes);
                    count += 1;
                    true
                }
                None => false,
            }
        };
        let mut room = put(self.urgent.get(self.urgent_done..).unwrap_or_default());
        let mut at = self.small_done;
        for (before, payload) in &self.large {
            room = room && put(self.small.get(at..*before).unwrap_or_default()) && put(payload);
            at = *before;
            if !room {
                return count;
            }
        }
        if room {
            put(self.small.get(at..).unwrap_or_default());
        }
        count
    }

    /// Forgets the first `written` bytes.
    ///
    /// # Panics
    /// In debug builds, when that is more than there is.
    pub fn advance(&mut self, written: usize) {
        debug_assert!(written <= self.len, "advanced by {written} of {}", self.len);
        if written >= self.len {
            return self.clear();
        }
        self.len -= written;
        let mut left = written;
        let urgent = left.min(self.urgent.len() - self.urgent_done);
        self.urgent_done += urgent;
        left -= urgent;
        while let Some((before, payload)) = self.large.front_mut() {
            let small = left.min(*before - self.small_done);
            self.small_done += small;
            left -= small;
            if self.small_done < *before {
                return;
            }
            let large = left.min(payload.len());
            let _ = payload.split_to(large);
            left -= large;
            if !payload.is_empty() {
                return;
            }
            self.large.pop_front();
        }
        self.small_done = (self.small_done + left).min(self.small.len());
    }

    /// A copy of all that has not been written.
    #[cfg(feature = "sim")]
    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut slices = vec![IoSlice::new(&[]); 2 * self.large.len() + 2];
        let count = self.slices(&mut slices);
        let mut bytes = Vec::with_capacity(self.len());
        slices.iter().take(count).for_each(|slice| bytes.extend_from_slice(slice));
        bytes
    }

    pub(super) fn clear(&mut self) {
        self.urgent.clear();
        self.small.clear();
        if !self.large.is_empty() {
            self.large.clear();
        }
        (self.len, self.urgent_done, self.small_done) = (0, 0, 0);
    }

    /// What stands in front of the first frame.
    pub(super) fn push_preamble(&mut self) {
        self.urgent.put_slice(&MAGIC);
        self.len += MAGIC.len();
    }

    /// A frame that goes first.
    pub(super) fn push_urgent(&mut self, frame: &Frame) {
        let before = self.urgent.len();
        trace::sent(frame.encode(&mut self.urgent));
        self.len += self.urgent.len() - before;
    }

    /// A frame in its order.
    pub(super) fn push_ordered(&mut self, frame: &Frame) {
        let before = self.small.len();
        trace::sent(frame.encode(&mut self.small));
        self.len += self.small.len() - before;
    }

    /// A message, or a part of one.
    #[inline]
    pub(super) fn push_data(&mut self, id: ChannelId, more: bool, format: Format, payload: &Bytes) {
        let kind = Kind::Data { more, format };
        let header = Header { kind, len: payload.len() as u32, channel: id.get() };
        trace::sent(header);
        self.len += HEADER_LEN + payload.len();
        if payload.len() >= GATHER {
            self.push_large(header, payload.clone());
        } else {
            self.small.reserve(HEADER_LEN + payload.len());
            self.small.put_slice(&header.to_bytes());
            self.small.put_slice(payload);
        }
    }

    fn push_large(&mut self, header: Header, payload: Bytes) {
        self.small.put_slice(&header.to_bytes());
        self.large.push_back((self.small.len(), payload));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(len: usize) -> Header {
        let kind = Kind::Data { more: false, format: Format::Bytes };
        Header { kind, len: len as u32, channel: 1 }
    }

    /// Writes the batch in steps of the given lengths, over and over, at most two slices at once.
    fn drain(batch: &mut Batch, steps: &[usize]) -> Vec<u8> {
        let all = batch.len();
        let mut out = Vec::new();
        let mut steps = steps.iter().cycle();
        while !batch.is_empty() {
            let mut slices = [IoSlice::new(&[]); 2];
            let count = batch.slices(&mut slices);
            let joined: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
            assert!(!joined.is_empty(), "nothing to write, but not empty");
            let step = (*steps.next().unwrap()).min(joined.len());
            out.extend_from_slice(&joined[..step]);
            batch.advance(step);
            assert_eq!(batch.len(), all - out.len());
        }
        out
    }

    #[test]
    fn any_cutting_of_the_writes_gives_the_same_bytes() {
        let small = Bytes::from(vec![1; 10]);
        let large = Bytes::from(vec![2; GATHER]);
        let order = [&small, &large, &large, &small, &small, &large];
        let id = ChannelId::new(1).unwrap();
        let mut expected = MAGIC.to_vec();
        for payload in order {
            expected.extend_from_slice(&header(payload.len()).to_bytes());
            expected.extend_from_slice(payload);
        }
        for steps in [&[1usize][..], &[7, 3], &[GATHER, 1], &[usize::MAX], &[13, GATHER + 5, 2]] {
            let mut batch = Batch::new();
            for payload in order {
                batch.push_data(id, false, Format::Bytes, payload);
            }
            batch.push_preamble(); // goes first
            assert_eq!(batch.len(), expected.len());
            assert_eq!(drain(&mut batch, steps), expected, "{steps:?}");
            assert!(batch.small.is_empty() && batch.urgent.is_empty(), "buffers are ready again");
        }
    }
}
