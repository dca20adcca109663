//! What one side of a connection allows, and how it behaves.

use std::time::Duration;

use execnet_proto::{FrameError, Hello, Limits};

/// Settings of a connection. Start from a preset, change what you need:
///
/// ```
/// use execnet_channel::Config;
///
/// let config = Config { max_message: 1 << 30, ..Config::default() };
/// config.check()?;
/// # Ok::<(), execnet_channel::ConfigError>(())
/// ```
///
/// | | [`compact`](Self::compact) | [`balanced`](Self::balanced), the default | [`throughput`](Self::throughput) | range |
/// |---|---|---|---|---|
/// | `max_frame` | 16 KiB | 64 KiB | 256 KiB | 16 KiB … 2²⁴−1 |
/// | `max_fragment` | 16 KiB | 64 KiB | 256 KiB | from 1 KiB |
/// | `max_message` | 16 MiB | 256 MiB | 256 MiB | from 1 MiB |
/// | `max_channels` | 4096 | 131,072 | 131,072 | from 256 |
/// | `channel_window` | 64 KiB | 256 KiB | 1 MiB | 64 KiB … 2³¹−1 |
/// | `max_channel_window` | 256 KiB | 4 MiB | 16 MiB | from `channel_window` |
/// | `connection_window` | 1 MiB | 64 MiB | 256 MiB | 256 KiB … 2³¹−1 |
/// | `long_messages` | 1 MiB | 64 MiB | 64 MiB | any |
/// | `send_buffer` | 64 KiB | 128 KiB | 512 KiB | from 4 KiB |
/// | `keepalive`, `idle_timeout` | none | none | none | not zero |
/// | `skip_noise` | no | no | no | |
///
/// The two sides need not agree: each announces what it accepts, and the other keeps to it. What a connection may
/// take of memory is about `connection_window + long_messages + send_buffer`, and some hundred bytes for each channel.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "made by struct update from a preset")]
pub struct Config {
    /// Longest frame payload that we accept, in bytes; 16 KiB … 2²⁴−1, default 64 KiB. Longer frames cost less
    /// time for long messages and let others wait longer on slow links.
    pub max_frame: u32,
    /// Longest frame payload that we send, in bytes, where the peer accepts so much. At least 1 KiB, default 64 KiB.
    pub max_fragment: u32,
    /// Longest message that we accept, in bytes; at least 1 MiB, default 256 MiB. A message on its way in takes
    /// so much memory as has arrived of it.
    pub max_message: u64,
    /// Channels that the peer may have open at once; at least 256, default 131,072. One more is a connection error, which a
    /// peer that keeps to our HELLO never makes: its `open` fails instead. An idle channel takes a few hundred bytes.
    pub max_channels: u32,
    /// Credit in bytes that the peer has on a new channel; 64 KiB … 2³¹−1, default 256 KiB. So much may arrive there
    /// before anybody reads; a channel carries at most a window for each round trip, until the window has grown.
    pub channel_window: u32,
    /// How far a channel's window grows while its reader keeps up, in bytes; at least `channel_window`, default 4 MiB. More lets
    /// one channel fill a longer or faster link. All growth together stays within half of `connection_window`.
    pub max_channel_window: u32,
    /// Credit in bytes that the peer has on the whole connection, and so the most that unread
    /// messages take; 256 KiB … 2³¹−1, default 64 MiB.
    pub connection_window: u32,
    /// Beyond the windows: how much of long messages may arrive before it is read, in bytes; any number, default 64 MiB. A message
    /// longer than its channel's window needs this room; one such message always finds it, so 0 makes them
    /// arrive one by one.
    pub long_messages: usize,
    /// How many bytes wait for the writer before senders do; at least 4 KiB, default 128 KiB. More puts more messages
    /// into one write; less lets urgent frames pass sooner.
    pub send_buffer: usize,
    /// Send a PING when nothing was sent or received for so long; longer than zero, `None`, the default, for never.
    /// Promised to the peer in milliseconds, who may take us for dead after three times as long.
    pub keepalive: Option<Duration>,
    /// Take the peer for dead when nothing was received for so long; longer than zero, `None`, the default, for never.
    /// Should be at least twice `keepalive`. It runs on while the link is not read because [`Incoming`](crate::Incoming) holds output that
    /// nobody takes: take it, or drop the `Incoming`. All channels then end with [`ConnectionError::NoAnswer`](crate::ConnectionError::NoAnswer).
    pub idle_timeout: Option<Duration>,
    /// The rest of our HELLO: software, facts, settings, features. Its limits are replaced by the above.
    pub hello: Hello,
    /// Skip up to 64 KiB of noise in front of the peer's preamble, as a login shell may send; default no, and noise
    /// is then a connection error.
    pub skip_noise: bool,
}

