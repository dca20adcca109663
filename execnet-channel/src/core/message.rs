//! A message as a value of the program's own.

use execnet_proto::{Format, cbor, from_bytes_message, marshal};
use serde::de::DeserializeOwned;

use crate::ReceiveError;
use crate::core::Message;

impl Message {
    /// The message as a serde value. A bytes message is read as one bytes object.
    ///
    /// # Errors
    /// It is not a `T`, or in a format that this crate does not read.
    pub fn to_value<T: DeserializeOwned>(&self) -> Result<T, ReceiveError> {
        self.clone().into_value()
    }

    /// The message as a serde value; of a bytes message, types such as `Bytes` take the memory over.
    ///
    /// # Errors
    /// As [`to_value`](Self::to_value).
    pub fn into_value<T: DeserializeOwned>(self) -> Result<T, ReceiveError> {
        match self.format {
            Format::Cbor => Ok(cbor::from_slice(&self.payload)?),
            Format::Marshal => Ok(marshal::from_slice(&self.payload)?),
            Format::Bytes => Ok(from_bytes_message(self.payload)?),
            found => Err(ReceiveError::Format { found, expected: "cbor, marshal or bytes" }),
        }
    }
}
