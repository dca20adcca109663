//! Every maximum that two sides agree on, in one place.

use serde::{Deserialize, Serialize};

use crate::FrameError;

/// The longest payload that a header can announce: 2²⁴−1 bytes.
pub const MAX_FRAME: u32 = 0x00ff_ffff;

/// The largest window, of a channel or of the connection: 2³¹−1 bytes.
pub const MAX_WINDOW: u32 = 0x7fff_ffff;

/// What one side is willing to hold for the other. Sent in [`Hello`](crate::Hello).
///
/// [`Limits::LEAST`] is what every side must at least accept, and so what a sender may assume
/// before the other's HELLO has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::exhaustive_structs, reason = "made by struct update from a preset")]
pub struct Limits {
    /// Longest frame payload accepted, in bytes. 16 KiB … 2²⁴−1.
    pub max_frame: u32,
    /// Longest message accepted, in bytes, all its fragments together. At least 1 MiB.
    pub max_message: u64,
    /// How many channels the other side may have open at once. At least 256.
    pub max_channels: u32,
    /// Credit, in bytes, that each channel starts with. 64 KiB … 2³¹−1.
    pub channel_window: u32,
    /// Credit, in bytes, that the connection starts with. 256 KiB … 2³¹−1.
    pub connection_window: u32,
}

impl Limits {
    /// The least that a side may announce, and what holds until it has announced anything.
    pub const LEAST: Self = Self {
        max_frame: 16 << 10,
        max_message: 1 << 20,
        max_channels: 256,
        channel_window: 64 << 10,
        connection_window: 256 << 10,
    };

    /// Checks each limit against its range.
    ///
    /// # Errors
    /// [`FrameError::LimitOutOfRange`] with the name of the first limit that is out of its range.
    pub fn check(&self) -> Result<(), FrameError> {
        let least = Self::LEAST;
        let range = |name, found: u64, least: u64, most: u64| {
            if (least..=most).contains(&found) {
                Ok(())
            } else {
                Err(FrameError::LimitOutOfRange { name, found, least, most })
            }
        };
        range("max_frame", self.max_frame.into(), least.max_frame.into(), MAX_FRAME.into())?;
        range("max_message", self.max_message, least.max_message, u64::MAX)?;
        range(
            "max_channels",
            self.max_channels.into(),
            least.max_channels.into(),
            (u32::MAX / 2).into(),
        )?;
        range(
            "channel_window",
            self.channel_window.into(),
            least.channel_window.into(),
            MAX_WINDOW.into(),
        )?;
        range(
            "connection_window",
            self.connection_window.into(),
            least.connection_window.into(),
            MAX_WINDOW.into(),
        )
    }
}

impl Default for Limits {
    /// [`Limits::LEAST`]: what an absent key of a HELLO means.
    fn default() -> Self {
        Self::LEAST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_edge_is_accepted_and_the_next_value_is_not() {
        assert_eq!(Limits::LEAST.check(), Ok(()));
        type Set = fn(&mut Limits, u64);
        let table: [(&str, u64, u64, Set); 4] = [
            ("max_frame", 16 << 10, 0xff_ffff, |l, v| l.max_frame = v as u32),
            ("max_channels", 256, (u32::MAX / 2).into(), |l, v| l.max_channels = v as u32),
            ("channel_window", 64 << 10, 0x7fff_ffff, |l, v| l.channel_window = v as u32),
            ("connection_window", 256 << 10, 0x7fff_ffff, |l, v| l.connection_window = v as u32),
        ];
        for (name, least, most, set) in table {
            for (value, good) in
                [(least, true), (least - 1, false), (most, true), (most + 1, false)]
            {
                let mut limits = Limits::LEAST;
                set(&mut limits, value);
                match limits.check() {
                    Ok(()) => assert!(good, "{name} {value}"),
                    Err(FrameError::LimitOutOfRange { name: found, .. }) => {
                        assert!(!good && found == name, "{name} {value}");
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
}
