#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod python;

pub use python::{bootstrap_line, bootstrap_source};
