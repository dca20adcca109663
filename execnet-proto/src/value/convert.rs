//! Rust's types as values.

use bytes::Bytes;
use num_bigint::{BigInt, BigUint};

use super::Value;
use crate::ChannelId;

impl Value {
    /// The int −1 − `magnitude`, as CBOR writes negative ints.
    pub(crate) fn negative(magnitude: impl Into<BigUint>) -> Self {
        Self::from(-1 - BigInt::from(magnitude.into()))
    }
}

impl From<BigInt> for Value {
    fn from(value: BigInt) -> Self {
        match i64::try_from(&value) {
            Ok(small) => Self::Int(small),
            Err(_) => Self::BigInt(value),
        }
    }
}

macro_rules! from_int {
    (fits: $($small:ty)*; may_not: $($large:ty)*) => {
        $(impl From<$small> for Value {
            fn from(value: $small) -> Self {
                Self::Int(value.into())
            }
        })*
        $(impl From<$large> for Value {
            fn from(value: $large) -> Self {
                match i64::try_from(value) {
                    Ok(small) => Self::Int(small),
                    Err(_) => Self::BigInt(value.into()),
                }
            }
        })*
    };
}

from_int! { fits: i8 i16 i32 i64 u8 u16 u32; may_not: u64 usize isize i128 u128 }

macro_rules! from_variant {
    ($($from:ty => $variant:ident)*) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

from_variant! {
    bool => Bool
    f32 => Float
    f64 => Float
    Bytes => Bytes
    Vec<u8> => Bytes
    String => Str
    &str => Str
    ChannelId => Channel
    Vec<Value> => List
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(Bytes::copy_from_slice(value))
    }
}

impl From<()> for Value {
    fn from((): ()) -> Self {
        Self::None
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ints_take_the_smallest_form() {
        assert_eq!(Value::from(u64::MAX / 2), Value::Int(i64::MAX));
        assert_eq!(Value::from(u64::MAX / 2 + 1), Value::BigInt(BigInt::from(1u64 << 63)));
        assert_eq!(Value::from(i128::from(i64::MIN)), Value::Int(i64::MIN));
        assert_eq!(Value::from(BigInt::from(-7)), Value::Int(-7));
        assert_eq!(Value::negative(0u64), Value::Int(-1));
        assert_eq!(Value::negative(u64::MAX / 2), Value::Int(i64::MIN));
        assert_eq!(Value::negative(u64::MAX), Value::BigInt(-BigInt::from(1u128 << 64)));
    }

    #[test]
    fn options_are_the_value_or_none() {
        assert_eq!(Value::from(Some("x")), Value::Str("x".into()));
        assert_eq!(Value::from(None::<i64>), Value::None);
        assert_eq!(Value::from(()), Value::None);
    }
}
