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

#[cfg(test)]
mod tests {
    use super::*;

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
