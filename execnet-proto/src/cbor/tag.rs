//! Tags on the wire.

use crate::value::Sequence;

/// A positive int beyond 64 bits: a byte string, its magnitude.
pub const BIG_POSITIVE: u64 = 2;
/// A negative int beyond 64 bits: a byte string, the magnitude of −1 − the int.
pub const BIG_NEGATIVE: u64 = 3;
/// A set: an array.
pub const SET: u64 = 258;
/// A complex: an array of two floats.
pub const COMPLEX: u64 = 43000;
/// A tuple: an array.
pub const TUPLE: u64 = 45101;
/// A frozenset: an array.
pub const FROZENSET: u64 = 45102;
/// A channel: its number.
pub const CHANNEL: u64 = 45103;

impl Sequence {
    pub(super) const fn from_tag(tag: u64) -> Option<Self> {
        match tag {
            TUPLE => Some(Self::Tuple),
            SET => Some(Self::Set),
            FROZENSET => Some(Self::FrozenSet),
            _ => None,
        }
    }

    pub(super) const fn tag(self) -> Option<u64> {
        match self {
            Self::List => None,
            Self::Tuple => Some(TUPLE),
            Self::Set => Some(SET),
            Self::FrozenSet => Some(FROZENSET),
        }
    }
}
