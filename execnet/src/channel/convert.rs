//! Messages into items and back, and errors of the multiplexer into ours.

use execnet_channel::Message;
use execnet_proto::cbor::{EncodeError, EncodeFault};
use execnet_proto::{Format, Value, cbor, marshal};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::passing;
use crate::{Gateway, ReceiveError, RemoteError, SendError, WaitError};

pub(super) async fn send_result(
    result: Result<(), execnet_channel::SendError>,
    gateway: &Gateway,
) -> Result<(), SendError> {
    match result {
        Ok(()) => Ok(()),
        Err(execnet_channel::SendError::Connection(_)) => Err(gateway.lost().await.into()),
        Err(error) => Err(SendError::Channel(error)),
    }
}

pub(super) async fn wait_result(
    result: Result<(), execnet_channel::ReceiveError>,
    gateway: &Gateway,
) -> Result<(), WaitError> {
    match result {
        Ok(()) => Ok(()),
        Err(execnet_channel::ReceiveError::Remote(fault)) => Err(RemoteError::from(fault).into()),
        Err(_) => Err(gateway.lost().await.into()),
    }
}

/// The message, or why there is none.
pub(super) async fn item(
    result: Result<Option<Message>, execnet_channel::ReceiveError>,
    gateway: &Gateway,
) -> Result<Message, ReceiveError> {
    match result {
        Ok(Some(message)) => Ok(message),
        Ok(None) => Err(ReceiveError::End),
        Err(execnet_channel::ReceiveError::Connection(_)) => Err(gateway.lost().await.into()),
        Err(error) => Err(immediate(error)),
    }
}

/// The errors that are known at once: all but how the gateway died.
pub(super) fn immediate(error: execnet_channel::ReceiveError) -> ReceiveError {
    match error {
        execnet_channel::ReceiveError::Remote(fault) => RemoteError::from(fault).into(),
        error => ReceiveError::Item(error),
    }
}

/// An item as a message; it is encoded before anything else happens.
pub(super) fn message<T: Serialize + ?Sized>(
    item: &T,
    gateway: &Gateway,
) -> Result<Message, SendError> {
    let encoded = passing::over(gateway, || match gateway.reads_marshal() {
        true => as_marshal(item),
        false => cbor::to_bytes(item).map(Message::cbor),
    });
    encoded.map_err(|error| SendError::Channel(error.into()))
}

/// In the format that CPython reads and writes fastest, or in CBOR what has no form there.
fn as_marshal<T: Serialize + ?Sized>(item: &T) -> Result<Message, EncodeError> {
    match marshal::to_bytes(item) {
        // A bytes object travels without its head, so that it need not be copied at the other end.
        Ok(encoded) if encoded.first() == Some(&b's') => Ok(Message::bytes(encoded.slice(5..))),
        Ok(encoded) => Ok(Message::marshal(encoded)),
        Err(error) if matches!(error.fault(), EncodeFault::NeedsCbor { .. }) => {
            cbor::to_bytes(item).map(Message::cbor)
        }
        Err(error) => Err(error),
    }
}

pub(super) fn typed<T: DeserializeOwned>(
    message: Message,
    gateway: &Gateway,
) -> Result<T, ReceiveError> {
    passing::over(gateway, || message.into_value()).map_err(ReceiveError::Item)
}

pub(super) fn value(message: Message) -> Result<Value, ReceiveError> {
    match message.format {
        Format::Bytes => Ok(Value::Bytes(message.payload)),
        Format::Cbor => {
            cbor::decode_shared(&message.payload).map_err(|error| ReceiveError::Item(error.into()))
        }
        Format::Marshal => marshal::decode_shared(&message.payload)
            .map_err(|error| ReceiveError::Item(error.into())),
        found => Err(ReceiveError::Item(execnet_channel::ReceiveError::Format {
            found,
            expected: "cbor, marshal or bytes",
        })),
    }
}
