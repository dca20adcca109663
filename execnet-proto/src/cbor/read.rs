//! CBOR items from a slice, head by head: every check on a peer's bytes that does not depend on
//! what they are read into.

use std::borrow::Cow;

use bytes::Bytes;
use ciborium_ll::{Decoder, Error, Header};

use super::tag;
use super::{MAX_DEPTH, Result};
use crate::ChannelId;
use crate::value::{DecodeError, DecodeFault, Sequence};

/// A position in the bytes of one message.
pub(super) struct Reader<'de> {
    input: &'de [u8],
    /// The same bytes, where their owner may be shared.
    owner: Option<&'de Bytes>,
    /// The next byte.
    at: usize,
    /// Where the last head began: what an error is about.
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
    /// Items still to come, keys and values counted alike; `None` until a break.
    pub(super) left: Option<usize>,
    /// To be set again when it is left.
    in_key: bool,
}

impl<'de> Reader<'de> {
    pub(super) const fn new(input: &'de [u8], owner: Option<&'de Bytes>) -> Self {
        Self { input, owner, at: 0, item: 0, depth: 0, owed: 0, in_key: false }
    }

    /// An error about the item whose head was read last.
    pub(super) const fn fault(&self, fault: DecodeFault) -> DecodeError {
        DecodeError::new(self.item, fault)
    }

    /// Where the item begins whose head was read last.
    pub(super) const fn item(&self) -> usize {
        self.item
    }

