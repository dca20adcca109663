//! Frames from any bytes, in any cutting.

use bytes::{BufMut, BytesMut};
use execnet_proto::{Decoder, Frame, FrameError, HEADER_LEN, Limits, MAGIC, MAX_FRAME};

const MAX: u32 = Limits::LEAST.max_frame;

/// Flags in the first byte; its high four bits say how many lengths of pieces follow.
mod flag {
    /// The preamble is the input's own business.
    pub(super) const RAW: u8 = 1;
    /// Noise may stand in front of it.
    pub(super) const NOISE: u8 = 2;
    /// Pieces go into the decoder's own buffer.
    pub(super) const READ_BUF: u8 = 4;
}

/// Each frame that is understood is written again as the same bytes; where CBOR is in it, as the same frame. An
/// error stays.
pub fn decode(data: &[u8]) {
    let Some((flags, _, stream)) = input(data) else { return };
    for (frame, bytes) in &frames(&stream, flags, &[]).0 {
        check_written(frame, bytes);
    }
}

/// However the bytes are cut, the frames are the same, and so is the error after them.
pub fn decode_cut(data: &[u8]) {
    let Some((flags, pieces, stream)) = input(data) else { return };
    let whole = frames(&stream, flags & flag::NOISE, &[]);
    // By their text: a NaN in a HELLO's facts is not equal to itself.
    assert_eq!(format!("{whole:?}"), format!("{:?}", frames(&stream, flags, pieces)));
}

/// The flags, the lengths of the pieces, and the stream.
fn input(data: &[u8]) -> Option<(u8, &[u8], Vec<u8>)> {
    let (&flags, data) = data.split_first()?;
    let (pieces, data) = data.split_at(data.len().min(usize::from(flags >> 4)));
    let stream = if flags & flag::RAW == 0 { [&MAGIC[..], data].concat() } else { data.to_vec() };
    Some((flags, pieces, stream))
}

/// Each frame and its bytes, up to an error.
fn frames(stream: &[u8], flags: u8, pieces: &[u8]) -> (Vec<(Frame, Vec<u8>)>, Option<FrameError>) {
    let mut decoder = Decoder::new(MAX);
    if flags & flag::NOISE != 0 {
        decoder = decoder.skip_noise();
    }
    let mut found = Vec::new();
    let mut rest = stream;
    let mut lengths = pieces.iter().map(|&length| usize::from(length) + 1).cycle();
    while !rest.is_empty() {
        let length = lengths.next().unwrap_or(rest.len()).min(rest.len());
        let (piece, later) = rest.split_at(length);
        rest = later;
        if flags & flag::READ_BUF == 0 {
            decoder.extend(piece);
        } else {
            decoder.read_buf().put_slice(piece);
        }
        if let Err(error) = take_all(&mut decoder, &mut found) {
            return (found, Some(error));
        }
    }
    (found, None)
}

fn take_all(decoder: &mut Decoder, found: &mut Vec<(Frame, Vec<u8>)>) -> Result<(), FrameError> {
    loop {
        match decoder.next_frame() {
            Ok(Some(raw)) => {
                let bytes = [&raw.header().to_bytes()[..], raw.payload()].concat();
                found.push((raw.parse()?, bytes));
            }
            Ok(None) => return Ok(()),
            Err(error) => {
                decoder.extend(&MAGIC);
                let again = decoder.next_frame().map(drop);
                assert_eq!(again, Err(error.clone()), "the error stays");
                return Err(match error {
                    // How much had come by then, and whether damage was seen in it, depends on
                    // the cutting.
                    FrameError::Damaged { .. } => FrameError::NoPreamble { skipped: 0 },
                    FrameError::NoPreamble { .. } => FrameError::NoPreamble { skipped: 0 },
                    other => other,
                });
            }
        }
    }
}

fn check_written(frame: &Frame, bytes: &[u8]) {
    let mut written = BytesMut::new();
    frame.encode(&mut written);
    // CBOR has several forms for one value, of which we write one. A long fault is cut besides.
    let (same_bytes, may_be_cut) = match frame {
        Frame::Hello(_) => (false, false),
        Frame::Close { fault: Some(_), .. } => (false, bytes.len() > MAX as usize / 16),
        _ => (true, false),
    };
    if same_bytes {
        assert_eq!(written, bytes, "{frame:?}");
        return;
    }
    if matches!(frame, Frame::Close { .. }) {
        assert!(written.len() <= HEADER_LEN + MAX as usize, "{frame:?}");
    }
    // Absent keys are written out: a HELLO may grow.
    let mut decoder = Decoder::new(MAX_FRAME);
    decoder.extend(&[&MAGIC[..], &written].concat());
    let again = decoder.next_frame().expect("our own frame").expect("all of it").parse();
    let again = again.expect("what is written can be read");
    assert!(may_be_cut || format!("{again:?}") == format!("{frame:?}"), "{frame:?} {again:?}");
}
