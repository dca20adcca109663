//! Serde's types, [`Value`] among them, to any format that can be written item by item.
//!
//! For CBOR not ciborium's serializer: that one shortens floats, bounds no depth, trusts announced
//! lengths, and cannot say where in a value the fault is.

use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};
use serde::{Serialize, Serializer};

use super::nesting::{Level, Nesting};
use super::{EncodeError, EncodeFault, Sequence, Value, name};

type Result<T = ()> = std::result::Result<T, EncodeError>;

/// A format, item by item. What may stand where is decided before it is asked.
pub(crate) trait Write {
    /// What it must know to close a container that it has opened.
    type Open: Copy;

    /// Where it is.
    fn nesting(&mut self) -> &mut Nesting;
    /// How many bytes have been written.
    fn len(&self) -> usize;
    /// What has been written between two places, read again, for a message.
    fn written(&self, start: usize, end: usize) -> Value;

    fn null(&mut self);
    fn bool(&mut self, value: bool);
    fn float(&mut self, value: f64);
    fn positive(&mut self, value: u64);
    /// The int −1 − `magnitude`.
    fn negative(&mut self, magnitude: u64);
    /// An int beyond 64 bits: the bytes written next are its magnitude, or that of −1 − the int.
    fn big(&mut self, negative: bool);
    /// The two floats written next are a complex.
    fn complex(&mut self);
    /// The int written next is a channel's number.
    fn channel(&mut self) -> Result;
    fn bytes(&mut self, bytes: &[u8]) -> Result;
    fn text(&mut self, text: &str) -> Result;
    /// Opens a sequence; `len` is what its `Serialize` says, and may be wrong.
    fn open_sequence(&mut self, kind: Sequence, len: Option<usize>) -> Self::Open;
    fn close_sequence(&mut self, open: Self::Open, written: usize) -> Result;
    /// Opens a dict. Its items are keys and values in turn.
    fn open_dict(&mut self, len: Option<usize>) -> Self::Open;
    fn close_dict(&mut self, open: Self::Open);
}

/// Serde's way into a format.
pub(crate) struct Encoder<'w, W>(pub(crate) &'w mut W);

