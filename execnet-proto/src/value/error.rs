//! What can be wrong with a value to be encoded, or with bytes to be decoded, in any format.

use std::fmt;

use super::MAX_DEPTH;

/// A value that cannot cross, and where it is. The caller's own fault: nothing was sent.
///
/// ```
/// use execnet_proto::{Value, cbor};
///
/// let bad = Value::dict([(Value::list([1]), "x")]);
/// let value = Value::dict([("jobs", Value::list([Value::Int(7), bad]))]);
/// let error = cbor::encode(&value).unwrap_err();
/// assert_eq!(error.path(), "['jobs'][1]");
/// assert_eq!(
///     error.to_string(),
///     "value['jobs'][1]: a list is not hashable, so it cannot be in a dict's key or in a set",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError(Box<EncodeInner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct EncodeInner {
    path: String,
    fault: EncodeFault,
}

/// What is wrong with a value to be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeFault {
    /// A list, set or dict in the key of a dict, or among the members of a set.
    #[error("a {what} is not hashable, so it cannot be in a dict's key or in a set")]
    NotHashable {
        /// Python's name of its type.
        what: &'static str,
    },
    /// Containers in containers, deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// A [`Tuple`](super::Tuple), [`Set`](super::Set) or [`FrozenSet`](super::FrozenSet) around
    /// something that is not a sequence.
    #[error("a {kind} of something that is not a sequence")]
    NotSequence {
        /// Python's name of the type asked for.
        kind: &'static str,
    },
    /// A type's `Serialize` announced another number of items than it wrote.
    #[error("its Serialize announced {announced} items and wrote {written}")]
    WrongLength {
        /// The number announced; a map's entry counts as two.
        announced: usize,
        /// The number written.
        written: usize,
    },
    /// What marshal has no form for: a channel, or what is longer than its lengths.
    #[error("{what} can only be sent as CBOR")]
    NeedsCbor {
        /// What it is.
        what: &'static str,
    },
    /// A type's `Serialize` refused.
    #[error("{0}")]
    Serialize(String),
}

impl EncodeError {
    /// Where the value is in what was given to encode, as Python would index it:
    /// `['jobs'][1]`. Empty when it is the outermost one.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// What is wrong there.
    #[must_use]
    pub fn fault(&self) -> &EncodeFault {
        &self.0.fault
    }

    /// The same fault, found within the item of this index.
    pub(crate) fn within(mut self, index: impl fmt::Display) -> Self {
        self.0.path.insert_str(0, &format!("[{index}]"));
        self
    }
}

impl From<EncodeFault> for EncodeError {
    fn from(fault: EncodeFault) -> Self {
        Self(Box::new(EncodeInner { path: String::new(), fault }))
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As much of a long path as leads to the right place.
        const MOST: usize = 120;
        let path = self.path();
        match path.char_indices().nth(MOST) {
            Some((end, _)) => write!(f, "value{}…: ", path.get(..end).unwrap_or(path))?,
            None => write!(f, "value{path}: ")?,
        }
        self.fault().fmt(f)
    }
}

impl std::error::Error for EncodeError {}

impl serde::ser::Error for EncodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        EncodeFault::Serialize(message.to_string()).into()
    }
}

/// Bytes that are not a value, or not one of the type asked for.
///
/// With [`DecodeFault::Type`] the value itself is sound, and it is a matter between the two
/// programs; everything else is the fault of whoever wrote the bytes.
///
/// ```
/// use execnet_proto::cbor::{self, DecodeFault};
///
/// let error = cbor::decode(b"\x82\x01").unwrap_err();
/// assert_eq!((error.offset(), error.fault()), (0, &DecodeFault::LengthExceedsInput { claimed: 2, left: 1 }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {fault}")]
pub struct DecodeError {
    offset: usize,
    fault: DecodeFault,
}

/// What is wrong with bytes to be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeFault {
    /// The bytes end within an item.
    #[error("the bytes end where an item should begin or go on")]
    Truncated,
    /// There are bytes behind the item.
    #[error("{count} bytes left over behind the value")]
    LeftOver {
        /// How many.
        count: usize,
    },
    /// Containers in containers, deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// A length that the bytes cannot hold. Nothing was allocated for it.
    #[error("a length of {claimed} where at most {left} are left")]
    LengthExceedsInput {
        /// The length: bytes of a string, items of an array, keys and values of a map.
        claimed: u64,
        /// Bytes left that nothing before lays claim to.
        left: usize,
    },
    /// A head that CBOR reserves, a break where there is nothing to end, or a chunk of another type
    /// within a string.
    #[error("not a CBOR item")]
    BadHead,
    /// `undefined`, or another simple value that is not `false`, `true` or `null`.
    #[error("simple value {0}; only false, true and null stand for something")]
    BadSimple(u8),
    /// A tag that the format does not use.
    #[error("unknown tag {0}")]
    BadTag(u64),
    /// A tag of the format on an item that it cannot stand on.
    #[error("tag {tag} on {on}")]
    BadTagged {
        /// The tag.
        tag: u64,
        /// What it stood on.
        on: &'static str,
    },
    /// A channel's number that is 0, or does not fit into 32 bits.
    #[error("channel number {0}; expected 1 to {max}", max = u32::MAX)]
    BadChannel(u64),
    /// Text that is not UTF-8; with lone surrogates in it, it is not.
    #[error("text that is not UTF-8")]
    InvalidUtf8,
    /// In marshal, what is not data, or no item at all.
    #[error("type code 0x{code:02x}, {what}")]
    BadCode {
        /// The byte.
        code: u8,
        /// What CPython takes it for.
        what: &'static str,
    },
    /// In marshal, a length below 0.
    #[error("a length of {0}")]
    BadLength(i32),
    /// In marshal, an int with a digit of 2¹⁵ or more, or with a 0 as the highest one.
    #[error("an int whose digits are not those that marshal writes")]
    BadDigits,
    /// A list, set or dict in the key of a dict, or among the members of a set.
    #[error("a {what} is not hashable, so it cannot be in a dict's key or in a set")]
    NotHashable {
        /// Python's name of its type.
        what: &'static str,
    },
    /// A sound value, but not one of the type asked for: serde's message.
    #[error("{0}")]
    Type(String),
}

impl DecodeError {
    pub(crate) const fn new(offset: usize, fault: DecodeFault) -> Self {
        Self { offset, fault }
    }

    /// Where in the bytes: the first byte of the item that is at fault.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// What is wrong there.
    #[must_use]
    pub const fn fault(&self) -> &DecodeFault {
        &self.fault
    }

    /// Gives a message of serde's, which knows no offsets, the one where it arose.
    pub(crate) fn at(mut self, offset: usize) -> Self {
        if self.offset == UNKNOWN {
            self.offset = offset;
        }
        self
    }
}

/// Stands in an error that serde made, until [`DecodeError::at`].
const UNKNOWN: usize = usize::MAX;

impl serde::de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(UNKNOWN, DecodeFault::Type(message.to_string()))
    }
}
