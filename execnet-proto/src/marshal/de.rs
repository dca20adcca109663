//! Serde's types from marshal.

use serde::de::value::{SeqDeserializer, StrDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::Result;
use super::read::{Entered, Head, Reader};
use crate::value::{DecodeError, DecodeFault, Sequence, name};

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let head = self.head()?;
        self.any(head, visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.head()? {
            // What serde calls a sequence of u8 may be a bytes object there.
            Head::Bytes(len) => {
                let item = self.item();
                let bytes = self.bytes(len)?;
                let mut items = SeqDeserializer::new(bytes.iter().copied());
                let value =
                    visitor.visit_seq(&mut items).map_err(|error: DecodeError| error.at(item))?;
                items.end().map_err(|error: DecodeError| error.at(item))?;
                Ok(value)
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
        if self.is_none_next() {
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
            name::VALUE => visitor.visit_bytes(self.skipped()?),
            name::CHANNEL => {
                let head = self.head()?;
                Err(self.wrong_type(head, &"a channel"))
            }
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
            Head::Text(len) => {
                let item = self.item();
                let variant = StrDeserializer::<DecodeError>::new(self.text(len)?);
                visitor.visit_enum(variant).map_err(|error| error.at(item))
            }
            Head::Dict => {
                let item = self.item();
                let mut entered = self.enter_dict()?;
                if !self.next(&mut entered)? {
                    let expected = &"a dict of one entry";
                    return Err(DecodeError::invalid_length(0, expected).at(item));
                }
                let value = visitor.visit_enum(Variant(self)).map_err(|e| e.at(item))?;
                self.end(&mut entered, item)?;
                Ok(value)
            }
            head => Err(self.wrong_type(head, &visitor)),
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
    fn any<V: Visitor<'de>>(&mut self, head: Head, visitor: V) -> Result<V::Value> {
        let item = self.item();
        match head {
            Head::Int(value) => match u32::try_from(value) {
                Ok(value) => visitor.visit_u64(value.into()),
                Err(_) => visitor.visit_i64(value.into()),
            },
            Head::Float(value) => visitor.visit_f64(value),
            Head::None => visitor.visit_unit(),
            Head::Bool(value) => visitor.visit_bool(value),
            Head::Bytes(len) => visitor.visit_borrowed_bytes(self.bytes(len)?),
            Head::Text(len) => visitor.visit_borrowed_str(self.text(len)?),
            Head::Sequence(kind, len) => self.visit_sequence(kind, len, visitor),
            Head::Dict => self.visit_dict(visitor),
            Head::Long { negative, digits } => self.visit_long(negative, digits, visitor),
            Head::Complex(real, imaginary) => {
                visitor.visit_seq(SeqDeserializer::new([real, imaginary].into_iter()))
            }
            Head::End => Err(self.misplaced_end()),
        }
        .map_err(|error| error.at(item))
    }

    fn visit_sequence<V: Visitor<'de>>(
        &mut self,
        kind: Sequence,
        len: usize,
        visitor: V,
    ) -> Result<V::Value> {
        let item = self.item();
        let mut entered = self.enter(kind, len)?;
        let value = visitor.visit_seq(Items(self, &mut entered)).map_err(|error| error.at(item))?;
        self.end(&mut entered, item)?;
        Ok(value)
    }

    fn visit_dict<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        let item = self.item();
        let mut entered = self.enter_dict()?;
        let value = visitor.visit_map(Items(self, &mut entered)).map_err(|error| error.at(item))?;
        self.end(&mut entered, item)?;
        Ok(value)
    }

    fn visit_long<V: Visitor<'de>>(
        &mut self,
        negative: bool,
        digits: usize,
        visitor: V,
    ) -> Result<V::Value> {
        let digits = self.digits(digits)?;
        let value = match digits.small(negative) {
            Some(value) => Ok(value),
            None => {
                let value = digits.big(negative);
                if let Ok(value) = u128::try_from(&value) {
                    return visitor.visit_u128(value);
                }
                i128::try_from(value)
            }
        };
        let Ok(value) = value else {
            return Err(DecodeError::custom("int beyond 128 bits; only a Value can hold it"));
        };
        if let Ok(value) = u64::try_from(value) {
            visitor.visit_u64(value)
        } else if let Ok(value) = i64::try_from(value) {
            visitor.visit_i64(value)
        } else {
            visitor.visit_i128(value)
        }
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

    fn wrong_type(&self, found: Head, expected: &dyn serde::de::Expected) -> DecodeError {
        let found = match found {
            Head::Int(value) => Unexpected::Signed(value.into()),
            Head::Long { .. } => Unexpected::Other("int"),
            Head::Float(value) => Unexpected::Float(value),
            Head::Complex(..) => Unexpected::Other("complex"),
            Head::Bool(value) => Unexpected::Bool(value),
            Head::None => Unexpected::Unit,
            Head::Bytes(_) => Unexpected::Other("bytes"),
            Head::Text(_) => Unexpected::Other("str"),
            Head::Sequence(Sequence::List, _) => Unexpected::Seq,
            Head::Sequence(kind, _) => Unexpected::Other(kind.name()),
            Head::Dict => Unexpected::Map,
            Head::End => return self.misplaced_end(),
        };
        DecodeError::invalid_type(found, expected).at(self.item())
    }
}

/// The items of a sequence, or of a dict.
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
        seed.deserialize(&mut *self.0)
    }
}

/// An enum's variant with what it holds: a dict of one entry, whose key comes next.
struct Variant<'a, 'de>(&'a mut Reader<'de>);

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        let variant = self.0.key(|reader| seed.deserialize(reader))?;
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
