//! The fault inside a CLOSE: why a channel, or the connection, ended.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{FrameError, cbor};

/// Why one side closed (PROTOCOL.md §6): an exception's type, message and traceback.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "made by all who close a channel with an error")]
pub struct Fault {
    /// Name of the error's type, such as `ZeroDivisionError` or `ProtocolError`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the error says; may be empty.
    #[serde(default)]
    pub message: String,
    /// The traceback as it would be printed, source lines included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceback: Option<String>,
}

impl Fault {
    /// The most bytes that a fault takes on the wire, whatever `max_frame` allows: 64 KiB.
    pub const MAX_LEN: usize = 64 << 10;

    /// A fault without a traceback.
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: kind.into(), message: message.into(), traceback: None }
    }

    /// The fault as CBOR, its texts cut in the middle so that it takes at most `max` bytes.
    pub(crate) fn to_bytes(&self, max: usize) -> Bytes {
        let max = max.min(Self::MAX_LEN);
        // Heads, keys and the mark of a cut take less than this.
        const OVERHEAD: usize = 128;
        let mut fault = self.clone();
        let kind = cut(&mut fault.kind, max / 16);
        let message = cut(&mut fault.message, (max - OVERHEAD - kind) / 2);
        if let Some(traceback) = &mut fault.traceback {
            cut(traceback, max - OVERHEAD - kind - message);
        }
        // Three strings always have a CBOR form.
        cbor::to_bytes(&fault).unwrap_or_default()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, FrameError> {
        cbor::from_slice(bytes)
            .map_err(|source| FrameError::Cbor { what: "the fault in a CLOSE", source })
    }
}

impl std::fmt::Display for Fault {
    /// `type: message`, as the last line of a Python traceback.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.kind)?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

/// Cuts `text` in the middle to at most `max` bytes, saying so there, and gives its new length.
fn cut(text: &mut String, max: usize) -> usize {
    if text.len() > max {
        let mark = format!("\n… {} bytes cut …\n", text.len() - max);
        let keep = max.saturating_sub(mark.len());
        let head = text.floor_char_boundary(keep / 2);
        let tail = text.ceil_char_boundary(text.len() - keep / 2);
        text.replace_range(head..tail, if keep == 0 { "" } else { &mark });
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_whole_when_it_fits() {
        let fault = Fault { traceback: Some("line\n".repeat(100)), ..Fault::new("T", "m") };
        assert_eq!(Fault::from_bytes(&fault.to_bytes(16 << 10)).unwrap(), fault);
    }

    #[test]
    fn is_cut_in_the_middle_to_fit_and_keeps_both_ends() {
        let long = format!("first{}last", "é".repeat(200_000));
        let fault = Fault { kind: long.clone(), message: long.clone(), traceback: Some(long) };
        for max in [16 << 10, Fault::MAX_LEN, 1 << 20] {
            let bytes = fault.to_bytes(max);
            assert!(bytes.len() <= max.min(Fault::MAX_LEN), "{} of {max}", bytes.len());
            let back = Fault::from_bytes(&bytes).unwrap();
            for text in [back.kind, back.message, back.traceback.unwrap()] {
                assert!(text.starts_with("first") && text.ends_with("last"));
                assert!(text.contains("bytes cut"));
            }
        }
    }

    #[test]
    fn unknown_keys_are_ignored_and_a_missing_type_is_not() {
        let bytes = cbor::to_bytes(
            &[("type", "E"), ("colour", "red")]
                .into_iter()
                .collect::<std::collections::BTreeMap<_, _>>(),
        )
        .unwrap();
        assert_eq!(Fault::from_bytes(&bytes).unwrap(), Fault::new("E", ""));
        assert!(Fault::from_bytes(&[0xa0]).is_err());
    }
}
