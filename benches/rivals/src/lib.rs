//! execnet-channel and its rivals behind one small trait, and the work they all do.
//!
//! Each rival has a file that says how it was tuned. `BENCHMARKS.md` says what is measured.

mod codec;
mod execnet;
mod h2;
mod link;
mod remoc;
mod rival;
mod typed;
pub mod work;
mod yamux;

pub use codec::Codec;
pub use execnet::Execnet;
pub use h2::H2;
pub use link::{Counted, Link, memory, tcp};
pub use remoc::Remoc;
pub use rival::{Channel, Open, Rival};
pub use typed::{Record, Typed};
pub use yamux::Yamux;

/// The window of a channel, in bytes, where a rival lets it be set: as far as ours grows.
pub const CHANNEL_WINDOW: u32 = 4 << 20;

/// The window of a connection, in bytes, where a rival lets it be set: the same as ours.
pub const CONNECTION_WINDOW: u32 = 64 << 20;

/// The longest frame, in bytes, where a rival lets it be set: the same as ours.
pub const FRAME: u32 = 64 << 10;
