//! The values that may cross: Python's basic types, and channels.

mod convert;
mod cursor;
mod de;
mod error;
mod nesting;
mod raw;
mod read;
mod repr;
mod sequence;
mod ser;
mod serde;

use bytes::Bytes;
use num_bigint::BigInt;

use crate::ChannelId;

pub(crate) use self::cursor::Cursor;
pub use self::error::{DecodeError, DecodeFault, EncodeError, EncodeFault};
pub(crate) use self::nesting::Nesting;
pub use self::raw::from_bytes_message;
pub(crate) use self::read::{Head, Int, Read, Reader};
pub(crate) use self::sequence::{Sequence, name};
pub(crate) use self::ser::{Encoder, Write};
pub use self::serde::{FrozenSet, Set, Tuple};

/// Containers in containers: a list in a list is two deep. What is nested deeper is neither encoded
/// nor decoded.
pub const MAX_DEPTH: usize = 256;

/// One of Python's basic types, or a channel inside them.
///
/// A `Value` holds exactly what the other side sent: tuples stay tuples, the entries of a dict and
/// the members of a set keep the order in which they were written.
///
/// # Ints
///
/// An int that fits is an [`Int`](Self::Int); decoding and the `From` conversions never make a
/// [`BigInt`](Self::BigInt) of it. One made by hand is encoded like the `Int`, but is not equal to
/// it.
///
/// # Equality
///
/// `==` compares what is held: `Int(1)` is not `Float(1.0)`, sets and dicts are compared in their
/// order, and a NaN is equal to nothing.
///
/// # Memory
///
/// A `Value` takes 40 bytes. What [`cbor::decode`](crate::cbor::decode) makes of *n* bytes takes at
/// most 40 × *n*, so the length of a message bounds it.
///
/// # Depth
///
/// What is decoded nests at most [`MAX_DEPTH`](crate::cbor::MAX_DEPTH) deep, and nothing deeper is
/// encoded. A value that the program itself nests deeper can be printed (cut off at that depth),
/// but cloning, comparing and dropping it recurse: from some ten thousand levels on they overflow
/// the stack.
///
/// # Example
///
/// ```
/// use execnet_proto::Value;
///
/// let value = Value::dict([("hosts", Value::tuple(["web1", "web2"])), ("port", 22.into())]);
/// assert_eq!(value.get("port").and_then(Value::as_i64), Some(22));
/// assert_eq!(value.to_string(), "{'hosts': ('web1', 'web2'), 'port': 22}");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "Python's basic types; who handles them wants to be told of a new one"
)]
pub enum Value {
    /// `None`.
    #[default]
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An int of 64 bits.
    Int(i64),
    /// An int that does not fit into an [`Int`](Self::Int).
    BigInt(BigInt),
    /// A float.
    Float(f64),
    /// A complex: its real and its imaginary part.
    Complex(f64, f64),
    /// A bytes object.
    Bytes(Bytes),
    /// A str.
    Str(String),
    /// A list.
    List(Vec<Self>),
    /// A tuple.
    Tuple(Vec<Self>),
    /// A set. Members are [hashable](Value::is_hashable); nothing removes duplicates.
    Set(Vec<Self>),
    /// A frozenset. Members are [hashable](Value::is_hashable); nothing removes duplicates.
    FrozenSet(Vec<Self>),
    /// A dict, in its order. Keys are [hashable](Value::is_hashable); nothing removes duplicates.
    Dict(Vec<(Self, Self)>),
    /// A channel of the same connection.
    Channel(ChannelId),
}

impl Value {
    /// A list of these.
    pub fn list<T: Into<Self>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }

    /// A tuple of these.
    pub fn tuple<T: Into<Self>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::Tuple(items.into_iter().map(Into::into).collect())
    }

    /// A set of these. Duplicates are kept; Python drops them.
    pub fn set<T: Into<Self>>(members: impl IntoIterator<Item = T>) -> Self {
        Self::Set(members.into_iter().map(Into::into).collect())
    }

    /// A frozenset of these. Duplicates are kept; Python drops them.
    pub fn frozenset<T: Into<Self>>(members: impl IntoIterator<Item = T>) -> Self {
        Self::FrozenSet(members.into_iter().map(Into::into).collect())
    }

    /// A dict of these. Duplicates are kept; Python takes the last value of a key.
    pub fn dict<K: Into<Self>, V: Into<Self>>(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        Self::Dict(entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }

    /// What Python's `type(value).__name__` gives: `"int"`, `"NoneType"`, `"frozenset"`, …
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::BigInt(_) => "int",
            Self::Float(_) => "float",
            Self::Complex(..) => "complex",
            Self::Bytes(_) => "bytes",
            Self::Str(_) => "str",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Set(_) => "set",
            Self::FrozenSet(_) => "frozenset",
            Self::Dict(_) => "dict",
            Self::Channel(_) => "Channel",
        }
    }

    /// Whether this can be the key of a dict or the member of a set: no list, set or dict in it.
    #[must_use]
    pub fn is_hashable(&self) -> bool {
        match self {
            Self::List(_) | Self::Set(_) | Self::Dict(_) => false,
            Self::Tuple(items) | Self::FrozenSet(items) => items.iter().all(Self::is_hashable),
            _ => true,
        }
    }

    /// Whether this is `None`.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The bool.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The int, when it fits. A bool is not an int here.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::BigInt(value) => value.try_into().ok(),
            _ => None,
        }
    }

    /// The int, when it fits. A bool is not an int here.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Int(value) => (*value).try_into().ok(),
            Self::BigInt(value) => value.try_into().ok(),
            _ => None,
        }
    }

    /// The float; of an [`Int`](Self::Int) the nearest float.
    #[must_use]
    pub const fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            Self::Int(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// The text of a str.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes of a bytes object.
    #[must_use]
    pub const fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The items of a list or tuple, the members of a set or frozenset.
    #[must_use]
    pub fn as_items(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) | Self::Tuple(items) => Some(items),
            Self::Set(members) | Self::FrozenSet(members) => Some(members),
            _ => None,
        }
    }

    /// The entries of a dict.
    #[must_use]
    pub fn as_dict(&self) -> Option<&[(Self, Self)]> {
        match self {
            Self::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// The channel.
    #[must_use]
    pub const fn as_channel(&self) -> Option<ChannelId> {
        match self {
            Self::Channel(id) => Some(*id),
            _ => None,
        }
    }

    /// What a dict holds under a str key; the last one, as Python, should there be several.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let found = self.as_dict()?.iter().rfind(|(found, _)| found.as_str() == Some(key))?;
        Some(&found.1)
    }
}

// The factor in the docs above rests on it.
const _: () = assert!(size_of::<Value>() <= 40);
