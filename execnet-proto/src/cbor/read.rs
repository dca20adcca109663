//! How items lie in CBOR: heads from a slice, and what tags mean.

use ciborium_ll::{Decoder, Error, Header, simple};
use num_bigint::{BigInt, BigUint};
use serde::de::Visitor;

use super::Result;
use super::tag;
use crate::ChannelId;
use crate::value::{Cursor, DecodeFault, Head, Int, Read, Sequence};

/// The format.
pub(super) enum Cbor {}

impl Read for Cbor {
    const NONE: u8 = 0xf6;
    const END: u8 = 0xff;

    #[inline]
    fn head(cursor: &mut Cursor<'_>) -> Result<Head> {
        Ok(match header(cursor)? {
            Header::Positive(value) => Head::Positive(value),
            Header::Negative(magnitude) => Head::Negative(magnitude),
            Header::Float(value) => Head::Float(value),
            Header::Simple(simple::NULL) => Head::None,
            Header::Simple(simple::FALSE) => Head::Bool(false),
            Header::Simple(simple::TRUE) => Head::Bool(true),
            Header::Simple(other) => return Err(cursor.fault(DecodeFault::BadSimple(other))),
            Header::Bytes(len) => Head::Bytes(len),
            Header::Text(len) => Head::Text(len),
            Header::Array(len) => Head::Sequence(Sequence::List, len),
            Header::Map(len) => Head::Dict(len),
            Header::Tag(tag) => {
                let item = cursor.item();
                let head = tagged(cursor, tag)?;
                cursor.set_item(item);
                head
            }
            Header::Break => return Err(cursor.fault(DecodeFault::BadHead)),
        })
    }

    fn long(negative: bool, digits: &[u8]) -> Result<Int, DecodeFault> {
        Ok(if digits.len() < size_of::<i128>() {
            let magnitude = digits.iter().fold(0, |value, byte| value << 8 | i128::from(*byte));
            Int::Small(if negative { !magnitude } else { magnitude })
        } else {
            let magnitude = BigInt::from(BigUint::from_bytes_be(digits));
            Int::Big(if negative { -1 - magnitude } else { magnitude })
        })
    }

    fn chunk(cursor: &mut Cursor<'_>, text: bool) -> Result<Option<usize>> {
        match header(cursor)? {
            Header::Bytes(Some(len)) if !text => Ok(Some(len)),
            Header::Text(Some(len)) if text => Ok(Some(len)),
            Header::Break => Ok(None),
            _ => Err(cursor.fault(DecodeFault::BadHead)),
        }
    }

    fn show<'de, V: Visitor<'de>>(item: &'de [u8], visitor: V) -> Result<V::Value> {
        visitor.visit_borrowed_bytes(item)
    }
}

/// What a tag makes of the item behind it.
fn tagged(cursor: &mut Cursor<'_>, tag: u64) -> Result<Head> {
    let bad = |cursor: &Cursor<'_>, on| {
        Err(cursor.fault(DecodeFault::BadTagged { tag, on: describe(on) }))
    };
    match tag {
        tag::BIG_POSITIVE | tag::BIG_NEGATIVE => match header(cursor)? {
            Header::Bytes(len) => Ok(Head::Long { negative: tag == tag::BIG_NEGATIVE, len }),
            other => bad(cursor, other),
        },
        tag::COMPLEX => match header(cursor)? {
            Header::Array(len @ (Some(2) | None)) => complex(cursor, len.is_none()),
            other => bad(cursor, other),
        },
        tag::CHANNEL => match header(cursor)? {
            Header::Positive(number) => channel(cursor, number),
            other => bad(cursor, other),
        },
        _ => {
            let Some(kind) = Sequence::from_tag(tag) else {
                return Err(cursor.fault(DecodeFault::BadTag(tag)));
            };
            match header(cursor)? {
                Header::Array(len) => Ok(Head::Sequence(kind, len)),
                other => bad(cursor, other),
            }
        }
    }
}

/// The two parts of a complex, whose array was just entered.
fn complex(cursor: &mut Cursor<'_>, indefinite: bool) -> Result<Head> {
    let bad = |on| DecodeFault::BadTagged { tag: tag::COMPLEX, on };
    let mut part = || match header(cursor)? {
        Header::Float(part) => Ok(part),
        Header::Break => Err(cursor.fault(bad("fewer floats"))),
        _ => Err(cursor.fault(bad("an array of something else"))),
    };
    let head = Head::Complex(part()?, part()?);
    if indefinite && header(cursor)? != Header::Break {
        return Err(cursor.fault(bad("more floats")));
    }
    Ok(head)
}

fn channel(cursor: &Cursor<'_>, number: u64) -> Result<Head> {
    let id = u32::try_from(number).ok().and_then(ChannelId::new);
    id.map(Head::Channel).ok_or_else(|| cursor.fault(DecodeFault::BadChannel(number)))
}

/// The next head, whatever it begins.
#[inline]
fn header(cursor: &mut Cursor<'_>) -> Result<Header> {
    cursor.begin();
    let rest = cursor.rest();
    if let Some((header, len)) = plain_header(rest) {
        cursor.advance(len);
        return Ok(header);
    }
    any_header(cursor, rest)
}

/// Floats, ends, and what is wrong.
#[inline(never)]
fn any_header(cursor: &mut Cursor<'_>, rest: &[u8]) -> Result<Header> {
    let mut decoder = Decoder::from(rest);
    match decoder.pull() {
        // ciborium lets the simple values below 32 have a second byte, which RFC 8949 forbids.
        Ok(Header::Simple(0..32)) if decoder.offset() != 1 => {
            Err(cursor.fault(DecodeFault::BadHead))
        }
        Ok(header) => {
            cursor.advance(decoder.offset());
            Ok(header)
        }
        Err(Error::Io(_)) => Err(cursor.fault(DecodeFault::Truncated)),
        Err(Error::Syntax(_)) => Err(cursor.fault(DecodeFault::BadHead)),
    }
}

/// Most heads are a major type and a number. Read here, they save a small dict a fifth of its time.
#[inline]
fn plain_header(bytes: &[u8]) -> Option<(Header, usize)> {
    let (first, rest) = bytes.split_first()?;
    let (argument, len) = match first & 0x1f {
        argument @ ..24 => (argument.into(), 1),
        24 => (u8::from_be_bytes(*rest.first_chunk()?).into(), 2),
        25 => (u16::from_be_bytes(*rest.first_chunk()?).into(), 3),
        26 => (u32::from_be_bytes(*rest.first_chunk()?).into(), 5),
        27 => (u64::from_be_bytes(*rest.first_chunk()?), 9),
        _ => return None,
    };
    let header = match first >> 5 {
        0 => Header::Positive(argument),
        1 => Header::Negative(argument),
        2 => Header::Bytes(Some(argument.try_into().ok()?)),
        3 => Header::Text(Some(argument.try_into().ok()?)),
        4 => Header::Array(Some(argument.try_into().ok()?)),
        5 => Header::Map(Some(argument.try_into().ok()?)),
        6 => Header::Tag(argument),
        // With more bytes they are floats, for the most part.
        _ if len > 1 => return None,
        _ => Header::Simple(argument.try_into().ok()?),
    };
    Some((header, len))
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
