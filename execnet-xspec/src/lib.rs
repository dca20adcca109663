#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
// The text may come from anywhere: nothing in it may bring the program down.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod builder;
mod entry;
mod error;
mod excerpt;
mod fields;
mod keys;
mod kind;
mod parse;
mod spec;
mod suggest;
mod words;

pub use builder::XSpecBuilder;
pub use entry::Entry;
pub use error::{ErrorKind, SpecError, UnknownKey};
pub use fields::ExecModel;
pub use keys::{is_known_key, known_keys};
pub use kind::Kind;
pub use parse::MAX_LEN;
pub use spec::XSpec;
