//! Tasks of a native far end, seen from the other end of a connection in the same process.
#![cfg(feature = "native")]

mod cancelling;
mod ending;
mod failing;
mod returning;
mod support;
