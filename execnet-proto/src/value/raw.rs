//! A message in the format bytes, for serde: the payload is the value.

use bytes::Bytes;
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use super::DecodeError;
use super::de::visit_octets;

/// A message in the format bytes as anything that serde deserializes from a bytes object: `Bytes`,
/// `serde_bytes`, a [`Value`](super::Value), or a sequence of ints.
///
/// Types that keep the bytes as a whole take the payload's memory over, if nothing else shares it.
///
/// ```
/// use bytes::Bytes;
///
/// let payload = Bytes::from(vec![7; 1 << 20]);
/// let address = payload.as_ptr();
/// let taken: Bytes = execnet_proto::from_bytes_message(payload)?;
/// assert_eq!(taken.as_ptr(), address);
/// # Ok::<(), execnet_proto::DecodeError>(())
/// ```
///
/// # Errors
///
/// [`DecodeFault::Type`](super::DecodeFault::Type): a `T` is no bytes object.
pub fn from_bytes_message<T: for<'de> Deserialize<'de>>(payload: Bytes) -> Result<T, DecodeError> {
    T::deserialize(Raw(payload)).map_err(|error| error.at(0))
}

struct Raw(Bytes);

impl Raw {
    fn wrong_type<T>(expected: &dyn serde::de::Expected) -> Result<T, DecodeError> {
        Err(DecodeError::invalid_type(Unexpected::Other("bytes"), expected))
    }
}

/// What is not text here, however well it looks.
macro_rules! refuse {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            Self::wrong_type(&visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Raw {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_byte_buf(self.0.into())
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visit_octets(&self.0, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        Self::wrong_type(&visitor)
    }

    refuse! { deserialize_str deserialize_string deserialize_char deserialize_identifier }

    fn is_human_readable(&self) -> bool {
        false
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64
        bytes byte_buf unit unit_struct map struct ignored_any
    }
}
