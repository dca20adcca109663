//! Channels whose items have types.

use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Channel;
use crate::{ReceiveError, SendError, WaitError};

/// A channel with its types fixed, from [`Channel::typed`]. An iterator of `In`s; an item that is none is an error, after which
/// the others follow.
#[derive(Debug)]
pub struct TypedChannel<Out, In> {
    channel: Channel,
    /// Its one last error has been told.
    ended: bool,
    types: PhantomData<fn(Out) -> In>,
}

impl<Out: Serialize, In: DeserializeOwned> TypedChannel<Out, In> {
    pub(super) fn new(channel: Channel) -> Self {
        Self { channel, ended: false, types: PhantomData }
    }

    /// See [`Channel::send`].
    ///
    /// # Errors
    /// [`SendError`]: nothing of it was sent.
    pub fn send(&mut self, item: &Out) -> Result<(), SendError> {
        self.channel.send(item)
    }

    /// See [`Channel::send_timeout`].
    ///
    /// # Errors
    /// [`SendError`], of which [`SendError::TimedOut`]: nothing of it was sent.
    pub fn send_timeout(&mut self, item: &Out, limit: Duration) -> Result<(), SendError> {
        self.channel.send_timeout(item, limit)
    }

    /// See [`Channel::receive`].
    ///
    /// # Errors
    /// The end, the remote exception, how the gateway died, or an item that is no `In`.
    pub fn receive(&mut self) -> Result<In, ReceiveError> {
        self.channel.receive()
    }

    /// See [`Channel::receive_timeout`].
    ///
    /// # Errors
    /// As [`receive`](Self::receive), or [`ReceiveError::TimedOut`]: the item that comes later is the next one received.
    pub fn receive_timeout(&mut self, limit: Duration) -> Result<In, ReceiveError> {
        self.channel.receive_timeout(limit)
    }

    /// See [`Channel::finish_sending`].
    pub fn finish_sending(&mut self) {
        self.channel.finish_sending();
    }

    /// See [`Channel::wait_close`].
    ///
    /// # Errors
    /// The remote exception, or how the gateway died.
    pub fn wait_close(&self) -> Result<(), WaitError> {
        self.channel.wait_close()
    }

    /// See [`Channel::wait_close_timeout`].
    ///
    /// # Errors
    /// As [`wait_close`](Self::wait_close), or [`WaitError::TimedOut`].
    pub fn wait_close_timeout(&self, limit: Duration) -> Result<(), WaitError> {
        self.channel.wait_close_timeout(limit)
    }

    /// The channel without its types.
    #[must_use]
    pub fn into_inner(self) -> Channel {
        self.channel
    }
}

impl<Out: Serialize, In: DeserializeOwned> Iterator for TypedChannel<Out, In> {
    type Item = Result<In, ReceiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.receive();
        self.ended = matches!(&item, Err(error) if !matches!(error, ReceiveError::Item(_)));
        if matches!(item, Err(ReceiveError::End)) { None } else { Some(item) }
    }
}
