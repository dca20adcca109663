//! A message as a value of the program's own.

use execnet_proto::{Format, cbor};
use serde::de::DeserializeOwned;

use crate::ReceiveError;
use crate::core::Message;

impl Message {
    /// The message as a serde value. A bytes message is read as one byte string.
    ///
    /// # Errors
    /// It is not a `T`, or in a format that this crate does not read.
    pub fn to_value<T: DeserializeOwned>(&self) -> Result<T, ReceiveError> {
        match self.format {
            Format::Cbor => Ok(cbor::from_slice(&self.payload)?),
            Format::Bytes => Ok(cbor::from_slice(&bytes_item(&self.payload))?),
            found => Err(ReceiveError::Format { found, expected: "cbor or bytes" }),
        }
    }
}

/// A bytes message as the CBOR byte string that it stands for, so that every serde type which reads one
/// from CBOR reads it from here as well.
fn bytes_item(payload: &[u8]) -> Vec<u8> {
    let mut item = Vec::with_capacity(9 + payload.len());
    item.push(0x5b);
    item.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    item.extend_from_slice(payload);
    item
}
