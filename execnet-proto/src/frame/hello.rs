//! HELLO: who speaks, and what it will hold.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Format, Formats};
use crate::{FrameError, Limits, VERSIONS, Value, Versions, cbor};

/// The first frame of each side (PROTOCOL.md §3).
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "made by struct update from `Hello::new`")]
pub struct Hello {
    /// Protocol versions spoken.
    pub versions: Versions,
    /// What this side is willing to hold.
    pub limits: Limits,
    /// Names of the message formats that this side reads.
    pub formats: Vec<String>,
    /// Extensions offered.
    pub features: Vec<String>,
    /// This side promises to send a frame at least so often, in milliseconds; 0 is no promise.
    pub keepalive_ms: u64,
    /// Name and version of the software, for messages to people.
    pub software: String,
    /// What the far end tells of itself: `executable`, `version`, `pid`, …
    pub facts: BTreeMap<String, Value>,
    /// What the connector asks the far end to apply before any task: `chdir`, `nice`, `env`, …
    pub settings: BTreeMap<String, Value>,
}

impl Hello {
    /// A HELLO with these limits, the formats that this crate reads, and nothing else.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            versions: VERSIONS,
            limits,
            formats: default_formats(),
            features: Vec::new(),
            keepalive_ms: 0,
            software: String::new(),
            facts: BTreeMap::new(),
            settings: BTreeMap::new(),
        }
    }

    /// The formats that the side that sent this reads, and that we know.
    #[must_use]
    pub fn readable(&self) -> Formats {
        Formats::named(&self.formats)
    }

    /// Whether the side that sent this reads messages of `format`.
    #[must_use]
    pub fn reads(&self, format: Format) -> bool {
        self.formats.iter().any(|name| name == format.name())
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        let Self { versions, limits, formats, features, keepalive_ms, software, facts, settings } =
            self.clone();
        let Limits { max_frame, max_message, max_channels, channel_window, connection_window } =
            limits;
        let wire = Wire {
            versions,
            max_frame,
            max_message,
            max_channels,
            channel_window,
            connection_window,
            formats,
            features,
            keepalive_ms,
            software,
            facts,
            settings,
        };
        // What can be wrong are facts and settings that do not cross, which are the caller's own
        // constants; the peer then refuses the empty payload.
        cbor::to_bytes(&wire).unwrap_or_default()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, FrameError> {
        let wire: Wire =
            cbor::from_slice(bytes).map_err(|source| FrameError::Cbor { what: "HELLO", source })?;
        let limits = Limits {
            max_frame: wire.max_frame,
            max_message: wire.max_message,
            max_channels: wire.max_channels,
            channel_window: wire.channel_window,
            connection_window: wire.connection_window,
        };
        limits.check()?;
        Ok(Self {
            versions: wire.versions,
            limits,
            formats: wire.formats,
            features: wire.features,
            keepalive_ms: wire.keepalive_ms,
            software: wire.software,
            facts: wire.facts,
            settings: wire.settings,
        })
    }
}

/// The map on the wire. Not `#[serde(flatten)]`, which would buffer unknown keys and stumble over
/// CBOR tags in them; unknown keys are to be ignored whatever they hold.
#[derive(Serialize, Deserialize)]
struct Wire {
    versions: Versions,
    #[serde(default = "least::max_frame")]
    max_frame: u32,
    #[serde(default = "least::max_message")]
    max_message: u64,
    #[serde(default = "least::max_channels")]
    max_channels: u32,
    #[serde(default = "least::channel_window")]
    channel_window: u32,
    #[serde(default = "least::connection_window")]
    connection_window: u32,
    #[serde(default = "default_formats")]
    formats: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    features: Vec<String>,
    #[serde(default)]
    keepalive_ms: u64,
    #[serde(default)]
    software: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    facts: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    settings: BTreeMap<String, Value>,
}

/// What an absent limit means.
mod least {
    use crate::Limits;

    pub(super) const fn max_frame() -> u32 {
        Limits::LEAST.max_frame
    }
    pub(super) const fn max_message() -> u64 {
        Limits::LEAST.max_message
    }
    pub(super) const fn max_channels() -> u32 {
        Limits::LEAST.max_channels
    }
    pub(super) const fn channel_window() -> u32 {
        Limits::LEAST.channel_window
    }
    pub(super) const fn connection_window() -> u32 {
        Limits::LEAST.connection_window
    }
}

fn default_formats() -> Vec<String> {
    [Format::Bytes, Format::Cbor].map(|format| format.name().to_owned()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_survives() {
        let mut hello = Hello::new(Limits { max_frame: 1 << 20, ..Limits::LEAST });
        hello.features.push("warp".into());
        hello.keepalive_ms = 15_000;
        hello.software = "execnet 0".into();
        hello.facts.insert("pid".into(), Value::Int(7));
        hello.settings.insert("at".into(), Value::Tuple(vec![Value::None, Value::Bool(true)]));
        assert_eq!(Hello::from_bytes(&hello.to_bytes()), Ok(hello));
    }

    #[test]
    fn absent_keys_mean_the_least_and_unknown_ones_nothing() {
        let unknown = Value::Dict(vec![
            ("versions".into(), Value::List(vec![Value::Int(1), Value::Int(1)])),
            ("colour".into(), Value::Tuple(vec![Value::Complex(1.0, 2.0)])),
        ]);
        let hello = Hello::from_bytes(&cbor::encode(&unknown).unwrap()).unwrap();
        assert_eq!(hello, Hello::new(Limits::LEAST));
        assert!(hello.reads(Format::Cbor) && !hello.reads(Format::Marshal));
    }

    #[test]
    fn limits_below_the_least_are_refused() {
        let hello = Hello::new(Limits { channel_window: 1, ..Limits::LEAST });
        let error = Hello::from_bytes(&hello.to_bytes()).unwrap_err();
        assert!(matches!(error, FrameError::LimitOutOfRange { name: "channel_window", .. }));
    }
}
