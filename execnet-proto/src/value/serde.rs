//! [`Value`] and [`ChannelId`] among serde's types, and types that ask for one of Python's.

use std::fmt;

use bytes::Bytes;
use num_bigint::{BigInt, Sign};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeTupleStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::name;
use crate::{ChannelId, Value, cbor, marshal};

/// Makes a Python tuple of what serde knows as a sequence only: of a `Vec`, an array, a Rust tuple.
///
/// Reading takes any sequence. Other formats see what is inside.
///
/// ```
/// use execnet_proto::cbor::{self, Tuple};
///
/// let bytes = cbor::to_bytes(&Tuple(("web1", 22)))?;
/// assert_eq!(cbor::decode(&bytes)?.to_string(), "('web1', 22)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename = "execnet::Tuple")]
#[expect(clippy::exhaustive_structs, reason = "a wrapper")]
pub struct Tuple<T>(pub T);

/// Makes a Python set of what serde knows as a sequence only: of a `HashSet`, say.
///
/// Reading takes any sequence. Other formats see what is inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename = "execnet::Set")]
#[expect(clippy::exhaustive_structs, reason = "a wrapper")]
pub struct Set<T>(pub T);

/// Makes a Python frozenset of what serde knows as a sequence only.
///
/// Reading takes any sequence. Other formats see what is inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename = "execnet::FrozenSet")]
#[expect(clippy::exhaustive_structs, reason = "a wrapper")]
pub struct FrozenSet<T>(pub T);

/// Exact with [`cbor::to_bytes`] and [`marshal::to_bytes`]. In other formats (JSON, say) tuples, sets
/// and frozensets are sequences, a complex is one of two floats, a channel is its number, and an
/// int beyond 128 bits is the bytes of its magnitude.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::BigInt(value) => big_int(value, serializer),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Complex(real, imaginary) => {
                let mut parts = serializer.serialize_tuple_struct(name::COMPLEX, 2)?;
                parts.serialize_field(real)?;
                parts.serialize_field(imaginary)?;
                parts.end()
            }
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::Str(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.serialize_newtype_struct(name::LIST, items),
            Self::Tuple(items) => Tuple(items).serialize(serializer),
            Self::Set(members) => Set(members).serialize(serializer),
            Self::FrozenSet(members) => FrozenSet(members).serialize(serializer),
            Self::Dict(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
            Self::Channel(id) => id.serialize(serializer),
        }
    }
}

/// Exact with [`cbor::from_slice`] and [`marshal::from_slice`]. Where serde buffers a value before it
/// decides (`#[serde(flatten)]`, untagged and internally tagged enums), and from other formats,
/// tuples and sets arrive as lists.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(name::VALUE, ExactVisitor)
    }
}

/// A channel with [`cbor::to_bytes`], an error with [`marshal::to_bytes`]; its number in other formats.
impl Serialize for ChannelId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(name::CHANNEL, &self.get())
    }
}

/// Only a channel, not an int, with [`cbor::from_slice`]. From other
/// formats, and where serde buffers, its number will do.
impl<'de> Deserialize<'de> for ChannelId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(name::CHANNEL, ChannelVisitor)
    }
}

fn big_int<S: Serializer>(value: &BigInt, serializer: S) -> Result<S::Ok, S::Error> {
    if let Ok(value) = i128::try_from(value) {
        return serializer.serialize_i128(value);
    }
    let (name, magnitude) = match value.sign() {
        Sign::Minus => (name::BIG_NEGATIVE, (value.magnitude() - 1u32).to_bytes_be()),
        _ => (name::BIG_POSITIVE, value.magnitude().to_bytes_be()),
    };
    serializer.serialize_newtype_struct(name, &Bytes::from(magnitude))
}

/// What our own deserializers give to a [`Value`]: the bytes of an item that it has checked.
struct ExactVisitor;

impl<'de> Visitor<'de> for ExactVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        AnyVisitor.expecting(f)
    }

    /// From CBOR.
    fn visit_borrowed_bytes<E: Error>(self, item: &'de [u8]) -> Result<Value, E> {
        cbor::decode(item).map_err(E::custom)
    }

    /// From marshal, which tells itself from CBOR by this.
    fn visit_bytes<E: Error>(self, item: &[u8]) -> Result<Value, E> {
        marshal::decode(item).map_err(E::custom)
    }

    /// What any other does.
    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Value, D::Error> {
        deserializer.deserialize_any(AnyVisitor)
    }
}

/// What serde's own data model can show of a [`Value`].
struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one of Python's basic types")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::None)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(bytes.into())
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Value, E> {
        Ok(bytes.into())
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = from.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Dict(entries))
    }
}

struct ChannelVisitor;

impl<'de> Visitor<'de> for ChannelVisitor {
    type Value = ChannelId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a channel")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<ChannelId, D::Error> {
        let number = u32::deserialize(deserializer)?;
        ChannelId::new(number)
            .ok_or_else(|| D::Error::custom("channel number 0; expected 1 or more"))
    }
}
