//! Channels for threads.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use execnet_proto::{ChannelId, Value};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::runtime::{wait, wait_timeout};
use super::{Gateway, Receiver, Sender, TypedChannel};
use crate::{ReceiveError, SendError, WaitError};

/// A two-way stream of items between this program and code on a gateway: [`crate::Channel`] for threads.
///
/// Dropping it closes it. As an iterator it yields [`Value`]s, then the remote exception or how the gateway died if that is how
/// it ended, then no more. A channel is itself an item, as in the async API.
pub struct Channel(pub(super) crate::Channel);

impl Channel {
    /// The gateway at the other end.
    #[must_use]
    pub fn gateway(&self) -> Gateway {
        Gateway(self.0.gateway().clone())
    }

    /// The channel's number on its connection; a [`Value::Channel`] names it by that.
    #[must_use]
    pub fn id(&self) -> ChannelId {
        self.0.id()
    }

    /// Sends an item. It is encoded first, so a bad one costs nothing; then waits while the remote code does not read.
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

    /// Sends a bytes object, which is not copied.
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

    /// The next item, as a `T`.
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

    /// The next item, exactly as Python sent it. Long bytes objects are not copied.
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

    /// The same channel with its types fixed.
    #[must_use]
    pub fn typed<Out: Serialize, In: DeserializeOwned>(self) -> TypedChannel<Out, In> {
        TypedChannel::new(self)
    }

    /// Tells the remote side that no more items come: its `for x in channel` ends. Receiving goes on.
    pub fn finish_sending(&mut self) {
        self.0.finish_sending();
    }

    /// Closes both directions, after what was sent. Received items stay readable.
    pub fn close(&mut self) {
        self.0.close();
    }

    /// Closes both directions; the remote side gets `message` as a `RemoteError`.
    pub fn close_with_error(&mut self, message: impl Into<String>) {
        self.0.close_with_error(message);
    }

    /// Whether either side has closed the channel, or the gateway has ended. Received items may still be readable.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Waits until the remote code is done with the channel. It may itself wait for its items to be read: read them first, or
    /// in another thread.
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

    /// Raises `KeyboardInterrupt` in the code that runs on this channel.
    pub fn interrupt(&self) {
        self.0.interrupt();
    }

    /// Parts the directions, for two threads.
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        let (sender, receiver) = self.0.split();
        (Sender(sender), Receiver(receiver))
    }
}

impl Iterator for Channel {
    type Item = Result<Value, ReceiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        wait(self.0.next())
    }
}

/// As [`crate::Channel`] does: sends a reference.
impl Serialize for Channel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// As [`crate::Channel`] does: takes the channel that the remote code has made and sent.
impl<'de> Deserialize<'de> for Channel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::Channel::deserialize(deserializer).map(Self)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
