//! A channel's directions apart, for two threads.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use execnet_proto::Value;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};

use super::Gateway;
use super::runtime::{wait, wait_timeout};
use crate::{ReceiveError, SendError, WaitError};

/// The sending half of a channel. Dropping it tells the remote side that no more items come.
pub struct Sender(pub(super) crate::Sender);

/// The receiving half of a channel. An iterator of [`Value`]s, as [`Channel`](super::Channel) is.
pub struct Receiver(pub(super) crate::Receiver);

impl Sender {
    /// See [`Channel::send`](super::Channel::send).
    ///
    /// # Errors
    /// [`SendError`]: nothing of it was sent.
    pub fn send<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), SendError> {
        wait(self.0.send(item))
    }

    /// The same, but waits no longer than `limit`.
    ///
    /// # Errors
    /// [`SendError`], of which [`SendError::TimedOut`]: nothing of it was sent.
    pub fn send_timeout<T: Serialize + ?Sized>(
        &mut self,
        item: &T,
        limit: Duration,
    ) -> Result<(), SendError> {
        wait_timeout(limit, self.0.send(item)).unwrap_or(Err(SendError::TimedOut))
    }

    /// See [`Channel::send_bytes`](super::Channel::send_bytes).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_bytes(&mut self, bytes: impl Into<Bytes>) -> Result<(), SendError> {
        wait(self.0.send_bytes(bytes))
    }

    /// The same, but waits no longer than `limit`.
    ///
    /// # Errors
    /// As [`send_timeout`](Self::send_timeout).
    pub fn send_bytes_timeout(
        &mut self,
        bytes: impl Into<Bytes>,
        limit: Duration,
    ) -> Result<(), SendError> {
        wait_timeout(limit, self.0.send_bytes(bytes)).unwrap_or(Err(SendError::TimedOut))
    }

    /// See [`Channel::finish_sending`](super::Channel::finish_sending); dropping the sender does the same.
    pub fn finish_sending(&mut self) {
        self.0.finish_sending();
    }

    /// See [`Channel::close`](super::Channel::close).
    pub fn close(&mut self) {
        self.0.close();
    }

    /// See [`Channel::close_with_error`](super::Channel::close_with_error).
    pub fn close_with_error(&mut self, message: impl Into<String>) {
        self.0.close_with_error(message);
    }

    /// See [`Channel::wait_close`](super::Channel::wait_close).
    ///
    /// # Errors
    /// The remote exception, or how the gateway died.
    pub fn wait_close(&self) -> Result<(), WaitError> {
        wait(self.0.wait_close())
    }

    /// The same, but waits no longer than `limit`.
    ///
    /// # Errors
    /// As [`wait_close`](Self::wait_close), or [`WaitError::TimedOut`].
    pub fn wait_close_timeout(&self, limit: Duration) -> Result<(), WaitError> {
        wait_timeout(limit, self.0.wait_close()).unwrap_or(Err(WaitError::TimedOut))
    }

    /// See [`Channel::interrupt`](super::Channel::interrupt).
    pub fn interrupt(&self) {
        self.0.interrupt();
    }
}

impl Receiver {
    /// The gateway at the other end.
    #[must_use]
    pub fn gateway(&self) -> Gateway {
        Gateway(self.0.gateway().clone())
    }

    /// See [`Channel::receive`](super::Channel::receive).
    ///
    /// # Errors
    /// [`ReceiveError::End`] after the last item, or the remote exception, or how the gateway died: for ever, to every call.
    pub fn receive<T: DeserializeOwned>(&mut self) -> Result<T, ReceiveError> {
        wait(self.0.receive())
    }

    /// The same, but waits no longer than `limit`.
    ///
    /// # Errors
    /// As [`receive`](Self::receive), or [`ReceiveError::TimedOut`]: the item that comes later is the next one received.
    pub fn receive_timeout<T: DeserializeOwned>(
        &mut self,
        limit: Duration,
    ) -> Result<T, ReceiveError> {
        wait_timeout(limit, self.0.receive()).unwrap_or(Err(ReceiveError::TimedOut))
    }

    /// See [`Channel::receive_value`](super::Channel::receive_value).
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_value(&mut self) -> Result<Value, ReceiveError> {
        wait(self.0.receive_value())
    }

    /// The same, but waits no longer than `limit`.
    ///
    /// # Errors
    /// As [`receive_timeout`](Self::receive_timeout).
    pub fn receive_value_timeout(&mut self, limit: Duration) -> Result<Value, ReceiveError> {
        wait_timeout(limit, self.0.receive_value()).unwrap_or(Err(ReceiveError::TimedOut))
    }

    /// See [`Channel::wait_close`](super::Channel::wait_close).
    ///
    /// # Errors
    /// The remote exception, or how the gateway died.
    pub fn wait_close(&self) -> Result<(), WaitError> {
        wait(self.0.wait_close())
    }

    /// The same, but waits no longer than `limit`.
    ///
    /// # Errors
    /// As [`wait_close`](Self::wait_close), or [`WaitError::TimedOut`].
    pub fn wait_close_timeout(&self, limit: Duration) -> Result<(), WaitError> {
        wait_timeout(limit, self.0.wait_close()).unwrap_or(Err(WaitError::TimedOut))
    }

    /// See [`Channel::interrupt`](super::Channel::interrupt).
    pub fn interrupt(&self) {
        self.0.interrupt();
    }
}

impl Iterator for Receiver {
    type Item = Result<Value, ReceiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        wait(self.0.next())
    }
}

/// As [`Channel`](super::Channel) does.
impl Serialize for Sender {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// As [`Channel`](super::Channel) does.
impl Serialize for Receiver {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
