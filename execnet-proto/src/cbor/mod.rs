//! Values and serde's types as CBOR (PROTOCOL.md §9).
//!
//! ```
//! use execnet_proto::{Value, cbor};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct Job {
//!     name: String,
//!     sizes: (u32, u32),
//! }
//!
//! let job = Job { name: "build".into(), sizes: (2, 3) };
//! let bytes = cbor::to_bytes(&job)?;
//! assert_eq!(cbor::decode(&bytes)?.to_string(), "{'name': 'build', 'sizes': [2, 3]}");
//!
//! // A tuple, as Python might have sent it, is as good as a list.
//! let sent = Value::dict([("name", "build".into()), ("sizes", Value::tuple([2, 3]))]);
//! assert_eq!(cbor::from_slice::<Job>(&cbor::encode(&sent)?)?, job);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What serde's types become, and are made of
//!
//! | Rust | is written as | is also read from |
//! |---|---|---|
//! | ints, up to 128 bits | int | |
//! | `f32`, `f64` | float | an int |
//! | `String`, `&str`, `char` | str | |
//! | [`Bytes`], `serde_bytes` | bytes | a list of ints |
//! | `Vec<u8>`, `[u8; N]` | **list** of ints | bytes |
//! | other sequences, Rust tuples, tuple structs | list; tuple, in the key of a map | tuple, set, frozenset |
//! | [`Tuple`], [`Set`], [`FrozenSet`] around a sequence | tuple, set, frozenset | any other sequence |
//! | maps, structs | dict; fields are str keys | a struct: a sequence of its fields |
//! | `Option`, `()`, unit structs | None, or the value | |
//! | enums | `"Variant"`, or `{"Variant": content}` | |
//! | [`ChannelId`](crate::ChannelId) | channel | |
//! | [`Value`] | what it is | |
//!
//! `&str` and `&[u8]` borrow from the message, and cannot be had from strings in chunks. Where serde
//! buffers before it decides (`#[serde(flatten)]`, untagged and internally tagged enums), a
//! [`Value`] inside sees tuples and sets as lists, and ints beyond 64 bits are an error.
//!
//! # What is refused
//!
//! A list, set or dict in the key of a dict or among the members of a set, and what is nested deeper
//! than [`MAX_DEPTH`], is refused both ways. Decoding also refuses tags and simple values that the
//! format does not use, text that is not UTF-8, and bytes left over. Keys that occur twice are kept,
//! and come last to whoever collects them into a map.
//!
//! # What it costs
//!
//! Decoding looks at each byte a bounded number of times, and believes no length that the bytes at
//! hand cannot hold. A [`Value`] made of *n* bytes takes at most 40 × *n* (a list of `None`s does),
//! and while strings or containers of indefinite length are read, up to three times that. On the
//! stack [`MAX_DEPTH`] levels of it take 0.5 MiB in an unoptimized build; a type that contains
//! itself may take three times as much.

mod read;
pub mod tag;
mod write;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use self::read::Cbor;
use self::write::Writer;
use crate::Value;
use crate::value::{Encoder, Reader};

pub use crate::value::{
    DecodeError, DecodeFault, EncodeError, EncodeFault, FrozenSet, MAX_DEPTH, Set, Tuple,
};

/// Room for a message of a few fields, so that its buffer need not grow.
const FIRST: usize = 128;

type Result<T, E = DecodeError> = std::result::Result<T, E>;

/// Encodes a value.
///
/// # Errors
///
/// See [`EncodeFault`]; of a [`Value`] only [`NotHashable`](EncodeFault::NotHashable) and
/// [`TooDeep`](EncodeFault::TooDeep) are possible.
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
    Reader::<Cbor>::new(bytes, None).whole(Reader::value)
}

/// Decodes a value, of which a bytes object that makes up half of the message or more shares the
/// message's memory instead of being copied.
///
/// # Errors
///
/// See [`DecodeFault`].
pub fn decode_shared(bytes: &Bytes) -> Result<Value> {
    Reader::<Cbor>::new(bytes, Some(bytes)).whole(Reader::value)
}

/// Decodes anything that serde deserializes.
///
/// # Errors
///
/// See [`DecodeFault`].
pub fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T> {
    Reader::<Cbor>::new(bytes, None).whole(|reader| T::deserialize(reader))
}
