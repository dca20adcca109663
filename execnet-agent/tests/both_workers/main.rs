//! Every scenario against the Python worker and the native one, spoken to frame by frame: what the protocol says of far ends.
#![cfg(feature = "cli")]

mod commands;
mod connections;
mod ends;
mod support;
