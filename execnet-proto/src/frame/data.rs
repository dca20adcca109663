//! DATA: how a message is encoded.

/// The format of a message, on each of its fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// The payload is the value: a bytes object.
    Bytes,
    /// One CBOR item.
    Cbor,
    /// CPython's marshal; only to a side that announced it.
    Marshal,
}

impl Format {
    /// The three bits on the wire.
    pub(crate) const fn to_bits(self) -> u8 {
        match self {
            Self::Bytes => 0,
            Self::Cbor => 1,
            Self::Marshal => 2,
        }
    }

    pub(crate) const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::Bytes),
            1 => Some(Self::Cbor),
            2 => Some(Self::Marshal),
            _ => None,
        }
    }

    /// The name by which a HELLO announces it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Cbor => "cbor",
            Self::Marshal => "marshal",
        }
    }
}

/// Some of the formats, such as those that a side reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formats(u8);

impl Formats {
    /// What every side reads.
    pub const LEAST: Self = Self(1 << Format::Bytes.to_bits() | 1 << Format::Cbor.to_bits());

    /// Those with these names; other names are of formats that we do not know.
    pub(crate) fn named(names: &[String]) -> Self {
        let known = (0..8).filter_map(Format::from_bits);
        let named = known.filter(|format| names.iter().any(|name| name == format.name()));
        Self(named.fold(0, |bits, format| bits | 1 << format.to_bits()))
    }

    /// Whether `format` is one of them.
    #[must_use]
    #[inline]
    pub const fn contains(self, format: Format) -> bool {
        self.0 & 1 << format.to_bits() != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_the_formats_that_are_named() {
        let names = ["marshal", "msgpack", "cbor"].map(str::to_owned);
        let set = Formats::named(&names);
        assert!(set.contains(Format::Marshal) && set.contains(Format::Cbor));
        assert!(!set.contains(Format::Bytes));
        assert_eq!(Formats::named(&names[2..]), Formats::named(&names[1..]));
    }

    #[test]
    fn bits_and_formats_are_one_to_one() {
        let known = (0..=u8::MAX).filter_map(|bits| Some((bits, Format::from_bits(bits)?)));
        for (bits, format) in known.clone() {
            assert_eq!(format.to_bits(), bits);
        }
        let names = known.map(|(_, format)| format.name()).collect::<Vec<_>>();
        assert_eq!(names, ["bytes", "cbor", "marshal"]);
    }
}
