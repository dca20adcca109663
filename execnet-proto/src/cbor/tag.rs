//! Tags on the wire, and the four kinds of sequence that they tell apart.

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

/// What an array stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sequence {
    List,
    Tuple,
    Set,
    FrozenSet,
}

impl Sequence {
    pub(super) const fn from_tag(tag: u64) -> Option<Self> {
        match tag {
            TUPLE => Some(Self::Tuple),
            SET => Some(Self::Set),
            FROZENSET => Some(Self::FrozenSet),
            _ => None,
        }
    }

    /// The kind that a newtype asks for by its name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            name::LIST => Some(Self::List),
            "execnet::Tuple" => Some(Self::Tuple),
            "execnet::Set" => Some(Self::Set),
            "execnet::FrozenSet" => Some(Self::FrozenSet),
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

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Tuple => "tuple",
            Self::Set => "set",
            Self::FrozenSet => "frozenset",
        }
    }

    pub(super) const fn is_hashable(self) -> bool {
        matches!(self, Self::Tuple | Self::FrozenSet)
    }

    /// Whether what is in it must be hashable in any case.
    pub(super) const fn has_members(self) -> bool {
        matches!(self, Self::Set | Self::FrozenSet)
    }
}

/// The names under which newtypes ask this crate's serde functions for what serde has no word for.
/// Other formats pass over them.
pub(super) mod name {
    pub(in crate::cbor) const BIG_POSITIVE: &str = "execnet::BigPositive";
    pub(in crate::cbor) const BIG_NEGATIVE: &str = "execnet::BigNegative";
    pub(in crate::cbor) const CHANNEL: &str = "execnet::Channel";
    pub(in crate::cbor) const COMPLEX: &str = "execnet::Complex";
    /// A list even where only a tuple is possible, and so an error there.
    pub(in crate::cbor) const LIST: &str = "execnet::List";
    pub(in crate::cbor) const VALUE: &str = "execnet::Value";
}
