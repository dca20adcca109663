//! How items lie in marshal: type codes from a slice, and what stands directly behind them.

use num_bigint::{BigInt, BigUint, Sign};
use serde::de::Visitor;

use super::{Result, code};
use crate::value::{Cursor, DecodeFault, Head, Int, Read, Sequence};

/// The format.
pub(super) enum Marshal {}

impl Read for Marshal {
    const NONE: u8 = code::NONE;
    const END: u8 = code::NULL;

    #[inline]
    fn head(cursor: &mut Cursor<'_>) -> Result<Head> {
        cursor.begin();
        let [found] = array(cursor)?;
        Ok(match found {
            code::NONE => Head::None,
            code::FALSE => Head::Bool(false),
            code::TRUE => Head::Bool(true),
            code::INT => {
                let value = i32::from_le_bytes(array(cursor)?);
                match u32::try_from(value) {
                    Ok(value) => Head::Positive(value.into()),
                    Err(_) => Head::Negative(u64::from(!value as u32)),
                }
            }
            code::LONG => {
                // Digits of two bytes, and as many of them as are negative where the int is.
                let count = i32::from_le_bytes(array(cursor)?);
                let len = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
                Head::Long { negative: count < 0, len: Some(len.saturating_mul(2)) }
            }
            code::FLOAT => Head::Float(float(cursor)?),
            code::COMPLEX => Head::Complex(float(cursor)?, float(cursor)?),
            code::BYTES => Head::Bytes(Some(len(cursor)?)),
            code::TEXT | code::INTERNED => Head::Text(Some(len(cursor)?)),
            code::ASCII | code::ASCII_INTERNED => {
                let len = len(cursor)?;
                ascii(cursor, len)?
            }
            code::SHORT_ASCII | code::SHORT_ASCII_INTERNED => {
                let len = short_len(cursor)?;
                ascii(cursor, len)?
            }
            code::LIST => Head::Sequence(Sequence::List, Some(len(cursor)?)),
            code::TUPLE => Head::Sequence(Sequence::Tuple, Some(len(cursor)?)),
            code::SMALL_TUPLE => Head::Sequence(Sequence::Tuple, Some(short_len(cursor)?)),
            code::SET => Head::Sequence(Sequence::Set, Some(len(cursor)?)),
            code::FROZENSET => Head::Sequence(Sequence::FrozenSet, Some(len(cursor)?)),
            code::DICT => Head::Dict(None),
            code => {
                return Err(cursor.fault(DecodeFault::BadCode { code, what: code::describe(code) }));
            }
        })
    }

    /// The digits are to the base 2¹⁵, of two bytes each, least first.
    fn long(negative: bool, digits: &[u8]) -> Result<Int, DecodeFault> {
        let (digits, _) = digits.as_chunks();
        let normal = digits.last().is_none_or(|last| *last != [0; 2]);
        if !normal || digits.iter().any(|[_, high]| *high > 0x7f) {
            return Err(DecodeFault::BadDigits);
        }
        // 120 bits.
        Ok(if digits.len() <= 8 {
            let digits = digits.iter().rev();
            let value =
                digits.fold(0, |int, digit| int << 15 | i128::from(u16::from_le_bytes(*digit)));
            Int::Small(if negative { -value } else { value })
        } else {
            Int::Big(big(negative, digits))
        })
    }

    /// No string is of unknown length.
    fn chunk(_: &mut Cursor<'_>, _: bool) -> Result<Option<usize>> {
        Ok(None)
    }

    fn show<'de, V: Visitor<'de>>(item: &'de [u8], visitor: V) -> Result<V::Value> {
        visitor.visit_bytes(item)
    }
}

fn big(negative: bool, digits: &[[u8; 2]]) -> BigInt {
    let mut bytes = Vec::with_capacity(digits.len() * 2);
    let (mut bits, mut held) = (0u32, 0);
    for digit in digits {
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

fn array<const N: usize>(cursor: &mut Cursor<'_>) -> Result<[u8; N]> {
    let Some(array) = cursor.rest().first_chunk() else {
        return Err(cursor.fault(DecodeFault::Truncated));
    };
    cursor.advance(N);
    Ok(*array)
}

fn float(cursor: &mut Cursor<'_>) -> Result<f64> {
    array(cursor).map(f64::from_le_bytes)
}

fn len(cursor: &mut Cursor<'_>) -> Result<usize> {
    let len = i32::from_le_bytes(array(cursor)?);
    usize::try_from(len).map_err(|_| cursor.fault(DecodeFault::BadLength(len)))
}

fn short_len(cursor: &mut Cursor<'_>) -> Result<usize> {
    let [len] = array(cursor)?;
    Ok(len.into())
}

/// Text of which the type code says that it is ASCII. CPython would take other bytes for Latin-1.
fn ascii(cursor: &Cursor<'_>, len: usize) -> Result<Head> {
    match cursor.rest().get(..len) {
        Some(text) if !text.is_ascii() => Err(cursor.fault(DecodeFault::InvalidUtf8)),
        _ => Ok(Head::Text(Some(len))),
    }
}
