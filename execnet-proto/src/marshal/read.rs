//! Marshal's items from a slice, head by head: every check on a peer's bytes that does not depend
//! on what they are read into.

use bytes::Bytes;
use num_bigint::{BigInt, BigUint, Sign};

use super::{Result, code};
use crate::value::{DecodeError, DecodeFault, MAX_DEPTH, Sequence};

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
    /// Items that sequences still expect. Each takes at least a byte, which nothing else may lay
    /// claim to; so what is reserved for all of them together never exceeds the input.
    owed: usize,
    /// Whether we are in a key or a member, where only what is hashable may stand.
    in_key: bool,
}

/// The type code of an item, with what stands directly behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Head {
    None,
    Bool(bool),
    Int(i32),
    /// An int of so many digits.
    Long {
        negative: bool,
        digits: usize,
    },
    Float(f64),
    Complex(f64, f64),
    Bytes(usize),
    Text(usize),
    Sequence(Sequence, usize),
    Dict,
    /// The end of a dict.
    End,
}

/// A container that has been entered.
#[must_use]
pub(super) struct Entered {
    /// Items still to come; `None` in a dict, until its end.
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

    /// Whether the next item is None.
    pub(super) fn is_none_next(&self) -> bool {
        self.input.get(self.at) == Some(&code::NONE)
    }

    #[inline]
    pub(super) fn head(&mut self) -> Result<Head> {
        self.item = self.at;
        let [found] = self.array()?;
        Ok(match found {
            code::NONE => Head::None,
            code::FALSE => Head::Bool(false),
            code::TRUE => Head::Bool(true),
            code::INT => Head::Int(i32::from_le_bytes(self.array()?)),
            code::LONG => {
                let count = i32::from_le_bytes(self.array()?);
                let digits = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
                Head::Long { negative: count < 0, digits }
            }
            code::FLOAT => Head::Float(self.float()?),
            code::COMPLEX => Head::Complex(self.float()?, self.float()?),
            code::BYTES => Head::Bytes(self.len()?),
            code::TEXT | code::INTERNED => Head::Text(self.len()?),
            code::ASCII | code::ASCII_INTERNED => {
                let len = self.len()?;
                self.ascii(len)?
            }
            code::SHORT_ASCII | code::SHORT_ASCII_INTERNED => {
                let len = self.short_len()?;
                self.ascii(len)?
            }
            code::LIST => Head::Sequence(Sequence::List, self.len()?),
            code::TUPLE => Head::Sequence(Sequence::Tuple, self.len()?),
            code::SMALL_TUPLE => Head::Sequence(Sequence::Tuple, self.short_len()?),
            code::SET => Head::Sequence(Sequence::Set, self.len()?),
            code::FROZENSET => Head::Sequence(Sequence::FrozenSet, self.len()?),
            code::DICT => Head::Dict,
            code::NULL => Head::End,
            code => return Err(self.bad_code(code)),
        })
    }

