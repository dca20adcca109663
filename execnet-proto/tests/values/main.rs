//! Values: through CBOR, through marshal, through serde, and printed.

mod access;
mod golden;
mod hostile;
mod marshal;
mod python;
mod roundtrip;
mod strategy;
mod types;
