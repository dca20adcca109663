//! Messages that have arrived on a channel and wait to be taken.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use execnet_proto::Format;

use super::Message;

/// Payloads up to this length are copied into their channel's own buffer. A slice of the read
/// buffer would keep all of that alive: one unread 32-byte message in each of many 64 KiB buffers
/// would break every bound on memory. From here on a slice holds at most 8 times its length.
const PACK: usize = 8 << 10;

/// Messages in order; short ones packed into one buffer.
///
/// This is also what a reader takes at once, so that it need not come back for each message.
#[derive(Debug, Default)]
pub struct Inbox {
    packed: BytesMut,
    entries: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    format: Format,
    /// Credit to give back when the message has been taken.
    cost: u32,
    /// Part of the message whose credit went back while it arrived.
    advanced: usize,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// The next so many bytes of `packed`.
    Packed(u32),
    Whole(Bytes),
}

/// A message on its way out of an inbox.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) message: Message,
    pub(crate) cost: u32,
    pub(crate) advanced: usize,
}

impl Inbox {
    /// How many messages are waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether a payload of this length is copied, so that borrowing it is enough.
    #[inline]
    pub(crate) const fn packs(len: usize) -> bool {
        len < PACK
    }

    #[inline]
    pub(crate) fn push_packed(&mut self, format: Format, payload: &[u8], cost: u32) {
        self.packed.extend_from_slice(payload);
        let body = Body::Packed(payload.len() as u32);
        self.entries.push_back(Entry { format, cost, advanced: 0, body });
    }

    pub(crate) fn push_whole(
        &mut self,
        format: Format,
        payload: Bytes,
        cost: u32,
        advanced: usize,
    ) {
        let body = Body::Whole(payload);
        self.entries.push_back(Entry { format, cost, advanced, body });
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Taken> {
        let Entry { format, cost, advanced, body } = self.entries.pop_front()?;
        let payload = match body {
            // The last one takes the buffer along, so that an emptied inbox keeps none.
            Body::Packed(len) if self.entries.is_empty() => {
                debug_assert_eq!(len as usize, self.packed.len());
                std::mem::take(&mut self.packed).freeze()
            }
            Body::Packed(len) => self.packed.split_to(len as usize).freeze(),
            Body::Whole(payload) => payload,
        };
        Some(Taken { message: Message { format, payload }, cost, advanced })
    }

    /// Bytes of all messages together.
    #[cfg(feature = "sim")]
    pub(crate) fn payload_len(&self) -> usize {
        let len = |entry: &Entry| match &entry.body {
            Body::Packed(len) => *len as usize,
            Body::Whole(payload) => payload.len(),
        };
        self.entries.iter().map(len).sum()
    }

    /// What giving all of it up sets free: credit, and bytes whose credit went back early.
    pub(crate) fn totals(&self) -> (u32, usize) {
        self.entries
            .iter()
            .fold((0, 0), |(cost, advanced), entry| (cost + entry.cost, advanced + entry.advanced))
    }
}