    /// The payload of a bytes object.
    pub(super) fn bytes(&mut self, len: usize) -> Result<&'de [u8]> {
        self.take(len)
    }

    /// The payload of a bytes object, sharing the message's memory where that pays.
    pub(super) fn shared_bytes(&mut self, len: usize) -> Result<Bytes> {
        let bytes = self.take(len)?;
        Ok(match self.owner {
            // What is kept of the message then is at most twice what was asked for.
            Some(owner) if bytes.len() >= owner.len() / 2 => owner.slice_ref(bytes),
            _ => Bytes::copy_from_slice(bytes),
        })
    }

    /// The payload of a str.
    pub(super) fn text(&mut self, len: usize) -> Result<&'de str> {
        let bytes = self.take(len)?;
        str::from_utf8(bytes).map_err(|_| self.fault(DecodeFault::InvalidUtf8))
    }

    /// The digits of an int, least first.
    pub(super) fn digits(&mut self, count: usize) -> Result<Digits<'de>> {
        let bytes = self.take(count.saturating_mul(2))?;
        let (digits, _) = bytes.as_chunks();
        let normal = digits.last().is_none_or(|last| *last != [0; 2]);
        if !normal || digits.iter().any(|[_, high]| *high > 0x7f) {
            return Err(self.fault(DecodeFault::BadDigits));
        }
        Ok(Digits(digits))
    }

    /// Enters the sequence whose head was just read.
    pub(super) fn enter(&mut self, kind: Sequence, len: usize) -> Result<Entered> {
        if self.in_key && !kind.is_hashable() {
            return Err(self.fault(DecodeFault::NotHashable { what: kind.name() }));
        }
        self.deeper()?;
        self.check(len)?;
        self.owed += len;
        let entered = Entered { left: Some(len), in_key: self.in_key };
        self.in_key |= kind.has_members();
        Ok(entered)
    }

    /// Enters the dict whose head was just read. Its items are keys and values in turn.
    pub(super) fn enter_dict(&mut self) -> Result<Entered> {
        if self.in_key {
            return Err(self.fault(DecodeFault::NotHashable { what: "dict" }));
        }
        self.deeper()?;
        Ok(Entered { left: None, in_key: false })
    }

    /// Whether another item of the sequence, or another key of the dict, comes. Must be asked
    /// before each.
    pub(super) fn next(&mut self, entered: &mut Entered) -> Result<bool> {
        match &mut entered.left {
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                self.owed -= 1;
                Ok(true)
            }
            None if self.input.get(self.at) == Some(&code::NULL) => {
                self.head()?;
                entered.left = Some(0);
                Ok(false)
            }
            None => Ok(true),
        }
    }

    /// Reads with `read` what must be hashable: the key of a dict.
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

    /// The end of a dict where no dict can end.
    pub(super) const fn misplaced_end(&self) -> DecodeError {
        self.bad_code(code::NULL)
    }

    const fn bad_code(&self, code: u8) -> DecodeError {
        self.fault(DecodeFault::BadCode { code, what: code::describe(code) })
    }

    fn deeper(&mut self) -> Result<()> {
        if self.depth == MAX_DEPTH {
            return Err(self.fault(DecodeFault::TooDeep));
        }
        self.depth += 1;
        Ok(())
    }

    /// The bytes left that no sequence lays claim to must be at least `claimed`.
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

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let Some(array) = rest.first_chunk() else {
            return Err(self.fault(DecodeFault::Truncated));
        };
        self.at += N;
        Ok(*array)
    }

    fn float(&mut self) -> Result<f64> {
        self.array().map(f64::from_le_bytes)
    }

    fn len(&mut self) -> Result<usize> {
        let len = i32::from_le_bytes(self.array()?);
        usize::try_from(len).map_err(|_| self.fault(DecodeFault::BadLength(len)))
    }

    /// Text of which the type code says that it is ASCII. CPython would take other bytes for Latin-1.
    fn ascii(&self, len: usize) -> Result<Head> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        match rest.get(..len) {
            Some(text) if !text.is_ascii() => Err(self.fault(DecodeFault::InvalidUtf8)),
            _ => Ok(Head::Text(len)),
        }
    }

    fn short_len(&mut self) -> Result<usize> {
        let [len] = self.array()?;
        Ok(len.into())
    }
}

/// The digits of an int to the base 2¹⁵, least first.
#[derive(Clone, Copy)]
pub(super) struct Digits<'de>(&'de [[u8; 2]]);

impl Digits<'_> {
    /// The int, when 120 bits hold it.
    pub(super) fn small(self, negative: bool) -> Option<i128> {
        if self.0.len() > 8 {
            return None;
        }
        let digits = self.0.iter().rev();
        let value = digits.fold(0, |int, digit| int << 15 | i128::from(u16::from_le_bytes(*digit)));
        Some(if negative { -value } else { value })
    }

    pub(super) fn big(self, negative: bool) -> BigInt {
        let mut bytes = Vec::with_capacity(self.0.len() * 2);
        let (mut bits, mut held) = (0u32, 0);
        for digit in self.0 {
            bits |= u32::from(u16::from_le_bytes(*digit)) << held;
            held += 15;
            while held >= 8 {
                bytes.push(bits as u8);
                bits >>= 8;
                held -= 8;
            }
        }
        bytes.push(bits as u8);
        let sign = if negative { Sign::Minus } else { Sign::Plus };
        BigInt::from_biguint(sign, BigUint::from_bytes_le(&bytes))
    }
}
