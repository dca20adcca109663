//! CBOR items at the end of a buffer, head by head: every check on what we write that does not
//! depend on what it is written from.

use bytes::{BufMut, BytesMut};

use super::MAX_DEPTH;
use super::error::{EncodeError, EncodeFault};
use super::tag::{self, Sequence};

type Result<T = ()> = std::result::Result<T, EncodeError>;

/// Major types, as they stand in a head.
const POSITIVE: u8 = 0 << 5;
const NEGATIVE: u8 = 1 << 5;
const BYTES: u8 = 2 << 5;
const TEXT: u8 = 3 << 5;
const ARRAY: u8 = 4 << 5;
const MAP: u8 = 5 << 5;
const TAG: u8 = 6 << 5;
/// Beside the major type of a container: a break ends it.
const INDEFINITE: u8 = 31;

/// Whole heads.
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;
const FLOAT: u8 = 0xfb;
const BREAK: u8 = 0xff;

/// The end of a buffer.
pub(super) struct Writer<'a> {
    out: &'a mut BytesMut,
    /// Containers that we are in.
    depth: usize,
    /// Whether we are in a key or a member, where only what is hashable may stand.
    in_key: bool,
    /// What the next array is to be, when it was asked for.
    kind: Option<Sequence>,
}

/// A container that has been opened.
#[must_use]
pub(super) struct Opened {
    /// Ended by a break.
    indefinite: bool,
    /// Its items must be hashable.
    members: bool,
    /// To be set again when it is closed.
    in_key: bool,
}

impl<'a> Writer<'a> {
    pub(super) const fn new(out: &'a mut BytesMut) -> Self {
        Self { out, depth: 0, in_key: false, kind: None }
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    /// The bytes between two places.
    pub(super) fn between(&self, start: usize, end: usize) -> &[u8] {
        self.out.get(start..end).unwrap_or_default()
    }

    pub(super) fn null(&mut self) {
        self.out.put_u8(NULL);
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.out.put_u8(if value { TRUE } else { FALSE });
    }

    pub(super) fn float(&mut self, value: f64) {
        self.out.put_u8(FLOAT);
        self.out.put_f64(value);
    }

    pub(super) fn positive(&mut self, value: u64) {
        self.head(POSITIVE, value);
    }

    /// The int −1 − `magnitude`.
    pub(super) fn negative(&mut self, magnitude: u64) {
        self.head(NEGATIVE, magnitude);
    }

    /// An int beyond 64 bits: a tag and a magnitude.
    pub(super) fn big(&mut self, tag: u64, magnitude: u128) {
        self.head(TAG, tag);
        let zeros = magnitude.leading_zeros() / 8;
        self.bytes(magnitude.to_be_bytes().get(zeros as usize..).unwrap_or_default());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.head(BYTES, bytes.len() as u64);
        self.out.put_slice(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.head(TEXT, text.len() as u64);
        self.out.put_slice(text.as_bytes());
    }

    pub(super) fn tag(&mut self, tag: u64) {
        self.head(TAG, tag);
    }

    /// A complex, up to its two floats.
    pub(super) fn complex(&mut self) {
        self.head(TAG, tag::COMPLEX);
        self.head(ARRAY, 2);
    }

    /// Writes with `write` something whose outermost array is of this kind, unless whoever asked
    /// for it wants another.
    pub(super) fn sequence(
        &mut self,
        kind: Sequence,
        write: impl FnOnce(&mut Self) -> Result,
    ) -> Result {
        self.kind.get_or_insert(kind);
        write(self)?;
        match self.kind.take() {
            None => Ok(()),
            Some(kind) => Err(EncodeFault::NotSequence { kind: kind.name() }.into()),
        }
    }

    /// Opens an array: a list, unless another kind was asked for or only a tuple is possible here.
    pub(super) fn open_array(&mut self, len: Option<usize>) -> Result<Opened> {
        let kind = match self.kind.take() {
            Some(kind) => kind,
            None if self.in_key => Sequence::Tuple,
            None => Sequence::List,
        };
        if self.in_key && !kind.is_hashable() {
            return Err(EncodeFault::NotHashable { what: kind.name() }.into());
        }
        if let Some(tag) = kind.tag() {
            self.head(TAG, tag);
        }
        let members = kind.has_members();
        let opened = Opened { members, ..self.open(ARRAY, len)? };
        self.in_key |= members;
        Ok(opened)
    }

    /// Opens a map. Its items are keys and values in turn.
    pub(super) fn open_map(&mut self, len: Option<usize>) -> Result<Opened> {
        if let Some(kind) = self.kind {
            return Err(EncodeFault::NotSequence { kind: kind.name() }.into());
        }
        if self.in_key {
            return Err(EncodeFault::NotHashable { what: "dict" }.into());
        }
        self.open(MAP, len)
    }

    /// Writes with `write` what must be hashable: the key of a map.
    pub(super) fn key(&mut self, write: impl FnOnce(&mut Self) -> Result) -> Result {
        let before = std::mem::replace(&mut self.in_key, true);
        let result = write(self);
        self.in_key = before;
        result
    }

    pub(super) fn close(&mut self, opened: &Opened) {
        if opened.indefinite {
            self.out.put_u8(BREAK);
        }
        self.depth -= 1;
        self.in_key = opened.in_key;
    }

    fn open(&mut self, major: u8, len: Option<usize>) -> Result<Opened> {
        if self.depth == MAX_DEPTH {
            return Err(EncodeFault::TooDeep.into());
        }
        match len {
            Some(len) => self.head(major, len as u64),
            None => self.out.put_u8(major | INDEFINITE),
        }
        self.depth += 1;
        Ok(Opened { indefinite: len.is_none(), members: false, in_key: self.in_key })
    }

    /// The shortest head.
    fn head(&mut self, major: u8, argument: u64) {
        let wide = argument.to_be_bytes();
        let [.., b4, b5, b6, b7] = wide;
        match argument {
            0..=23 => self.out.put_u8(major | b7),
            24..=0xff => self.out.put_slice(&[major | 24, b7]),
            0x100..=0xffff => self.out.put_slice(&[major | 25, b6, b7]),
            0x1_0000..=0xffff_ffff => self.out.put_slice(&[major | 26, b4, b5, b6, b7]),
            _ => {
                self.out.put_u8(major | 27);
                self.out.put_slice(&wide);
            }
        }
    }
}

impl Opened {
    /// Whether its items can be named: those of a key and the members of a set cannot.
    pub(super) const fn has_paths(&self) -> bool {
        !self.members && !self.in_key
    }
}
