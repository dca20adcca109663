//! CBOR items at the end of a buffer, head by head.

use bytes::{BufMut, BytesMut};

use super::tag;
use crate::Value;
use crate::value::{EncodeError, Nesting, Sequence, Write};

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
    nesting: Nesting,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut BytesMut) -> Self {
        Self { out, nesting: Nesting::default() }
    }

    /// Opens a container; whether a break is to end it.
    fn open(&mut self, major: u8, len: Option<usize>) -> bool {
        match len {
            Some(len) => self.head(major, len as u64),
            None => self.out.put_u8(major | INDEFINITE),
        }
        len.is_none()
    }

    fn close(&mut self, indefinite: bool) {
        if indefinite {
            self.out.put_u8(BREAK);
        }
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

impl Write for Writer<'_> {
    type Open = bool;

    fn nesting(&mut self) -> &mut Nesting {
        &mut self.nesting
    }

    fn len(&self) -> usize {
        self.out.len()
    }

    fn written(&self, start: usize, end: usize) -> Value {
        super::decode(self.out.get(start..end).unwrap_or_default()).unwrap_or_default()
    }

    fn null(&mut self) {
        self.out.put_u8(NULL);
    }

    fn bool(&mut self, value: bool) {
        self.out.put_u8(if value { TRUE } else { FALSE });
    }

    fn float(&mut self, value: f64) {
        self.out.put_u8(FLOAT);
        self.out.put_f64(value);
    }

    fn positive(&mut self, value: u64) {
        self.head(POSITIVE, value);
    }

    fn negative(&mut self, magnitude: u64) {
        self.head(NEGATIVE, magnitude);
    }

    fn big(&mut self, negative: bool) {
        self.head(TAG, if negative { tag::BIG_NEGATIVE } else { tag::BIG_POSITIVE });
    }

    fn complex(&mut self) {
        self.head(TAG, tag::COMPLEX);
        self.head(ARRAY, 2);
    }

    fn channel(&mut self) -> Result {
        self.head(TAG, tag::CHANNEL);
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result {
        self.head(BYTES, bytes.len() as u64);
        self.out.put_slice(bytes);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result {
        self.head(TEXT, text.len() as u64);
        self.out.put_slice(text.as_bytes());
        Ok(())
    }

    fn open_sequence(&mut self, kind: Sequence, len: Option<usize>) -> bool {
        if let Some(tag) = kind.tag() {
            self.head(TAG, tag);
        }
        self.open(ARRAY, len)
    }

    fn close_sequence(&mut self, indefinite: bool, _: usize) -> Result {
        self.close(indefinite);
        Ok(())
    }

    fn open_dict(&mut self, len: Option<usize>) -> bool {
        self.open(MAP, len)
    }

    fn close_dict(&mut self, indefinite: bool) {
        self.close(indefinite);
    }
}
