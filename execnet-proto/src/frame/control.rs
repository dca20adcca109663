//! The small payloads: credit, times, pings, output.

use bytes::{Buf, Bytes};

use super::Kind;
use crate::FrameError;

/// TERMINATE: end, and how patiently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the wire has room for these two")]
pub struct Terminate {
    /// How long tasks may go on before they are interrupted, in milliseconds.
    pub grace_ms: u32,
    /// How long after the interrupt the far end ends in any case, in milliseconds.
    pub kill_ms: u32,
}

/// Which of its two streams a far end's program wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a process has these two")]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl OutputStream {
    pub(crate) const fn to_byte(self) -> u8 {
        match self {
            Self::Stdout => 1,
            Self::Stderr => 2,
        }
    }
}

pub(crate) fn empty(kind: Kind, payload: &[u8]) -> Result<(), FrameError> {
    if payload.is_empty() {
        Ok(())
    } else {
        Err(FrameError::PayloadSize { kind, found: payload.len(), expected: "none" })
    }
}

pub(crate) fn credit(payload: &[u8]) -> Result<u32, FrameError> {
    match <[u8; 4]>::try_from(payload).map(u32::from_be_bytes) {
        Ok(0) => Err(FrameError::NoCredit),
        Ok(amount) => Ok(amount),
        Err(_) => Err(FrameError::PayloadSize {
            kind: Kind::Credit,
            found: payload.len(),
            expected: "4 bytes",
        }),
    }
}

pub(crate) fn ping(kind: Kind, payload: &[u8]) -> Result<[u8; 8], FrameError> {
    payload.try_into().map_err(|_| FrameError::PayloadSize {
        kind,
        found: payload.len(),
        expected: "8 bytes",
    })
}

pub(crate) fn terminate(payload: &[u8]) -> Result<Terminate, FrameError> {
    match payload {
        &[g0, g1, g2, g3, k0, k1, k2, k3] => Ok(Terminate {
            grace_ms: u32::from_be_bytes([g0, g1, g2, g3]),
            kill_ms: u32::from_be_bytes([k0, k1, k2, k3]),
        }),
        _ => Err(FrameError::PayloadSize {
            kind: Kind::Terminate,
            found: payload.len(),
            expected: "8 bytes",
        }),
    }
}

pub(crate) fn output(mut payload: Bytes) -> Result<(OutputStream, Bytes), FrameError> {
    let stream = match payload.first() {
        Some(1) => OutputStream::Stdout,
        Some(2) => OutputStream::Stderr,
        Some(&found) => return Err(FrameError::OutputStream { found }),
        None => {
            return Err(FrameError::PayloadSize {
                kind: Kind::Output,
                found: 0,
                expected: "a stream number and bytes",
            });
        }
    };
    payload.advance(1);
    Ok((stream, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a payload of so many zeros has the right size.
    fn fits(len: usize, parse: impl Fn(&[u8]) -> Result<(), FrameError>) -> bool {
        !matches!(parse(&[0; 16][..len]), Err(FrameError::PayloadSize { found, .. }) if found == len)
    }

    #[test]
    fn each_size_is_exact() {
        for len in 0..16 {
            assert_eq!(fits(len, |payload| empty(Kind::Eof, payload)), len == 0);
            assert_eq!(fits(len, |payload| credit(payload).map(drop)), len == 4);
            assert_eq!(fits(len, |payload| ping(Kind::Ping, payload).map(drop)), len == 8);
            assert_eq!(fits(len, |payload| terminate(payload).map(drop)), len == 8);
        }
    }

    #[test]
    fn credit_of_nothing_is_an_error() {
        assert_eq!(credit(&[0; 4]), Err(FrameError::NoCredit));
        assert_eq!(credit(&[0, 0, 0, 1]), Ok(1));
        assert_eq!(credit(&[0xff; 4]), Ok(u32::MAX));
    }

    #[test]
    fn grace_comes_before_kill() {
        let times = terminate(&[0, 0, 0, 1, 0, 0, 0, 2]);
        assert_eq!(times, Ok(Terminate { grace_ms: 1, kill_ms: 2 }));
    }

    #[test]
    fn output_names_its_stream() {
        for stream in [OutputStream::Stdout, OutputStream::Stderr] {
            let payload = Bytes::from(vec![stream.to_byte(), b'h', b'i']);
            assert_eq!(output(payload), Ok((stream, Bytes::from_static(b"hi"))));
        }
        for found in [0, 3, 0xff] {
            let error = output(Bytes::from(vec![found])).unwrap_err();
            assert_eq!(error, FrameError::OutputStream { found });
        }
        assert!(matches!(output(Bytes::new()), Err(FrameError::PayloadSize { .. })));
    }
}
