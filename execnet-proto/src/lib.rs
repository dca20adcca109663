#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
// Everything here reads a peer's bytes: a panic would be a remote crash.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod cbor;
mod decoder;
mod error;
mod frame;
mod id;
mod limits;
pub mod marshal;
mod preamble;
mod request;
mod value;
mod version;

pub use decoder::{Decoder, RawFrame};
pub use error::FrameError;
pub use frame::{
    Fault, Format, Formats, Frame, HEADER_LEN, Header, Hello, Kind, OutputStream, Terminate,
};
pub use id::{ChannelId, Side};
pub use limits::{Limits, MAX_FRAME, MAX_WINDOW};
/// Ints of any size, from the crate [`num_bigint`].
pub use num_bigint::BigInt;
pub use preamble::{MAGIC, NOISE_LIMIT};
pub use request::{CallRequest, CommandRequest, ConnectRequest, Request, SourceRequest};
pub use value::*;
pub use version::{VERSIONS, Versions};

/// The wire format, byte by byte.
#[doc = include_str!("../PROTOCOL.md")]
pub mod protocol {}