impl<'w, W: Write> Serializer for Encoder<'w, W> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Compound<'w, W>;
    type SerializeTuple = Compound<'w, W>;
    type SerializeTupleStruct = Compound<'w, W>;
    type SerializeTupleVariant = Compound<'w, W>;
    type SerializeMap = Compound<'w, W>;
    type SerializeStruct = Compound<'w, W>;
    type SerializeStructVariant = Compound<'w, W>;

    fn serialize_bool(self, value: bool) -> Result {
        self.0.bool(value);
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
            Ok(value) => self.0.positive(value),
            Err(_) => self.0.negative(!value as u64),
        }
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Result {
        match u128::try_from(value) {
            Ok(value) => self.serialize_u128(value),
            Err(_) => match u64::try_from(!value) {
                Ok(magnitude) => {
                    self.0.negative(magnitude);
                    Ok(())
                }
                Err(_) => self.big(true, (!value) as u128),
            },
        }
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
        self.0.positive(value);
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result {
        match u64::try_from(value) {
            Ok(value) => {
                self.0.positive(value);
                Ok(())
            }
            Err(_) => self.big(false, value),
        }
    }

    fn serialize_f32(self, value: f32) -> Result {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result {
        self.0.float(value);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result {
        self.0.text(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result {
        self.0.bytes(value)
    }

    fn serialize_none(self) -> Result {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result {
        self.0.null();
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
            name::CHANNEL => self.0.channel()?,
            name::BIG_POSITIVE => self.0.big(false),
            name::BIG_NEGATIVE => self.0.big(true),
            _ => {
                if let Some(kind) = Sequence::from_name(name) {
                    self.0.nesting().ask(kind);
                    value.serialize(Encoder(&mut *self.0))?;
                    return self.0.nesting().asked();
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
        let mut map = Compound::dict(self.0, Some(1))?;
        map.serialize_entry(variant, value)?;
        map.finish()
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Compound<'w, W>> {
        Compound::sequence(self.0, len)
    }

    fn serialize_tuple(self, len: usize) -> Result<Compound<'w, W>> {
        Compound::sequence(self.0, Some(len))
    }

    fn serialize_tuple_struct(self, name: &'static str, len: usize) -> Result<Compound<'w, W>> {
        if name == name::COMPLEX {
            self.0.complex();
            return Ok(Compound::new(self.0, Shape::Complex, Some(len)));
        }
        Compound::sequence(self.0, Some(len))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Compound<'w, W>> {
        let outer = Compound::variant(self.0, variant)?;
        Ok(Compound { outer: Some(outer), ..Compound::sequence(self.0, Some(len))? })
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Compound<'w, W>> {
        Compound::dict(self.0, len)
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Compound<'w, W>> {
        Compound::dict(self.0, Some(len))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Compound<'w, W>> {
        let outer = Compound::variant(self.0, variant)?;
        Ok(Compound { outer: Some(outer), ..Compound::dict(self.0, Some(len))? })
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

impl<W: Write> Encoder<'_, W> {
    fn big(self, negative: bool, magnitude: u128) -> Result {
        let zeros = magnitude.leading_zeros() / 8;
        self.0.big(negative);
        self.0.bytes(magnitude.to_be_bytes().get(zeros as usize..).unwrap_or_default())
    }
}

/// A container that serde is filling.
pub(crate) struct Compound<'w, W: Write> {
    writer: &'w mut W,
    shape: Shape<W::Open>,
    /// The dict of one entry around it: the variant of an enum.
    outer: Option<(W::Open, Level, &'static str)>,
    /// How many items serde announced; the entry of a map counts as two.
    announced: Option<usize>,
    /// How many it has written.
    written: usize,
    /// Where the last key begins in the bytes, and where it ends.
    key: (usize, usize),
}

enum Shape<O> {
    Sequence(O, Level),
    Dict(O, Level),
    /// Not a container: a complex's two floats.
    Complex,
}

impl<'w, W: Write> Compound<'w, W> {
    fn new(writer: &'w mut W, shape: Shape<W::Open>, announced: Option<usize>) -> Self {
        Self { writer, shape, outer: None, announced, written: 0, key: (0, 0) }
    }

    fn sequence(writer: &'w mut W, len: Option<usize>) -> Result<Self> {
        let (kind, level) = writer.nesting().enter_sequence()?;
        let open = writer.open_sequence(kind, len);
        Ok(Self::new(writer, Shape::Sequence(open, level), len))
    }

    fn dict(writer: &'w mut W, len: Option<usize>) -> Result<Self> {
        let level = writer.nesting().enter_dict()?;
        let open = writer.open_dict(len);
        Ok(Self::new(writer, Shape::Dict(open, level), len.map(|len| len.saturating_mul(2))))
    }

    /// The dict around a variant's content, up to that content.
    fn variant(writer: &mut W, name: &'static str) -> Result<(W::Open, Level, &'static str)> {
        let level = writer.nesting().enter_dict()?;
        let open = writer.open_dict(Some(1));
        writer.text(name)?;
        Ok((open, level, name))
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.written += 1;
        value.serialize(Encoder(&mut *self.writer)).map_err(|error| self.locate(error))
    }

    fn map_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result {
        self.written += 1;
        let start = self.writer.len();
        let before = self.writer.nesting().begin_key();
        let result = key.serialize(Encoder(&mut *self.writer));
        self.writer.nesting().end_key(before);
        result?;
        self.key = (start, self.writer.len());
        Ok(())
    }

    /// Says where in the container the error was found.
    fn locate(&self, error: EncodeError) -> EncodeError {
        let error = match &self.shape {
            Shape::Sequence(_, level) if level.has_paths() => error.within(self.written - 1),
            Shape::Dict(_, level) if level.has_paths() => {
                error.within(self.writer.written(self.key.0, self.key.1))
            }
            _ => error,
        };
        match self.outer {
            Some((_, _, variant)) => error.within(Value::from(variant)),
            None => error,
        }
    }

    fn finish(self) -> Result {
        let Self { writer, shape, outer, announced, written, .. } = self;
        if let Some(announced) = announced
            && announced != written
        {
            return Err(EncodeFault::WrongLength { announced, written }.into());
        }
        match shape {
            Shape::Sequence(open, level) => {
                writer.close_sequence(open, written)?;
                writer.nesting().leave(level);
            }
            Shape::Dict(open, level) => {
                writer.close_dict(open);
                writer.nesting().leave(level);
            }
            Shape::Complex => {}
        }
        if let Some((open, level, _)) = outer {
            writer.close_dict(open);
            writer.nesting().leave(level);
        }
        Ok(())
    }
}

impl<W: Write> SerializeMap for Compound<'_, W> {
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
        $(impl<W: Write> $trait for Compound<'_, W> {
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
        $(impl<W: Write> $trait for Compound<'_, W> {
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