impl Config {
    /// For many connections in little memory: at most some 2 MiB each, and what their channels take.
    #[must_use]
    pub fn compact() -> Self {
        Self {
            max_frame: 16 << 10,
            max_fragment: 16 << 10,
            max_message: 16 << 20,
            max_channels: 4096,
            channel_window: 64 << 10,
            max_channel_window: 256 << 10,
            connection_window: 1 << 20,
            long_messages: 1 << 20,
            send_buffer: 64 << 10,
            ..Self::balanced()
        }
    }

    /// The default: fills a 1 Gbit/s link at 20 ms without holding more than 64 MiB of unread messages.
    #[must_use]
    pub fn balanced() -> Self {
        Self {
            max_frame: 64 << 10,
            max_fragment: 64 << 10,
            max_message: 256 << 20,
            max_channels: 131_072,
            channel_window: 256 << 10,
            max_channel_window: 4 << 20,
            connection_window: 64 << 20,
            long_messages: 64 << 20,
            send_buffer: 128 << 10,
            keepalive: None,
            idle_timeout: None,
            hello: Hello::new(Limits::LEAST),
            skip_noise: false,
        }
    }

    /// For few connections that carry much, or far: one channel fills 1 Gbit/s at 130 ms, for up to 320 MiB of
    /// memory.
    #[must_use]
    pub fn throughput() -> Self {
        Self {
            max_frame: 256 << 10,
            max_fragment: 256 << 10,
            channel_window: 1 << 20,
            max_channel_window: 16 << 20,
            connection_window: 256 << 20,
            send_buffer: 512 << 10,
            ..Self::balanced()
        }
    }

    /// Checks every field against its range. Connections do this when they are made.
    ///
    /// # Errors
    /// [`ConfigError`] names the field, what it holds, and its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.limits().check()?;
        let range = |name, found: u64, least: u64| {
            if found >= least { Ok(()) } else { Err(ConfigError::TooSmall { name, found, least }) }
        };
        range("max_fragment", self.max_fragment.into(), 1 << 10)?;
        range("send_buffer", self.send_buffer as u64, 4 << 10)?;
        range("max_channel_window", self.max_channel_window.into(), self.channel_window.into())?;
        for (name, time) in [("keepalive", self.keepalive), ("idle_timeout", self.idle_timeout)] {
            if time == Some(Duration::ZERO) {
                return Err(ConfigError::TooSmall { name, found: 0, least: 1 });
            }
        }
        Ok(())
    }

    /// The limits that our HELLO announces.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            max_frame: self.max_frame,
            max_message: self.max_message,
            max_channels: self.max_channels,
            channel_window: self.channel_window,
            connection_window: self.connection_window,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::balanced()
    }
}

/// A field of [`Config`] that is out of its range: the caller's fault.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A limit that goes into the HELLO.
    #[error("config: {0}")]
    Limit(#[from] FrameError),
    /// A field below its least value.
    #[error("config: {name} = {found}; expected at least {least}")]
    TooSmall {
        /// Name of the field.
        name: &'static str,
        /// What it holds.
        found: u64,
        /// The least it may hold.
        least: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid() {
        for config in [Config::compact(), Config::balanced(), Config::throughput()] {
            config.check().unwrap();
        }
    }

    #[test]
    fn each_bad_field_is_named() {
        type Set = fn(&mut Config);
        let bad: [(&str, Set); 6] = [
            ("max_frame", |c| c.max_frame = 1),
            ("max_fragment", |c| c.max_fragment = 1),
            ("send_buffer", |c| c.send_buffer = 1),
            ("max_channel_window", |c| c.max_channel_window = 1),
            ("channel_window", |c| c.channel_window = 0),
            ("keepalive", |c| c.keepalive = Some(Duration::ZERO)),
        ];
        for (name, set) in bad {
            let mut config = Config::default();
            set(&mut config);
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
