//! What a server reads of somebody whom it does not know yet: a greeting, frames by their headers, a line of py.execnet.

use execnet_agent::server::fuzzing::{Frames, Reading, line_end};
use execnet_proto::{HEADER_LEN, MAGIC};

/// As the server has it, with a piece of its reads on top.
const MOST: usize = (128 << 10) + (16 << 10) + MAGIC.len() + HEADER_LEN;

/// However a greeting is cut, it is read alike, and no more of it is kept than a HELLO may have. The ends of frames
/// are the same in any cutting, too.
pub fn hello_server(data: &[u8]) {
    let Some((&cut, data)) = data.split_first() else { return };
    let (raw, size) = (cut & 1 == 0, usize::from(cut >> 1) + 1);
    let stream = if raw { data.to_vec() } else { [&MAGIC[..], data].concat() };
    let whole = greeting(&stream, stream.len().max(1));
    let pieces = greeting(&stream, size);
    assert_eq!(whole, pieces, "in pieces of {size}");

    let (mut at_once, mut cut) = (Frames::default(), Frames::default());
    at_once.follow(&stream);
    let mut last = 0;
    let mut at = 0;
    for piece in stream.chunks(size) {
        let (whole, _) = cut.follow(piece);
        assert!(whole <= piece.len());
        if whole > 0 {
            last = at + whole;
        }
        at += piece.len();
    }
    assert_eq!(at_once.at_boundary(), cut.at_boundary());
    assert_eq!(at_once.pending(), cut.pending());
    assert_eq!(at_once.is_closed(), cut.is_closed());
    assert!(!cut.at_boundary() || stream.len() < MAGIC.len() || last == stream.len());

    if let Ok(Some(end)) = line_end(data) {
        assert_eq!(data.get(end - 1), Some(&b'\n'));
    }
}

/// What is read: the settings that matter, or that there is an error.
fn greeting(stream: &[u8], size: usize) -> Option<Result<String, ()>> {
    let mut reading = Reading::default();
    let mut read = 0;
    for piece in stream.chunks(size) {
        read += piece.len();
        match reading.push(piece) {
            Ok(None) => assert!(read <= MOST, "{read} bytes are kept"),
            Ok(Some(greeting)) => {
                assert_eq!(greeting.bytes, stream[..read]);
                return Some(Ok(format!("{:?}", greeting.wanted)));
            }
            Err(_) => return Some(Err(())),
        }
    }
    None
}
