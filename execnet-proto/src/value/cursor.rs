//! Where in the bytes of a message a reader is: what may stand there and how long it may be, whatever
//! the format.

use std::borrow::Cow;

use bytes::Bytes;

use super::{DecodeError, DecodeFault, MAX_DEPTH, Sequence};

type Result<T, E = DecodeError> = std::result::Result<T, E>;

/// A position in the bytes of one message.
pub(crate) struct Cursor<'de> {
    input: &'de [u8],
    /// The same bytes, where their owner may be shared.
    owner: Option<&'de Bytes>,
    /// The next byte.
    at: usize,
    /// Where the last item began: what an error is about.
    item: usize,
    /// Containers that we are in.
    depth: usize,
    /// Items that these containers still expect. Each takes at least a byte, which nothing else may
    /// lay claim to; so what is reserved for all of them together never exceeds the input.
    owed: usize,
    /// Whether we are in a key or a member, where only what is hashable may stand.
    in_key: bool,
}

/// A container that has been entered.
#[must_use]
pub(super) struct Entered {
    /// Items still to come, keys and values counted alike; `None` until its end is there.
    pub(super) left: Option<usize>,
    /// To be set again when it is left.
    in_key: bool,
}

impl Entered {
    /// How many items to make room for: as many as announced, which the cursor has held against the
    /// bytes at hand. Without an announcement the room is made as they come, and given back at the end.
    pub(super) fn reserve(&self) -> usize {
        self.left.unwrap_or(0)
    }
}

impl<'de> Cursor<'de> {
    pub(crate) const fn new(input: &'de [u8], owner: Option<&'de Bytes>) -> Self {
        Self { input, owner, at: 0, item: 0, depth: 0, owed: 0, in_key: false }
    }

    /// An error about the item that began last. Out of line: what reads well is shorter without it.
    #[cold]
    pub(crate) const fn fault(&self, fault: DecodeFault) -> DecodeError {
        DecodeError::new(self.item, fault)
    }

    /// Where the item begins that began last.
    pub(crate) const fn item(&self) -> usize {
        self.item
    }

    /// Errors are about the item that begins there.
    pub(crate) const fn set_item(&mut self, item: usize) {
        self.item = item;
    }

    /// An item begins here.
    #[inline]
    pub(crate) const fn begin(&mut self) {
        self.item = self.at;
    }

    /// Where the next byte is.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// The bytes read from there on.
    pub(super) fn since(&self, start: usize) -> &'de [u8] {
        self.input.get(start..self.at).unwrap_or_default()
    }

    /// The bytes to come.
    #[inline]
    pub(crate) fn rest(&self) -> &'de [u8] {
        self.input.get(self.at..).unwrap_or_default()
    }

    /// Whether this byte comes next.
    #[inline]
    pub(super) fn is_next(&self, byte: u8) -> bool {
        self.input.get(self.at) == Some(&byte)
    }

    /// Passes over bytes that [`rest`](Self::rest) has shown.
    #[inline]
    pub(crate) const fn advance(&mut self, len: usize) {
        self.at += len;
    }

    /// So many bytes as they are.
    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Result<&'de [u8]> {
        self.check(len)?;
        let end = self.at + len;
        let taken = self.input.get(self.at..end).unwrap_or_default();
        self.at = end;
        Ok(taken)
    }

    /// So many bytes of text.
    #[inline]
    pub(super) fn take_text(&mut self, len: usize) -> Result<&'de str> {
        let bytes = self.take(len)?;
        str::from_utf8(bytes).map_err(|_| self.fault(DecodeFault::InvalidUtf8))
    }

    /// The bytes for themselves, sharing the message's memory where that pays.
    pub(super) fn share(&self, bytes: Cow<'de, [u8]>) -> Bytes {
        match (bytes, self.owner) {
            // What is kept of the message then is at most twice what was asked for.
            (Cow::Borrowed(bytes), Some(owner)) if bytes.len() >= owner.len() / 2 => {
                owner.slice_ref(bytes)
            }
            (bytes, _) => Bytes::from(bytes.into_owned()),
        }
    }

    /// Nothing may follow.
    pub(super) fn finish(&self) -> Result<()> {
        match self.input.len() - self.at {
            0 => Ok(()),
            count => Err(DecodeError::new(self.at, DecodeFault::LeftOver { count })),
        }
    }

    /// Enters the sequence whose head was just read.
    #[inline]
    pub(super) fn enter(&mut self, kind: Sequence, len: Option<usize>) -> Result<Entered> {
        if self.in_key && !kind.is_hashable() {
            return Err(self.fault(DecodeFault::NotHashable { what: kind.name() }));
        }
        let entered = self.enter_items(len)?;
        self.in_key |= kind.has_members();
        Ok(entered)
    }

    /// Enters the dict whose head was just read. Its items are keys and values in turn.
    #[inline]
    pub(super) fn enter_dict(&mut self, len: Option<usize>) -> Result<Entered> {
        if self.in_key {
            return Err(self.fault(DecodeFault::NotHashable { what: "dict" }));
        }
        // A product that overflows is certainly more than there is.
        self.enter_items(len.map(|len| len.saturating_mul(2)))
    }

    /// Whether another item comes, in a dict another key; where their number is not known, the byte
    /// `end` tells. Must be asked before each.
    #[inline]
    pub(super) fn next(&mut self, entered: &mut Entered, end: u8) -> bool {
        match &mut entered.left {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                self.owed -= 1;
                true
            }
            None if self.is_next(end) => {
                self.begin();
                self.advance(1);
                entered.left = Some(0);
                false
            }
            // What is no item, or missing, is an error when it is read.
            None => true,
        }
    }

    /// The value of the entry comes, whose key was just read.
    #[inline]
    pub(super) const fn next_value(&mut self, entered: &mut Entered) {
        // There is one, unless a visitor asks for values without keys.
        if let Some(left @ 1..) = &mut entered.left {
            *left -= 1;
            self.owed -= 1;
        }
    }

    /// Where a key begins: only what is hashable from here on. Gives what to set behind it.
    #[inline]
    pub(super) const fn begin_key(&mut self) -> bool {
        std::mem::replace(&mut self.in_key, true)
    }

    #[inline]
    pub(super) const fn end_key(&mut self, before: bool) {
        self.in_key = before;
    }

    /// Leaves a container.
    #[inline]
    pub(super) const fn leave(&mut self, entered: &Entered) {
        self.depth -= 1;
        self.in_key = entered.in_key;
    }

    #[inline]
    fn enter_items(&mut self, left: Option<usize>) -> Result<Entered> {
        if self.depth == MAX_DEPTH {
            return Err(self.fault(DecodeFault::TooDeep));
        }
        let owed = left.unwrap_or(0);
        self.check(owed)?;
        self.owed += owed;
        self.depth += 1;
        Ok(Entered { left, in_key: self.in_key })
    }

    /// The bytes left that no container lays claim to must be at least `claimed`.
    #[inline]
    fn check(&self, claimed: usize) -> Result<()> {
        let left = self.input.len().saturating_sub(self.at).saturating_sub(self.owed);
        if claimed <= left { Ok(()) } else { Err(self.exceeds(claimed, left)) }
    }

    #[cold]
    fn exceeds(&self, claimed: usize, left: usize) -> DecodeError {
        let claimed = u64::try_from(claimed).unwrap_or(u64::MAX);
        self.fault(DecodeFault::LengthExceedsInput { claimed, left })
    }
}