    /// Where the next item begins.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// The bytes read from there on.
    pub(super) fn since(&self, start: usize) -> &'de [u8] {
        self.input.get(start..self.at).unwrap_or_default()
    }

    /// Nothing may follow.
    pub(super) fn finish(&self) -> Result<()> {
        match self.input.len() - self.at {
            0 => Ok(()),
            count => Err(DecodeError::new(self.at, DecodeFault::LeftOver { count })),
        }
    }

    pub(super) fn head(&mut self) -> Result<Header> {
        let (header, len) = self.next_head()?;
        self.at += len;
        Ok(header)
    }

    pub(super) fn peek(&mut self) -> Result<Header> {
        Ok(self.next_head()?.0)
    }

    /// The payload of a byte string.
    pub(super) fn bytes(&mut self, len: Option<usize>) -> Result<Cow<'de, [u8]>> {
        if let Some(len) = len {
            return self.take(len).map(Cow::Borrowed);
        }
        let mut whole = Vec::new();
        loop {
            match self.head()? {
                Header::Bytes(Some(len)) => whole.extend_from_slice(self.take(len)?),
                Header::Break => return Ok(whole.into()),
                _ => return Err(self.fault(DecodeFault::BadHead)),
            }
        }
    }

    /// The payload of a byte string, sharing the message's memory where that pays.
    pub(super) fn shared_bytes(&mut self, len: Option<usize>) -> Result<Bytes> {
        match (self.bytes(len)?, self.owner) {
            // What is kept of the message then is at most twice what was asked for.
            (Cow::Borrowed(bytes), Some(owner)) if bytes.len() >= owner.len() / 2 => {
                Ok(owner.slice_ref(bytes))
            }
            (bytes, _) => Ok(Bytes::from(bytes.into_owned())),
        }
    }

    /// The payload of a text string.
    pub(super) fn text(&mut self, len: Option<usize>) -> Result<Cow<'de, str>> {
        if let Some(len) = len {
            return self.take_text(len).map(Cow::Borrowed);
        }
        let mut whole = String::new();
        loop {
            match self.head()? {
                Header::Text(Some(len)) => whole.push_str(self.take_text(len)?),
                Header::Break => return Ok(whole.into()),
                _ => return Err(self.fault(DecodeFault::BadHead)),
            }
        }
    }

    /// The magnitude of an int behind [`tag::BIG_POSITIVE`] or [`tag::BIG_NEGATIVE`].
    pub(super) fn magnitude(&mut self, tag: u64) -> Result<Cow<'de, [u8]>> {
        match self.head()? {
            Header::Bytes(len) => self.bytes(len),
            other => Err(self.bad_tagged(tag, other)),
        }
    }

    /// The two parts behind [`tag::COMPLEX`].
    pub(super) fn complex(&mut self) -> Result<[f64; 2]> {
        let indefinite = match self.head()? {
            Header::Array(Some(2)) => false,
            Header::Array(None) => true,
            other => return Err(self.bad_tagged(tag::COMPLEX, other)),
        };
        let parts = [self.part()?, self.part()?];
        if indefinite && self.head()? != Header::Break {
            return Err(self.fault(DecodeFault::BadTagged { tag: tag::COMPLEX, on: "more floats" }));
        }
        Ok(parts)
    }

    /// The number behind [`tag::CHANNEL`].
    pub(super) fn channel(&mut self) -> Result<ChannelId> {
        match self.head()? {
            Header::Positive(number) => u32::try_from(number)
                .ok()
                .and_then(ChannelId::new)
                .ok_or_else(|| self.fault(DecodeFault::BadChannel(number))),
            other => Err(self.bad_tagged(tag::CHANNEL, other)),
        }
    }

    /// The head of the array behind a sequence's tag.
    pub(super) fn tagged_array(&mut self, tag: u64) -> Result<Option<usize>> {
        match self.head()? {
            Header::Array(len) => Ok(len),
            other => Err(self.bad_tagged(tag, other)),
        }
    }

    /// Enters the array whose head was just read.
    pub(super) fn enter(&mut self, kind: Sequence, len: Option<usize>) -> Result<Entered> {
        if self.in_key && !kind.is_hashable() {
            return Err(self.fault(DecodeFault::NotHashable { what: kind.name() }));
        }
        let entered = self.enter_items(len)?;
        self.in_key |= kind.has_members();
        Ok(entered)
    }

    /// Enters the map whose head was just read. Its items are keys and values in turn.
    pub(super) fn enter_map(&mut self, len: Option<usize>) -> Result<Entered> {
        if self.in_key {
            return Err(self.fault(DecodeFault::NotHashable { what: "dict" }));
        }
        // A product that overflows is certainly more than there is.
        self.enter_items(len.map(|len| len.saturating_mul(2)))
    }

    /// Whether another item of the container comes. Must be asked before each.
    pub(super) fn next(&mut self, entered: &mut Entered) -> Result<bool> {
        match &mut entered.left {
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                self.owed -= 1;
                Ok(true)
            }
            None if self.peek()? == Header::Break => {
                self.head()?;
                entered.left = Some(0);
                Ok(false)
            }
            None => Ok(true),
        }
    }

    /// The value of the entry comes, whose key was just read.
    pub(super) fn next_value(&mut self, entered: &mut Entered) -> Result<()> {
        match self.next(entered)? {
            true => Ok(()),
            false => Err(self.fault(DecodeFault::BadHead)),
        }
    }

    /// Reads with `read` what must be hashable: the key of a map.
    pub(super) fn key<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let before = std::mem::replace(&mut self.in_key, true);
        let result = read(self);
        self.in_key = before;
        result
    }

    /// Leaves a container.
    pub(super) const fn leave(&mut self, entered: &Entered) {
        self.depth -= 1;
        self.in_key = entered.in_key;
    }

    /// An error about a head that begins no item of the format.
    pub(super) const fn not_an_item(&self, header: Header) -> DecodeError {
        self.fault(match header {
            Header::Simple(other) => DecodeFault::BadSimple(other),
            _ => DecodeFault::BadHead,
        })
    }

    fn bad_tagged(&self, tag: u64, on: Header) -> DecodeError {
        self.fault(DecodeFault::BadTagged { tag, on: describe(on) })
    }

    /// The next head and its length.
    #[inline]
    fn next_head(&mut self) -> Result<(Header, usize)> {
        self.item = self.at;
        let rest = self.input.get(self.at..).unwrap_or_default();
        if let Some(header) = rest.first().and_then(|first| short_head(*first)) {
            return Ok((header, 1));
        }
        self.long_head(rest)
    }

    fn long_head(&self, rest: &[u8]) -> Result<(Header, usize)> {
        let mut decoder = Decoder::from(rest);
        match decoder.pull() {
            // ciborium lets the simple values below 32 have a second byte, which RFC 8949 forbids.
            Ok(Header::Simple(0..32)) if decoder.offset() != 1 => {
                Err(self.fault(DecodeFault::BadHead))
            }
            Ok(header) => Ok((header, decoder.offset())),
            Err(Error::Io(_)) => Err(self.fault(DecodeFault::Truncated)),
            Err(Error::Syntax(_)) => Err(self.fault(DecodeFault::BadHead)),
        }
    }

    /// The bytes left that no container lays claim to, when they are at least `claimed`.
    fn check(&self, claimed: usize) -> Result<()> {
        let left = self.input.len().saturating_sub(self.at).saturating_sub(self.owed);
        if claimed <= left {
            return Ok(());
        }
        let claimed = u64::try_from(claimed).unwrap_or(u64::MAX);
        Err(self.fault(DecodeFault::LengthExceedsInput { claimed, left }))
    }

    fn take(&mut self, len: usize) -> Result<&'de [u8]> {
        self.check(len)?;
        let end = self.at + len;
        let taken = self.input.get(self.at..end).unwrap_or_default();
        self.at = end;
        Ok(taken)
    }

    fn take_text(&mut self, len: usize) -> Result<&'de str> {
        let bytes = self.take(len)?;
        str::from_utf8(bytes).map_err(|_| self.fault(DecodeFault::InvalidUtf8))
    }

    fn part(&mut self) -> Result<f64> {
        match self.head()? {
            Header::Float(part) => Ok(part),
            other => Err(self.fault(DecodeFault::BadTagged {
                tag: tag::COMPLEX,
                on: match other {
                    Header::Break => "fewer floats",
                    _ => "an array of something else",
                },
            })),
        }
    }

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
}

/// A head of one byte. Most are: read here, they save a small dict a fifth of its time.
fn short_head(first: u8) -> Option<Header> {
    let argument = first & 0x1f;
    let len = Some(usize::from(argument));
    match (first >> 5, argument) {
        (_, 24..) => None,
        (0, _) => Some(Header::Positive(argument.into())),
        (1, _) => Some(Header::Negative(argument.into())),
        (2, _) => Some(Header::Bytes(len)),
        (3, _) => Some(Header::Text(len)),
        (4, _) => Some(Header::Array(len)),
        (5, _) => Some(Header::Map(len)),
        (6, _) => Some(Header::Tag(argument.into())),
        (_, _) => Some(Header::Simple(argument)),
    }
}

/// What an item is, for a message.
fn describe(header: Header) -> &'static str {
    match header {
        Header::Positive(_) | Header::Negative(_) => "an int",
        Header::Float(_) => "a float",
        Header::Simple(_) => "a simple value",
        Header::Tag(_) => "another tag",
        Header::Break => "nothing",
        Header::Bytes(_) => "a byte string",
        Header::Text(_) => "a text string",
        Header::Array(_) => "an array of that length",
        Header::Map(_) => "a map",
    }
}
