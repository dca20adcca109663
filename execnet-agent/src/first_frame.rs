//! The first frame of a connection, as everybody has it who keeps its bytes for the one that reads them again.

use execnet_proto::{Kind, MAGIC};

/// The longest HELLO, as the Python worker has it: settings may be long.
pub(crate) const MAX_HELLO: u32 = 128 << 10;

/// The kind of the first frame, as soon as it is seen to be no HELLO. Nothing may stand in front of that one, not even what may be ignored
/// elsewhere: it would all be kept.
pub(crate) fn not_hello(bytes: &[u8]) -> Option<u8> {
    let kind = *bytes.strip_prefix(&MAGIC[..])?.first()?;
    (kind != Kind::Hello.to_byte()).then_some(kind)
}
