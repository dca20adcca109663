//! Serde's types, [`Value`](crate::Value) among them, to CBOR.
//!
//! Not ciborium's serializer: that one shortens floats, bounds no depth, trusts announced lengths,
//! and cannot say where in a value the fault is.

use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};
use serde::{Serialize, Serializer};

use super::decode;
use super::error::{EncodeError, EncodeFault};
use super::tag::{self, Sequence, name};
use super::write::{Opened, Writer};
use crate::Value;

type Result<T = ()> = std::result::Result<T, EncodeError>;

impl<'w, 'a> Serializer for &'w mut Writer<'a> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Compound<'w, 'a>;
    type SerializeTuple = Compound<'w, 'a>;
    type SerializeTupleStruct = Compound<'w, 'a>;
    type SerializeTupleVariant = Compound<'w, 'a>;
    type SerializeMap = Compound<'w, 'a>;
    type SerializeStruct = Compound<'w, 'a>;
    type SerializeStructVariant = Compound<'w, 'a>;

    fn serialize_bool(self, value: bool) -> Result {
        self.bool(value);
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result {
        match u64::try_from(value) {
            Ok(value) => self.positive(value),
            Err(_) => self.negative(!value as u64),
        }
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Result {
        match u128::try_from(value) {
            Ok(value) => return self.serialize_u128(value),
            Err(_) => match u64::try_from(!value) {
                Ok(magnitude) => self.negative(magnitude),
                Err(_) => self.big(tag::BIG_NEGATIVE, (!value) as u128),
            },
        }
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Result {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result {
        self.positive(value);
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result {
        match u64::try_from(value) {
            Ok(value) => self.positive(value),
            Err(_) => self.big(tag::BIG_POSITIVE, value),
        }
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result {
        self.float(value);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result {
        self.text(value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result {
        self.bytes(value);
        Ok(())
    }

    fn serialize_none(self) -> Result {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result {
        self.null();
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result {
        match name {
            name::CHANNEL => self.tag(tag::CHANNEL),
            name::BIG_POSITIVE => self.tag(tag::BIG_POSITIVE),
            name::BIG_NEGATIVE => self.tag(tag::BIG_NEGATIVE),
            _ => {
                if let Some(kind) = Sequence::from_name(name) {
                    return self.sequence(kind, |writer| value.serialize(writer));
                }
            }
        }
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result {
        let mut map = Compound::map(self, Some(1))?;
        map.serialize_entry(variant, value)?;
        map.finish()
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Compound<'w, 'a>> {
        Compound::array(self, len)
    }

    fn serialize_tuple(self, len: usize) -> Result<Compound<'w, 'a>> {
        Compound::array(self, Some(len))
    }

    fn serialize_tuple_struct(self, name: &'static str, len: usize) -> Result<Compound<'w, 'a>> {
        if name == name::COMPLEX {
            self.complex();
            return Ok(Compound::new(self, Shape::Complex, Some(len)));
        }
        Compound::array(self, Some(len))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Compound<'w, 'a>> {
        let outer = Compound::variant(self, variant)?;
        Ok(Compound { outer: Some(outer), ..Compound::array(self, Some(len))? })
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Compound<'w, 'a>> {
        Compound::map(self, len)
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Compound<'w, 'a>> {
        Compound::map(self, Some(len))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Compound<'w, 'a>> {
        let outer = Compound::variant(self, variant)?;
        Ok(Compound { outer: Some(outer), ..Compound::map(self, Some(len))? })
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// A container that serde is filling.
pub(super) struct Compound<'w, 'a> {
    writer: &'w mut Writer<'a>,
    shape: Shape,
    /// The map of one entry around it: the variant of an enum.
    outer: Option<(Opened, &'static str)>,
    /// How many items serde announced; the entry of a map counts as two.
    announced: Option<usize>,
    /// How many it has written.
    written: usize,
    /// Where the last key begins in the bytes, and where it ends.
    key: (usize, usize),
}

enum Shape {
    Array(Opened),
    Map(Opened),
    /// Not a container: a complex's two floats.
    Complex,
}

impl<'w, 'a> Compound<'w, 'a> {
    fn new(writer: &'w mut Writer<'a>, shape: Shape, announced: Option<usize>) -> Self {
        Self { writer, shape, outer: None, announced, written: 0, key: (0, 0) }
    }

    fn array(writer: &'w mut Writer<'a>, len: Option<usize>) -> Result<Self> {
        let opened = writer.open_array(len)?;
        Ok(Self::new(writer, Shape::Array(opened), len))
    }

    fn map(writer: &'w mut Writer<'a>, len: Option<usize>) -> Result<Self> {
        let opened = writer.open_map(len)?;
        Ok(Self::new(writer, Shape::Map(opened), len.map(|len| len.saturating_mul(2))))
    }

    /// The map around a variant's content, up to that content.
    fn variant(writer: &mut Writer<'a>, name: &'static str) -> Result<(Opened, &'static str)> {
        let opened = writer.open_map(Some(1))?;
        writer.text(name);
        Ok((opened, name))
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.written += 1;
        value.serialize(&mut *self.writer).map_err(|error| self.locate(error))
    }

    fn map_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result {
        self.written += 1;
        let start = self.writer.len();
        self.writer.key(|writer| key.serialize(writer))?;
        self.key = (start, self.writer.len());
        Ok(())
    }

    /// Says where in the container the error was found.
    fn locate(&self, error: EncodeError) -> EncodeError {
        let error = match &self.shape {
            Shape::Array(opened) if opened.has_paths() => error.within(self.written - 1),
            Shape::Map(opened) if opened.has_paths() => {
                let key = self.writer.between(self.key.0, self.key.1);
                error.within(decode(key).unwrap_or_default())
            }
            _ => error,
        };
        match self.outer {
            Some((_, variant)) => error.within(Value::from(variant)),
            None => error,
        }
    }

    fn finish(self) -> Result {
        if let Some(announced) = self.announced
            && announced != self.written
        {
            return Err(EncodeFault::WrongLength { announced, written: self.written }.into());
        }
        if let Shape::Array(opened) | Shape::Map(opened) = &self.shape {
            self.writer.close(opened);
        }
        if let Some((outer, _)) = &self.outer {
            self.writer.close(outer);
        }
        Ok(())
    }
}

impl SerializeMap for Compound<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result {
        self.map_key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.item(value)
    }

    fn end(self) -> Result {
        self.finish()
    }
}

macro_rules! items {
    ($($trait:ident $method:ident)*) => {
        $(impl $trait for Compound<'_, '_> {
            type Ok = ();
            type Error = EncodeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
                self.item(value)
            }

            fn end(self) -> Result {
                self.finish()
            }
        })*
    };
}

items! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}

macro_rules! fields {
    ($($trait:ident)*) => {
        $(impl $trait for Compound<'_, '_> {
            type Ok = ();
            type Error = EncodeError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result {
                self.map_key(name)?;
                self.item(value)
            }

            fn end(self) -> Result {
                self.finish()
            }
        })*
    };
}

fields! { SerializeStruct SerializeStructVariant }
