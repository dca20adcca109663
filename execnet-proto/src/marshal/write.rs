//! Marshal's items at the end of a buffer.

use bytes::{BufMut, BytesMut};
use num_bigint::BigUint;

use super::code;
use crate::Value;
use crate::value::{EncodeError, EncodeFault, Nesting, Sequence, Write};

type Result<T = ()> = std::result::Result<T, EncodeError>;

/// The end of a buffer.
pub(super) struct Writer<'a> {
    out: &'a mut BytesMut,
    nesting: Nesting,
    /// Floats still to come that stand behind a complex's type code.
    parts: u8,
    /// The bytes written next are the magnitude of an int, which may be negative.
    magnitude: Option<bool>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut BytesMut) -> Self {
        Self { out, nesting: Nesting::default(), parts: 0, magnitude: None }
    }

    fn int(&mut self, value: i32) {
        let [b0, b1, b2, b3] = value.to_le_bytes();
        self.out.put_slice(&[code::INT, b0, b1, b2, b3]);
    }

    /// An int beyond 32 bits, whose digits these are, least first.
    fn long(&mut self, negative: bool, digits: impl Iterator<Item = u16>) -> Result {
        self.out.put_u8(code::LONG);
        let start = self.out.len();
        self.out.put_i32_le(0);
        digits.for_each(|digit| self.out.put_u16_le(digit));
        let count = signed((self.out.len() - start - 4) / 2)?;
        self.set_length(start, if negative { -count } else { count });
        Ok(())
    }

    fn set_length(&mut self, start: usize, length: i32) {
        if let Some(place) = self.out.get_mut(start..start + 4) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }
}

impl Write for Writer<'_> {
    /// Where the length stands, which is known at the end; of a tuple whether it has but a byte.
    type Open = (usize, bool);

    fn nesting(&mut self) -> &mut Nesting {
        &mut self.nesting
    }

    fn len(&self) -> usize {
        self.out.len()
    }

    fn written(&self, start: usize, end: usize) -> Value {
        super::decode(self.out.get(start..end).unwrap_or_default()).unwrap_or_default()
    }

    fn null(&mut self) {
        self.out.put_u8(code::NONE);
    }

    fn bool(&mut self, value: bool) {
        self.out.put_u8(if value { code::TRUE } else { code::FALSE });
    }

    fn float(&mut self, value: f64) {
        match self.parts {
            0 => self.out.put_u8(code::FLOAT),
            _ => self.parts -= 1,
        }
        self.out.put_f64_le(value);
    }

    fn positive(&mut self, value: u64) {
        match i32::try_from(value) {
            Ok(value) => self.int(value),
            // Five digits at most, so their number fits.
            Err(_) => drop(self.long(false, digits(value.into()))),
        }
    }

    fn negative(&mut self, magnitude: u64) {
        match i32::try_from(magnitude) {
            Ok(magnitude) => self.int(!magnitude),
            Err(_) => drop(self.long(true, digits(u128::from(magnitude) + 1))),
        }
    }

    fn big(&mut self, negative: bool) {
        self.magnitude = Some(negative);
    }

    fn complex(&mut self) {
        self.out.put_u8(code::COMPLEX);
        self.parts = 2;
    }

    fn channel(&mut self) -> Result {
        Err(EncodeFault::NeedsCbor { what: "a channel" }.into())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result {
        if let Some(negative) = self.magnitude.take() {
            let magnitude = BigUint::from_bytes_be(bytes) + u32::from(negative);
            return self.long(negative, big_digits(&magnitude));
        }
        let length = signed(bytes.len())?;
        self.out.reserve(bytes.len() + 5);
        self.out.put_u8(code::BYTES);
        self.out.put_i32_le(length);
        self.out.put_slice(bytes);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result {
        let length = signed(text.len())?;
        self.out.reserve(text.len() + 5);
        match u8::try_from(length) {
            Ok(length) if text.is_ascii() => self.out.put_slice(&[code::SHORT_ASCII, length]),
            _ => {
                self.out.put_u8(code::TEXT);
                self.out.put_i32_le(length);
            }
        }
        self.out.put_slice(text.as_bytes());
        Ok(())
    }

    fn open_sequence(&mut self, kind: Sequence, len: Option<usize>) -> (usize, bool) {
        let small = kind == Sequence::Tuple && len.is_some_and(|len| len <= 0xff);
        self.out.put_u8(match kind {
            Sequence::List => code::LIST,
            Sequence::Tuple if small => code::SMALL_TUPLE,
            Sequence::Tuple => code::TUPLE,
            Sequence::Set => code::SET,
            Sequence::FrozenSet => code::FROZENSET,
        });
        let start = self.out.len();
        match len.and_then(|len| u8::try_from(len).ok()) {
            Some(len) if small => self.out.put_u8(len),
            _ => self.out.put_i32_le(0),
        }
        (start, small)
    }

    fn close_sequence(&mut self, (start, small): (usize, bool), written: usize) -> Result {
        if !small {
            self.set_length(start, signed(written)?);
        }
        Ok(())
    }

    fn open_dict(&mut self, _: Option<usize>) -> (usize, bool) {
        self.out.put_u8(code::DICT);
        (0, false)
    }

    fn close_dict(&mut self, _: (usize, bool)) {
        self.out.put_u8(code::NULL);
    }
}

/// A length as it stands in marshal.
fn signed(length: usize) -> Result<i32> {
    let what = "what is longer than 2147483647";
    i32::try_from(length).map_err(|_| EncodeFault::NeedsCbor { what }.into())
}

/// The digits of an int to the base 2¹⁵, least first.
fn digits(mut value: u128) -> impl Iterator<Item = u16> {
    std::iter::from_fn(move || {
        let digit = (value > 0).then_some((value & 0x7fff) as u16);
        value >>= 15;
        digit
    })
}

fn big_digits(value: &BigUint) -> impl Iterator<Item = u16> {
    let (mut words, mut bits, mut held) = (value.iter_u32_digits(), 0u64, 0u32);
    std::iter::from_fn(move || {
        if held < 15
            && let Some(word) = words.next()
        {
            bits |= u64::from(word) << held;
            held += 32;
        }
        let digit = (bits > 0 || words.len() > 0).then_some((bits & 0x7fff) as u16);
        bits >>= 15;
        held = held.saturating_sub(15);
        digit
    })
}
