//! Serde's types from CBOR.
//!
//! Not ciborium's deserializer: that one passes over any tag in silence, takes no int for a float,
//! no Python tuple for an enum's tuple variant and no text beyond its buffer for a borrowed one,
//! leaves items that a visitor did not ask for to be read as the next value, and knows no offsets.

use std::borrow::Cow;

use ciborium_ll::{Header, simple};
use serde::de::value::{SeqDeserializer, StrDeserializer, U32Deserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::Result;
use super::read::{Entered, Reader};
use super::tag;
use crate::value::{DecodeError, DecodeFault, Sequence, name};

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = DecodeError;

    /// Sees through the tags of sequences, so that a `Vec` takes a list, a tuple or a set.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let header = self.head()?;
        self.any(header, visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.head()? {
            // What serde calls a sequence of u8 may be a bytes object there.
            Header::Bytes(len) => {
                let item = self.item();
                let bytes = self.bytes(len)?;
                let mut items = SeqDeserializer::new(bytes.iter().copied());
                let value =
                    visitor.visit_seq(&mut items).map_err(|error: DecodeError| error.at(item))?;
                items.end().map_err(|error: DecodeError| error.at(item))?;
                Ok(value)
            }
            header => self.any(header, visitor),
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
            header @ Header::Bytes(_) => Err(self.wrong_type(header, &visitor)),
            header => self.any(header, visitor),
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
            header @ Header::Text(_) => Err(self.wrong_type(header, &visitor)),
            header => self.any(header, visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.head()? {
            header @ Header::Text(_) => self.any(header, visitor),
            // Serde would take an int for the field of that index.
            header => Err(self.wrong_type(header, &"a str")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.peek()? {
            Header::Simple(simple::NULL) => {
                self.head()?;
                visitor.visit_none()
            }
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        match name {
            // A value takes the bytes and decodes them itself; see its `Deserialize`.
            name::VALUE => visitor.visit_borrowed_bytes(self.skipped()?),
            name::CHANNEL => match self.head()? {
                Header::Tag(tag::CHANNEL) => self.visit_channel(visitor),
                header => Err(self.wrong_type(header, &"a channel")),
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
        match self.head()? {
            Header::Text(len) => {
                let item = self.item();
                let variant = self.text(len)?;
                let variant = StrDeserializer::<DecodeError>::new(&variant);
                visitor.visit_enum(variant).map_err(|error| error.at(item))
            }
            Header::Map(len @ (Some(1) | None)) => {
                let item = self.item();
                let mut entered = self.enter_map(len)?;
                if !self.next(&mut entered)? {
                    return Err(self.wrong_type(Header::Map(Some(0)), &visitor));
                }
                let value =
                    visitor.visit_enum(Variant(self, &mut entered)).map_err(|e| e.at(item))?;
                self.end(&mut entered, item)?;
                Ok(value)
            }
            header => Err(self.wrong_type(header, &visitor)),
        }
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

impl<'de> Reader<'de> {
    fn any<V: Visitor<'de>>(&mut self, header: Header, visitor: V) -> Result<V::Value> {
        let item = self.item();
        match header {
            Header::Positive(value) => visitor.visit_u64(value),
            Header::Negative(magnitude) => match i64::try_from(magnitude) {
                Ok(magnitude) => visitor.visit_i64(!magnitude),
                Err(_) => visitor.visit_i128(!i128::from(magnitude)),
            },
            Header::Float(value) => visitor.visit_f64(value),
            Header::Simple(simple::NULL) => visitor.visit_unit(),
            Header::Simple(simple::FALSE) => visitor.visit_bool(false),
            Header::Simple(simple::TRUE) => visitor.visit_bool(true),
            Header::Bytes(len) => match self.bytes(len)? {
                Cow::Borrowed(bytes) => visitor.visit_borrowed_bytes(bytes),
                Cow::Owned(bytes) => visitor.visit_byte_buf(bytes),
            },
            Header::Text(len) => match self.text(len)? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
            Header::Array(len) => self.visit_sequence(Sequence::List, len, visitor),
            Header::Map(len) => self.visit_map(len, visitor),
            Header::Tag(tag) => self.visit_tagged(tag, visitor),
            header => Err(self.not_an_item(header)),
        }
        .map_err(|error| error.at(item))
    }

    fn visit_sequence<V: Visitor<'de>>(
        &mut self,
        kind: Sequence,
        len: Option<usize>,
        visitor: V,
    ) -> Result<V::Value> {
        let item = self.item();
        let mut entered = self.enter(kind, len)?;
        let value = visitor.visit_seq(Items(self, &mut entered)).map_err(|error| error.at(item))?;
        self.end(&mut entered, item)?;
        Ok(value)
    }

    fn visit_map<V: Visitor<'de>>(&mut self, len: Option<usize>, visitor: V) -> Result<V::Value> {
        let item = self.item();
        let mut entered = self.enter_map(len)?;
        let value = visitor.visit_map(Items(self, &mut entered)).map_err(|error| error.at(item))?;
        self.end(&mut entered, item)?;
        Ok(value)
    }

    /// Shows the number as a newtype, which serde's own buffers keep apart from an int.
    fn visit_channel<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        let number = self.channel()?.get();
        visitor.visit_newtype_struct(U32Deserializer::new(number))
    }

    /// Reads what stands behind a tag.
    fn visit_tagged<V: Visitor<'de>>(&mut self, tag: u64, visitor: V) -> Result<V::Value> {
        match tag {
            tag::BIG_POSITIVE => match self.small_magnitude(tag)? {
                Some(magnitude) => visitor.visit_u128(magnitude),
                None => Err(DecodeError::custom("int beyond 128 bits; only a Value can hold it")),
            },
            tag::BIG_NEGATIVE => match self.small_magnitude(tag)?.map(i128::try_from) {
                Some(Ok(magnitude)) => visitor.visit_i128(!magnitude),
                _ => Err(DecodeError::custom("int beyond 128 bits; only a Value can hold it")),
            },
            tag::COMPLEX => visitor.visit_seq(SeqDeserializer::new(self.complex()?.into_iter())),
            tag::CHANNEL => self.visit_channel(visitor),
            _ => {
                let Some(kind) = Sequence::from_tag(tag) else {
                    return Err(self.fault(DecodeFault::BadTag(tag)));
                };
                let len = self.tagged_array(tag)?;
                self.visit_sequence(kind, len, visitor)
            }
        }
    }

    fn small_magnitude(&mut self, tag: u64) -> Result<Option<u128>> {
        let bytes = self.magnitude(tag)?;
        let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
        let digits = bytes.get(start..).unwrap_or_default();
        let value = digits.iter().fold(0u128, |value, byte| value << 8 | u128::from(*byte));
        Ok((digits.len() <= 16).then_some(value))
    }

    /// Leaves a container, of which nothing may be left unread.
    fn end(&mut self, entered: &mut Entered, item: usize) -> Result<()> {
        if self.next(entered)? {
            let fault = DecodeFault::Type("more items than the type asked for has".into());
            return Err(DecodeError::new(item, fault));
        }
        self.leave(entered);
        Ok(())
    }

    fn wrong_type(&self, found: Header, expected: &dyn serde::de::Expected) -> DecodeError {
        let found = match found {
            Header::Positive(value) => Unexpected::Unsigned(value),
            Header::Negative(_) => Unexpected::Other("negative int"),
            Header::Float(value) => Unexpected::Float(value),
            Header::Simple(simple::FALSE) => Unexpected::Bool(false),
            Header::Simple(simple::TRUE) => Unexpected::Bool(true),
            Header::Simple(simple::NULL) => Unexpected::Unit,
            Header::Bytes(_) => Unexpected::Other("bytes"),
            Header::Text(_) => Unexpected::Other("str"),
            Header::Array(_) => Unexpected::Seq,
            Header::Map(_) => Unexpected::Map,
            Header::Tag(tag) => match Sequence::from_tag(tag) {
                Some(kind) => Unexpected::Other(kind.name()),
                None => match tag {
                    tag::BIG_POSITIVE | tag::BIG_NEGATIVE => Unexpected::Other("int"),
                    tag::COMPLEX => Unexpected::Other("complex"),
                    tag::CHANNEL => Unexpected::Other("channel"),
                    _ => return self.fault(DecodeFault::BadTag(tag)),
                },
            },
            header => return self.not_an_item(header),
        };
        DecodeError::invalid_type(found, expected).at(self.item())
    }
}

/// The items of an array, or of a map.
struct Items<'a, 'de>(&'a mut Reader<'de>, &'a mut Entered);

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if self.0.next(self.1)? { seed.deserialize(&mut *self.0).map(Some) } else { Ok(None) }
    }

    fn size_hint(&self) -> Option<usize> {
        self.1.left
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if !self.0.next(self.1)? {
            return Ok(None);
        }
        self.0.key(|reader| seed.deserialize(reader)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        self.0.next_value(self.1)?;
        seed.deserialize(&mut *self.0)
    }

    fn size_hint(&self) -> Option<usize> {
        self.1.left.map(|left| left / 2)
    }
}

/// An enum's variant with what it holds: a map of one entry, whose key comes next.
struct Variant<'a, 'de>(&'a mut Reader<'de>, &'a mut Entered);

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        let variant = self.0.key(|reader| seed.deserialize(reader))?;
        self.0.next_value(self.1)?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
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
