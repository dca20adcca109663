//! Messages that have arrived on a channel and wait to be taken.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use execnet_proto::Format;

use super::{Message, cost_of};

/// Payloads up to this length are copied into their channel's own buffer. A slice of the read
/// buffer would keep all of that alive: one unread 32-byte message in each of many 64 KiB buffers
/// would break every bound on memory. From here on a slice holds at most 8 times its length.
const PACK: usize = 8 << 10;

/// Messages in order; short ones packed into one buffer.
///
/// This is also what a reader takes at once, so that it need not come back for each message.
#[derive(Debug, Default)]
pub struct Inbox {
    /// The first one stands apart: a message that comes alone, as most do in a dialogue, needs no queue.
    first: Option<Entry>,
    /// Those behind it. Six bytes each: an idle channel keeps room for some.
    entries: VecDeque<Entry>,
    packed: BytesMut,
    whole: VecDeque<Whole>,
}

/// What the next message is.
#[derive(Debug)]
struct Entry {
    format: Format,
    body: Body,
}

#[derive(Debug, Clone, Copy)]
enum Body {
    /// The next so many bytes of `packed`: fewer than [`PACK`].
    Packed(u16),
    /// The next of `whole`.
    Whole,
}

/// A payload of its own.
#[derive(Debug)]
struct Whole {
    payload: Bytes,
    /// Credit to give back when the message has been taken.
    cost: u32,
    /// Part of the message whose credit went back while it arrived.
    advanced: usize,
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
        usize::from(self.first.is_some()) + self.entries.len()
    }

    /// Whether none is.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first.is_none() && self.entries.is_empty()
    }

    #[inline]
    fn push(&mut self, entry: Entry) {
        if self.is_empty() {
            self.first = Some(entry);
        } else {
            self.entries.push_back(entry);
        }
    }

    /// Whether a payload of this length is copied, so that borrowing it is enough.
    #[inline]
    pub(crate) const fn packs(len: usize) -> bool {
        len < PACK
    }

    /// Copies a payload that [`packs`](Self::packs).
    #[inline]
    pub(crate) fn push_packed(&mut self, format: Format, payload: &[u8]) {
        debug_assert!(Self::packs(payload.len()));
        if self.packed.capacity() == 0 {
            // Exactly: one that stays alone needs no more, and becomes `Bytes` as it is.
            self.packed = BytesMut::with_capacity(payload.len());
        }
        self.packed.extend_from_slice(payload);
        self.push(Entry { format, body: Body::Packed(payload.len() as u16) });
    }

    pub(crate) fn push_whole(
        &mut self,
        format: Format,
        payload: Bytes,
        cost: u32,
        advanced: usize,
    ) {
        self.whole.push_back(Whole { payload, cost, advanced });
        self.push(Entry { format, body: Body::Whole });
    }

    /// Inlined, so that the message is written where it is wanted.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<Taken> {
        let entry = self.first.take().or_else(|| self.entries.pop_front());
        let Entry { format, body } = entry?;
        let Body::Packed(len) = body else {
            let Whole { payload, cost, advanced } = self.whole.pop_front()?;
            return Some(Taken { message: Message { format, payload }, cost, advanced });
        };
        let len = usize::from(len);
        // The last one takes the buffer along, so that an emptied inbox keeps none.
        let payload = if len == self.packed.len() {
            std::mem::take(&mut self.packed).freeze()
        } else {
            self.packed.split_to(len).freeze()
        };
        Some(Taken { message: Message { format, payload }, cost: cost_of(len), advanced: 0 })
    }

    /// The message, if it is a single one.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn pop_alone(&mut self) -> Option<Taken> {
        if self.entries.is_empty() { self.pop() } else { None }
    }

    /// Bytes of all messages together.
    #[cfg(feature = "sim")]
    pub(crate) fn payload_len(&self) -> usize {
        self.packed.len() + self.whole.iter().map(|whole| whole.payload.len()).sum::<usize>()
    }

    /// What giving all of it up sets free: credit, and bytes whose credit went back early.
    pub(crate) fn totals(&self) -> (u32, usize) {
        let packed = (self.len() - self.whole.len()) as u32 * cost_of(0);
        self.whole.iter().fold((packed + self.packed.len() as u32, 0), |(cost, advanced), whole| {
            (cost + whole.cost, advanced + whole.advanced)
        })
    }
}
