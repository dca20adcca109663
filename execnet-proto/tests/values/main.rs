//! Values: through CBOR, through serde, and printed.

mod golden;
mod hostile;
mod python;
mod roundtrip;
mod strategy;
mod types;
