//! Type codes of CPython's marshal: those of data, and names for those of anything else.

pub(super) const NULL: u8 = b'0';
pub(super) const NONE: u8 = b'N';
pub(super) const FALSE: u8 = b'F';
pub(super) const TRUE: u8 = b'T';
pub(super) const INT: u8 = b'i';
pub(super) const LONG: u8 = b'l';
pub(super) const FLOAT: u8 = b'g';
pub(super) const COMPLEX: u8 = b'y';
pub(super) const BYTES: u8 = b's';
pub(super) const TEXT: u8 = b'u';
pub(super) const INTERNED: u8 = b't';
pub(super) const ASCII: u8 = b'a';
pub(super) const ASCII_INTERNED: u8 = b'A';
pub(super) const SHORT_ASCII: u8 = b'z';
pub(super) const SHORT_ASCII_INTERNED: u8 = b'Z';
pub(super) const LIST: u8 = b'[';
pub(super) const TUPLE: u8 = b'(';
pub(super) const SMALL_TUPLE: u8 = b')';
pub(super) const SET: u8 = b'<';
pub(super) const FROZENSET: u8 = b'>';
pub(super) const DICT: u8 = b'{';

/// What a byte means to CPython that is no type code here.
pub(super) const fn describe(code: u8) -> &'static str {
    match code {
        NULL => "the end of a dict, where an item should begin",
        b'c' => "a code object",
        b'.' => "Ellipsis",
        b'S' => "StopIteration",
        b':' => "a slice",
        b'r' | b'R' => "a reference",
        b'f' | b'x' => "a float as text, which version 2 does not write",
        b'I' => "an int of 64 bits, which CPython 3 does not write",
        0x80.. => "an item that may be referred to, which version 2 does not write",
        _ => "no type code",
    }
}
