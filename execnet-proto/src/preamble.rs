//! The eight bytes in front of all frames, and the noise in front of those.

use crate::FrameError;

/// What each side sends first: found nowhere in text, and damaged by every link that is not
/// transparent (PROTOCOL.md §1).
pub const MAGIC: [u8; 8] = *b"\x89EXN\r\n\x1a\n";

/// How much noise may stand in front of the preamble on a link through a login shell: 64 KiB.
pub const NOISE_LIMIT: usize = 64 << 10;

/// Where the preamble starts in `bytes`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Search {
    /// Complete, at this offset.
    Found(usize),
    /// Not here; whatever starts at this offset may still become one.
    NotBefore(usize),
}

/// What links have been seen to make of the preamble.
const DAMAGE: [(&[u8], &str); 4] = [
    (b"\x09EXN\r\n\x1a\n", "strips the eighth bit"),
    (b"\x89EXN\n\x1a\n", "turns CR LF into LF"),
    (b"\x89EXN\r\r\n", "turns LF into CR LF"),
    (b"\xc2\x89EXN\r\n", "encodes bytes as UTF-8 text"),
];

/// Looks for the preamble, or for what a link that is not transparent makes of it.
pub(crate) fn search(bytes: &[u8]) -> Result<Search, FrameError> {
    let found = position(bytes, &MAGIC);
    // Behind the preamble stand frames, whose payloads may look like anything.
    let front = found.and_then(|at| bytes.get(..at + MAGIC.len())).unwrap_or(bytes);
    for (damaged, how) in DAMAGE {
        if position(front, damaged).is_some() {
            return Err(FrameError::Damaged { how });
        }
    }
    Ok(match found {
        Some(at) => Search::Found(at),
        None => Search::NotBefore(bytes.len().saturating_sub(MAGIC.len() - 1)),
    })
}

/// Whether these may be the first bytes of the preamble, or of a damaged one.
pub(crate) fn may_begin(bytes: &[u8]) -> bool {
    MAGIC.starts_with(bytes) || DAMAGE.iter().any(|(damaged, _)| damaged.starts_with(bytes))
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_behind_noise() {
        let mut bytes = b"Welcome!\r\n".to_vec();
        bytes.extend_from_slice(&MAGIC);
        assert_eq!(search(&bytes), Ok(Search::Found(10)));
    }

    #[test]
    fn a_cut_preamble_is_kept_for_the_next_read() {
        for cut in 0..MAGIC.len() {
            let mut bytes = b"noise".to_vec();
            bytes.extend_from_slice(&MAGIC[..cut]);
            let Ok(Search::NotBefore(from)) = search(&bytes) else { panic!("cut at {cut}") };
            assert!(from <= 5, "cut at {cut}: {from} would throw its beginning away");
        }
    }

    #[test]
    fn damage_is_named() {
        for (bytes, word) in [
            (&b"\x09EXN\r\n\x1a\n"[..], "eighth"),
            (b"\x89EXN\n\x1a\n", "CR LF into LF"),
            (b"\x89EXN\r\r\n\x1a\r\n", "LF into CR LF"),
            (b"\xc2\x89EXN\r\n\x1a\n", "UTF-8"),
        ] {
            let error = search(bytes).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn what_stands_behind_the_preamble_does_not_count_as_damage() {
        let bytes = [&MAGIC[..], b"\x89EXN\n\x1a\n"].concat();
        assert_eq!(search(&bytes), Ok(Search::Found(0)));
    }

    #[test]
    fn each_beginning_of_a_damaged_preamble_is_waited_on() {
        for (whole, _) in DAMAGE {
            for len in 0..whole.len() {
                assert!(may_begin(&whole[..len]) && search(&whole[..len]).is_ok());
            }
        }
        assert!(!may_begin(b"EXN"));
    }
}
