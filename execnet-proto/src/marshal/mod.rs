//! Values and serde's types as CPython's marshal (PROTOCOL.md §10).
//!
//! ```
//! use execnet_proto::{Value, marshal};
//!
//! let bytes = marshal::to_bytes(&("build", 7))?;
//! assert_eq!(&bytes[..], b"[\x02\0\0\0z\x05buildi\x07\0\0\0");
//! assert_eq!(marshal::decode(&bytes)?, Value::list([Value::from("build"), 7.into()]));
//! assert_eq!(marshal::from_slice::<(&str, u8)>(&bytes)?, ("build", 7));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Serde's types become the same values as [in CBOR](crate::cbor#what-serdes-types-become-and-are-made-of),
//! and are made of the same; what is refused there is refused here, with the same bounds. Channels
//! have no form in marshal: encoding one is the error [`EncodeFault::NeedsCbor`], and whoever sends
//! it chooses CBOR then.
//!
//! # Which marshal
//!
//! What CPython 3.6 to 3.14 write as version 2: each item stands for itself, so equal values have
//! equal bytes in every version. From version 3 on, items refer to others: then bytes depend on how
//! often an object is used elsewhere, a few bytes stand for any amount of memory, and values can
//! contain themselves. Beside that the forms which all of these interpreters read as well: short
//! strings of ASCII and short tuples.
//!
//! Only data is read. Code objects, `Ellipsis`, `StopIteration` and slices are errors that name
//! them; what reads here never makes anything that can run.
//!
//! # What it costs
//!
//! As in CBOR: no length is believed that the bytes at hand cannot hold, and a [`Value`] made of
//! *n* bytes takes at most 40 × *n*; while dicts are read, up to three times that.

mod code;
mod read;
mod write;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use self::read::Marshal;
use self::write::Writer;
use crate::Value;
use crate::value::{Encoder, Reader};

pub use crate::value::{DecodeError, DecodeFault, EncodeError, EncodeFault, MAX_DEPTH};

/// Room for a message of a few fields, so that its buffer need not grow.
const FIRST: usize = 128;

type Result<T, E = DecodeError> = std::result::Result<T, E>;

/// Encodes a value.
///
/// # Errors
///
/// See [`EncodeFault`].
pub fn encode(value: &Value) -> Result<Bytes, EncodeError> {
    to_bytes(value)
}

/// Encodes anything that serde serializes.
///
/// # Errors
///
/// See [`EncodeFault`].
pub fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, EncodeError> {
    let mut out = BytesMut::with_capacity(FIRST);
    encode_into(value, &mut out)?;
    Ok(out.freeze())
}

/// Encodes anything that serde serializes, a [`Value`] among them, at the end of `out`.
///
/// # Errors
///
/// See [`EncodeFault`]. Then `out` holds what it held before.
pub fn encode_into<T: Serialize + ?Sized>(
    value: &T,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let before = out.len();
    let result = value.serialize(Encoder(&mut Writer::new(out)));
    if result.is_err() {
        out.truncate(before);
    }
    result
}

/// Decodes a value.
///
/// # Errors
///
/// See [`DecodeFault`].
pub fn decode(bytes: &[u8]) -> Result<Value> {
    Reader::<Marshal>::new(bytes, None).whole(Reader::value)
}

/// Decodes a value, of which a bytes object that makes up half of the message or more shares the
/// message's memory instead of being copied.
///
/// # Errors
///
/// See [`DecodeFault`].
pub fn decode_shared(bytes: &Bytes) -> Result<Value> {
    Reader::<Marshal>::new(bytes, Some(bytes)).whole(Reader::value)
}

/// Decodes anything that serde deserializes.
///
/// # Errors
///
/// See [`DecodeFault`].
pub fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T> {
    Reader::<Marshal>::new(bytes, None).whole(|reader| T::deserialize(reader))
}
