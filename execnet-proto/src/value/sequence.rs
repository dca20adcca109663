//! The four kinds of sequence, and the names by which types ask for what serde has no word for.

/// What a sequence stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sequence {
    List,
    Tuple,
    Set,
    FrozenSet,
}

impl Sequence {
    /// The kind that a newtype asks for by its name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            name::LIST => Some(Self::List),
            "execnet::Tuple" => Some(Self::Tuple),
            "execnet::Set" => Some(Self::Set),
            "execnet::FrozenSet" => Some(Self::FrozenSet),
            _ => None,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Tuple => "tuple",
            Self::Set => "set",
            Self::FrozenSet => "frozenset",
        }
    }

    pub(crate) const fn is_hashable(self) -> bool {
        matches!(self, Self::Tuple | Self::FrozenSet)
    }

    /// Whether what is in it must be hashable in any case.
    pub(crate) const fn has_members(self) -> bool {
        matches!(self, Self::Set | Self::FrozenSet)
    }
}

/// The names under which newtypes ask this crate's serde functions for what serde has no word for.
/// Other formats pass over them.
pub(crate) mod name {
    pub(crate) const BIG_POSITIVE: &str = "execnet::BigPositive";
    pub(crate) const BIG_NEGATIVE: &str = "execnet::BigNegative";
    pub(crate) const CHANNEL: &str = "execnet::Channel";
    pub(crate) const COMPLEX: &str = "execnet::Complex";
    /// A list even where only a tuple is possible, and so an error there.
    pub(crate) const LIST: &str = "execnet::List";
    pub(crate) const VALUE: &str = "execnet::Value";
}
