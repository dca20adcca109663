#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
// Most of this reads a peer's bytes: a panic would be a remote crash.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod config;
pub mod core;
mod error;
#[cfg(feature = "sim")]
pub mod sim;

pub use config::{Config, ConfigError};
pub use error::{ConnectionError, OpenError, PeerMisbehaved, ReceiveError, SendError};

#[cfg(feature = "tokio")]
mod channel;
#[cfg(feature = "tokio")]
mod driver;
#[cfg(feature = "tokio")]
mod lending;
#[cfg(feature = "tokio")]
mod mux;
#[cfg(feature = "tokio")]
mod outlet;
#[cfg(feature = "tokio")]
mod shared;
#[cfg(feature = "tokio")]
mod waiting;
#[cfg(feature = "tokio")]
pub use channel::{Channel, Receiver, Sender};
#[cfg(feature = "tokio")]
pub use driver::Driver;
#[cfg(feature = "tokio")]
pub use mux::{Incoming, Mux, Request};

pub use core::Message;

// What of the protocol appears above: enough not to depend on its crate as well.
pub use execnet_proto::{self as proto, ChannelId, Fault, Format, Side};
