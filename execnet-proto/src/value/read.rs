//! A [`Value`] from any format that can be read item by item, without a detour through serde; and
//! items that are passed over.

use std::borrow::Cow;
use std::marker::PhantomData;

use bytes::Bytes;
use num_bigint::BigInt;
use serde::de::Visitor;

use super::cursor::{Cursor, Entered};
use super::{DecodeError, DecodeFault, Sequence, Value};
use crate::ChannelId;

type Result<T, E = DecodeError> = std::result::Result<T, E>;

/// A format, item by item. What may stand where is decided elsewhere.
pub(crate) trait Read {
    /// The byte that is None.
    const NONE: u8;
    /// The byte that ends a container of unknown length.
    const END: u8;

    /// How the next item begins. From then on the cursor's errors are about that item.
    fn head(cursor: &mut Cursor<'_>) -> Result<Head>;
    /// The int that these digits are, which stood behind a [`Head::Long`].
    fn long(negative: bool, digits: &[u8]) -> Result<Int, DecodeFault>;
    /// How long the next chunk is of a string of unknown length, a text or bytes; `None` at its end.
    fn chunk(cursor: &mut Cursor<'_>, text: bool) -> Result<Option<usize>>;
    /// Shows an item that has been checked to a [`Value`], which reads it itself.
    fn show<'de, V: Visitor<'de>>(item: &'de [u8], visitor: V) -> Result<V::Value>;
}

/// How an item begins: all of it, but for what is in strings, long ints and containers.
///
/// A length of `None` is unknown until the end is there.
#[derive(Clone, Copy)]
pub(crate) enum Head {
    None,
    Bool(bool),
    Positive(u64),
    /// The int −1 − this.
    Negative(u64),
    /// An int whose digits follow, in so many bytes.
    Long {
        negative: bool,
        len: Option<usize>,
    },
    Float(f64),
    Complex(f64, f64),
    Channel(ChannelId),
    Bytes(Option<usize>),
    Text(Option<usize>),
    Sequence(Sequence, Option<usize>),
    /// A dict of so many entries.
    Dict(Option<usize>),
}

/// A long int.
pub(crate) enum Int {
    Small(i128),
    Big(BigInt),
}

/// One message in the format `F`.
pub(crate) struct Reader<'de, F> {
    pub(super) cursor: Cursor<'de>,
    format: PhantomData<F>,
}

impl<'de, F: Read> Reader<'de, F> {
    /// `owner` has the same bytes, and may be shared.
    pub(crate) const fn new(input: &'de [u8], owner: Option<&'de Bytes>) -> Self {
        Self { cursor: Cursor::new(input, owner), format: PhantomData }
    }

    /// Reads all that there is.
    pub(crate) fn whole<T>(mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let value = read(&mut self).map_err(|error| error.at(self.cursor.item()))?;
        self.cursor.finish()?;
        Ok(value)
    }

    /// The next item as a value.
    pub(crate) fn value(&mut self) -> Result<Value> {
        // Containers call this again: what the others need stays off the stack.
        match self.head()? {
            Head::Sequence(kind, len) => self.sequence(kind, len),
            Head::Dict(len) => self.dict(len),
            head => self.scalar(head),
        }
    }

    /// The bytes of the next item, which is held to the same rules as one that is kept.
    pub(super) fn skipped(&mut self) -> Result<&'de [u8]> {
        let start = self.cursor.at();
        self.skip()?;
        Ok(self.cursor.since(start))
    }

    #[inline]
    pub(super) fn head(&mut self) -> Result<Head> {
        F::head(&mut self.cursor)
    }

    /// The payload of a bytes object.
    #[inline]
    pub(super) fn bytes(&mut self, len: Option<usize>) -> Result<Cow<'de, [u8]>> {
        match len {
            Some(len) => self.cursor.take(len).map(Cow::Borrowed),
            None => self.chunked_bytes().map(Cow::Owned),
        }
    }

