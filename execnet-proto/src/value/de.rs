//! Serde's types from any format that can be read item by item.
//!
//! For CBOR not ciborium's deserializer: that one passes over any tag in silence, takes no int for a
//! float, no Python tuple for an enum's tuple variant and no text beyond its buffer for a borrowed
//! one, leaves items that a visitor did not ask for to be read as the next value, and knows no offsets.

use std::borrow::Cow;

use serde::de::value::{SeqDeserializer, StrDeserializer, U32Deserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::cursor::Entered;
use super::read::{Head, Int, Read, Reader};
use super::{DecodeError, Sequence, name};

type Result<T, E = DecodeError> = std::result::Result<T, E>;

impl<'de, F: Read> Deserializer<'de> for &mut Reader<'de, F> {
    type Error = DecodeError;

    /// Does not tell sequences apart, so that a `Vec` takes a list, a tuple or a set.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let head = self.head()?;
        self.any(head, visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.head()? {
            // What serde calls a sequence of u8 may be a bytes object there.
            Head::Bytes(len) => {
                let item = self.cursor.item();
                let bytes = self.bytes(len)?;
                visit_octets(&bytes, visitor).map_err(|error| error.at(item))
            }
            head => self.any(head, visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        // Many a visitor of text would take a bytes object that happens to be UTF-8.
        match self.head()? {
            head @ Head::Bytes(_) => Err(self.wrong_type(head, &visitor)),
            head => self.any(head, visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        // And many a visitor of bytes would take text.
        match self.head()? {
            head @ Head::Text(_) => Err(self.wrong_type(head, &visitor)),
            head => self.any(head, visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.head()? {
            head @ Head::Text(_) => self.any(head, visitor),
            // Serde would take an int for the field of that index.
            head => Err(self.wrong_type(head, &"a str")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.cursor.is_next(F::NONE) {
            self.head()?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        match name {
            // A value takes the bytes and decodes them itself; see its `Deserialize`.
            name::VALUE => F::show(self.skipped()?, visitor),
            name::CHANNEL => match self.head()? {
                head @ Head::Channel(_) => self.any(head, visitor),
                head => Err(self.wrong_type(head, &"a channel")),
            },
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        let head = self.head()?;
        let item = self.cursor.item();
        match head {
            Head::Text(len) => {
                let variant = self.text(len)?;
                visitor.visit_enum(StrDeserializer::<DecodeError>::new(&variant))
            }
            Head::Dict(len @ (Some(1) | None)) => {
                let mut entered = self.cursor.enter_dict(len)?;
                if self.next(&mut entered) {
                    let value = visitor.visit_enum(Variant(self, &mut entered));
                    value.and_then(|value| self.end(&mut entered).map(|()| value))
                } else {
                    Err(DecodeError::invalid_length(0, &ONE_ENTRY))
                }
            }
            Head::Dict(Some(len)) => Err(DecodeError::invalid_length(len, &ONE_ENTRY)),
            head => Err(self.wrong_type(head, &visitor)),
        }
        .map_err(|error| error.at(item))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        // Held to the same rules as what is wanted.
        self.skipped()?;
        visitor.visit_unit()
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64
        unit unit_struct map struct
    }
}

/// What an enum's variant with content is.
const ONE_ENTRY: &str = "a dict of one entry";

impl<'de, F: Read> Reader<'de, F> {
    fn any<V: Visitor<'de>>(&mut self, head: Head, visitor: V) -> Result<V::Value> {
        let item = self.cursor.item();
        match head {
            Head::None => visitor.visit_unit(),
            Head::Bool(value) => visitor.visit_bool(value),
            Head::Positive(value) => visitor.visit_u64(value),
            Head::Negative(magnitude) => match i64::try_from(magnitude) {
                Ok(magnitude) => visitor.visit_i64(!magnitude),
                Err(_) => visitor.visit_i128(!i128::from(magnitude)),
            },
            Head::Long { negative, len } => visit_int(&self.long(negative, len)?, visitor),
            Head::Float(value) => visitor.visit_f64(value),
            Head::Complex(real, imaginary) => {
                visitor.visit_seq(SeqDeserializer::new([real, imaginary].into_iter()))
            }
            // A newtype, which serde's own buffers keep apart from an int.
            Head::Channel(id) => visitor.visit_newtype_struct(U32Deserializer::new(id.get())),
            Head::Bytes(len) => match self.bytes(len)? {
                Cow::Borrowed(bytes) => visitor.visit_borrowed_bytes(bytes),
                Cow::Owned(bytes) => visitor.visit_byte_buf(bytes),
            },
            Head::Text(len) => match self.text(len)? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
            Head::Sequence(kind, len) => {
                let mut entered = self.cursor.enter(kind, len)?;
                let value = visitor.visit_seq(Items(self, &mut entered));
                value.and_then(|value| self.end(&mut entered).map(|()| value))
            }
            Head::Dict(len) => {
                let mut entered = self.cursor.enter_dict(len)?;
                let value = visitor.visit_map(Items(self, &mut entered));
                value.and_then(|value| self.end(&mut entered).map(|()| value))
            }
        }
        .map_err(|error| error.at(item))
    }

    /// Leaves a container, of which nothing may be left unread.
    fn end(&mut self, entered: &mut Entered) -> Result<()> {
        if self.next(entered) {
            return Err(DecodeError::custom("more items than the type asked for has"));
        }
        self.cursor.leave(entered);
        Ok(())
    }

    fn wrong_type(&self, found: Head, expected: &dyn serde::de::Expected) -> DecodeError {
        let found = match found {
            Head::None => Unexpected::Unit,
            Head::Bool(value) => Unexpected::Bool(value),
            Head::Positive(value) => Unexpected::Unsigned(value),
            Head::Negative(_) => Unexpected::Other("negative int"),
            Head::Long { .. } => Unexpected::Other("int"),
            Head::Float(value) => Unexpected::Float(value),
            Head::Complex(..) => Unexpected::Other("complex"),
            Head::Channel(_) => Unexpected::Other("channel"),
            Head::Bytes(_) => Unexpected::Other("bytes"),
            Head::Text(_) => Unexpected::Other("str"),
            Head::Sequence(Sequence::List, _) => Unexpected::Seq,
            Head::Sequence(kind, _) => Unexpected::Other(kind.name()),
            Head::Dict(_) => Unexpected::Map,
        };
        DecodeError::invalid_type(found, expected).at(self.cursor.item())
    }
}

/// A bytes object as a sequence of ints, all of which must be taken.
pub(super) fn visit_octets<'de, V: Visitor<'de>>(bytes: &[u8], visitor: V) -> Result<V::Value> {
    let mut items = SeqDeserializer::new(bytes.iter().copied());
    let value = visitor.visit_seq(&mut items)?;
    items.end()?;
    Ok(value)
}

/// In the smallest type of serde's that holds it.
fn visit_int<'de, V: Visitor<'de>>(int: &Int, visitor: V) -> Result<V::Value> {
    let (unsigned, signed) = match int {
        Int::Small(int) => (u128::try_from(*int).ok(), Some(*int)),
        Int::Big(int) => (u128::try_from(int).ok(), i128::try_from(int).ok()),
    };
    match (unsigned, signed) {
        (Some(int), _) => match u64::try_from(int) {
            Ok(int) => visitor.visit_u64(int),
            Err(_) => visitor.visit_u128(int),
        },
        (None, Some(int)) => match i64::try_from(int) {
            Ok(int) => visitor.visit_i64(int),
            Err(_) => visitor.visit_i128(int),
        },
        (None, None) => Err(DecodeError::custom("int beyond 128 bits; only a Value can hold it")),
    }
}

/// The items of a sequence, or of a dict.
struct Items<'a, 'de, F>(&'a mut Reader<'de, F>, &'a mut Entered);

impl<'de, F: Read> SeqAccess<'de> for Items<'_, 'de, F> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if self.0.next(self.1) { seed.deserialize(&mut *self.0).map(Some) } else { Ok(None) }
    }

    fn size_hint(&self) -> Option<usize> {
        self.1.left
    }
}

impl<'de, F: Read> MapAccess<'de> for Items<'_, 'de, F> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if !self.0.next(self.1) {
            return Ok(None);
        }
        self.0.key(|reader| seed.deserialize(reader)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        self.0.cursor.next_value(self.1);
        seed.deserialize(&mut *self.0)
    }

    fn size_hint(&self) -> Option<usize> {
        self.1.left.map(|left| left / 2)
    }
}

/// An enum's variant with what it holds: a dict of one entry, whose key comes next.
struct Variant<'a, 'de, F>(&'a mut Reader<'de, F>, &'a mut Entered);

impl<'de, F: Read> EnumAccess<'de> for Variant<'_, 'de, F> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        let variant = self.0.key(|reader| seed.deserialize(reader))?;
        self.0.cursor.next_value(self.1);
        Ok((variant, self))
    }
}

impl<'de, F: Read> VariantAccess<'de> for Variant<'_, 'de, F> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<()> {
        serde::Deserialize::deserialize(self.0)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.0.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.0.deserialize_any(visitor)
    }
}
