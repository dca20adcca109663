//! Messages into items and back, and errors of the multiplexer into ours.

use execnet_channel::Message;
use execnet_proto::{Format, Value, cbor};
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
    let encoded = passing::over(gateway, || cbor::to_bytes(item));
    Ok(Message::cbor(encoded.map_err(|error| SendError::Channel(error.into()))?))
}

pub(super) fn typed<T: DeserializeOwned>(
    message: &Message,
    gateway: &Gateway,
) -> Result<T, ReceiveError> {
    passing::over(gateway, || message.to_value()).map_err(ReceiveError::Item)
}

pub(super) fn value(message: Message) -> Result<Value, ReceiveError> {
    match message.format {
        Format::Bytes => Ok(Value::Bytes(message.payload)),
        Format::Cbor => {
            cbor::decode_shared(&message.payload).map_err(|error| ReceiveError::Item(error.into()))
        }
        found => Err(ReceiveError::Item(execnet_channel::ReceiveError::Format {
            found,
            expected: "cbor or bytes",
        })),
    }
}