    /// The payload of a text.
    #[inline]
    pub(super) fn text(&mut self, len: Option<usize>) -> Result<Cow<'de, str>> {
        match len {
            Some(len) => self.cursor.take_text(len).map(Cow::Borrowed),
            None => self.chunked_text().map(Cow::Owned),
        }
    }

    /// The int behind a [`Head::Long`].
    pub(super) fn long(&mut self, negative: bool, len: Option<usize>) -> Result<Int> {
        let digits = self.bytes(len)?;
        F::long(negative, &digits).map_err(|fault| self.cursor.fault(fault))
    }

    /// Whether another item comes, in a dict another key. Must be asked before each.
    #[inline]
    pub(super) fn next(&mut self, entered: &mut Entered) -> bool {
        self.cursor.next(entered, F::END)
    }

    /// Reads with `read` what must be hashable: the key of a dict.
    pub(super) fn key<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let before = self.cursor.begin_key();
        let result = read(self);
        self.cursor.end_key(before);
        result
    }

    fn chunked_bytes(&mut self) -> Result<Vec<u8>> {
        let mut whole = Vec::new();
        while let Some(len) = F::chunk(&mut self.cursor, false)? {
            whole.extend_from_slice(self.cursor.take(len)?);
        }
        Ok(whole)
    }

    fn chunked_text(&mut self) -> Result<String> {
        let mut whole = String::new();
        while let Some(len) = F::chunk(&mut self.cursor, true)? {
            whole.push_str(self.cursor.take_text(len)?);
        }
        Ok(whole)
    }

    fn scalar(&mut self, head: Head) -> Result<Value> {
        Ok(match head {
            Head::None => Value::None,
            Head::Bool(value) => Value::Bool(value),
            Head::Positive(value) => value.into(),
            Head::Negative(magnitude) => match i64::try_from(magnitude) {
                Ok(magnitude) => Value::Int(!magnitude),
                Err(_) => Value::negative(magnitude),
            },
            Head::Long { negative, len } => match self.long(negative, len)? {
                Int::Small(value) => value.into(),
                Int::Big(value) => value.into(),
            },
            Head::Float(value) => Value::Float(value),
            Head::Complex(real, imaginary) => Value::Complex(real, imaginary),
            Head::Channel(id) => Value::Channel(id),
            Head::Bytes(len) => {
                let bytes = self.bytes(len)?;
                Value::Bytes(self.cursor.share(bytes))
            }
            Head::Text(Some(len)) => Value::Str(self.cursor.take_text(len)?.to_owned()),
            Head::Text(None) => Value::Str(self.chunked_text()?),
            Head::Sequence(kind, len) => return self.sequence(kind, len),
            Head::Dict(len) => return self.dict(len),
        })
    }

    fn sequence(&mut self, kind: Sequence, len: Option<usize>) -> Result<Value> {
        let mut entered = self.cursor.enter(kind, len)?;
        let mut items = Vec::with_capacity(entered.reserve());
        while self.next(&mut entered) {
            items.push(self.value()?);
        }
        self.cursor.leave(&entered);
        items.shrink_to_fit();
        Ok(match kind {
            Sequence::List => Value::List(items),
            Sequence::Tuple => Value::Tuple(items),
            Sequence::Set => Value::Set(items),
            Sequence::FrozenSet => Value::FrozenSet(items),
        })
    }

    fn dict(&mut self, len: Option<usize>) -> Result<Value> {
        let mut entered = self.cursor.enter_dict(len)?;
        let mut entries = Vec::with_capacity(entered.reserve() / 2);
        while self.next(&mut entered) {
            let key = self.key(Self::value)?;
            self.cursor.next_value(&mut entered);
            entries.push((key, self.value()?));
        }
        self.cursor.leave(&entered);
        entries.shrink_to_fit();
        Ok(Value::Dict(entries))
    }

    fn skip(&mut self) -> Result<()> {
        match self.head()? {
            Head::None | Head::Bool(_) | Head::Positive(_) | Head::Negative(_) => Ok(()),
            Head::Float(_) | Head::Complex(..) | Head::Channel(_) => Ok(()),
            Head::Long { negative, len } => self.long(negative, len).map(drop),
            Head::Bytes(len) => self.bytes(len).map(drop),
            Head::Text(len) => self.text(len).map(drop),
            Head::Sequence(kind, len) => {
                let mut entered = self.cursor.enter(kind, len)?;
                while self.next(&mut entered) {
                    self.skip()?;
                }
                self.cursor.leave(&entered);
                Ok(())
            }
            Head::Dict(len) => {
                let mut entered = self.cursor.enter_dict(len)?;
                while self.next(&mut entered) {
                    self.key(Self::skip)?;
                    self.cursor.next_value(&mut entered);
                    self.skip()?;
                }
                self.cursor.leave(&entered);
                Ok(())
            }
        }
    }
}
