//! What a server reads of somebody whom it does not know yet: a greeting, frames by their headers, a line of py.execnet.

use execnet_agent::server::fuzzing::{Frames, Line, Reading, Wanted};
use execnet_proto::{Decoder, HEADER_LEN, Kind, Limits, MAGIC, MAX_FRAME};

/// As the server has it, with a piece of its reads on top.
const MOST: usize = (128 << 10) + (16 << 10) + MAGIC.len() + HEADER_LEN;

/// However a greeting is cut, it is read alike, and no more of it is kept than a HELLO may have; what is heeded of it can
/// start a process. The ends of frames, too, are the same in any cutting, and those that a decoder finds. So is a line.
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

    let mut decoder = Decoder::new(MAX_FRAME);
    decoder.extend(&stream);
    while let Ok(Some(_)) = decoder.next_frame() {}
    if decoder.next_frame().is_ok() && decoder.started() {
        assert_eq!(decoder.at_boundary(), cut.at_boundary());
    }

    assert_eq!(line(data, data.len().max(1)), line(data, size), "in pieces of {size}");
}

/// The line, if it ends.
fn line(stream: &[u8], size: usize) -> Option<&[u8]> {
    let mut line = Line::default();
    let mut read = 0;
    for piece in stream.chunks(size) {
        read += piece.len();
        if let Ok(Some((bytes, end))) = line.push(piece) {
            assert_eq!(bytes, stream[..read]);
            assert_eq!(bytes.iter().position(|byte| *byte == b'\n'), Some(end - 1));
            return Some(&stream[..end]);
        }
    }
    None
}

/// What is read: the settings that matter, or that there is an error.
fn greeting(stream: &[u8], size: usize) -> Option<Result<String, ()>> {
    let mut reading = Reading::default();
    let mut read = 0;
    for piece in stream.chunks(size) {
        read += piece.len();
        match reading.push(piece) {
            Ok(None) => {
                assert!(read <= MOST, "{read} bytes are kept");
                let first = stream[..read].get(MAGIC.len());
                assert!(
                    first.is_none_or(|kind| *kind == Kind::Hello.to_byte()),
                    "{first:?} is kept"
                );
            }
            Ok(Some(greeting)) => {
                assert_eq!(greeting.bytes, stream[..read]);
                assert!(greeting.hello.limits.max_frame >= Limits::LEAST.max_frame);
                check(&greeting.wanted);
                return Some(Ok(format!("{:?}", greeting.wanted)));
            }
            Err(_) => return Some(Err(())),
        }
    }
    None
}

/// What becomes of the arguments and the environment of a process.
fn check(wanted: &Wanted) {
    assert!(wanted.python.as_ref().is_none_or(|words| !words.is_empty() && !words[0].is_empty()));
    for (name, value) in &wanted.env {
        assert!(!name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0'));
    }
    assert!(wanted.id.chars().count() <= 100);
}
