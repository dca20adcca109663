//! Names on the wire: which side, which channel.

use std::fmt;
use std::num::NonZeroU32;

/// One of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a link has two ends")]
pub enum Side {
    /// The side that started the link. Its channels have odd numbers.
    Connector,
    /// The other one. Its channels have even numbers.
    FarEnd,
}

impl Side {
    /// The other side.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Connector => Self::FarEnd,
            Self::FarEnd => Self::Connector,
        }
    }

    /// The number of the first channel that this side opens.
    #[must_use]
    pub const fn first_channel(self) -> ChannelId {
        match self {
            Self::Connector => ChannelId(NonZeroU32::MIN),
            Self::FarEnd => ChannelId(NonZeroU32::MIN.saturating_add(1)),
        }
    }
}

/// The number of a channel: never 0, and odd exactly when the connector opened it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(NonZeroU32);

impl ChannelId {
    /// A channel's number; `None` for 0, which is the connection's own.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number as it stands on the wire.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// Who opened it.
    #[must_use]
    pub const fn opener(self) -> Side {
        if self.get() % 2 == 1 { Side::Connector } else { Side::FarEnd }
    }

    /// The number that the same side opens next, or `None` when all are used up.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(2) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelId({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_tell_the_opener() {
        for side in [Side::Connector, Side::FarEnd] {
            let first = side.first_channel();
            assert_eq!(first.opener(), side);
            assert_eq!(first.next().unwrap().opener(), side);
            assert_eq!(first.next().unwrap().get(), first.get() + 2);
        }
        assert_eq!(ChannelId::new(0), None);
    }

    #[test]
    fn numbers_run_out_instead_of_wrapping() {
        assert_eq!(ChannelId::new(u32::MAX).unwrap().next(), None);
        assert_eq!(ChannelId::new(u32::MAX - 1).unwrap().next(), None);
        assert!(ChannelId::new(u32::MAX - 2).unwrap().next().is_some());
    }
}
