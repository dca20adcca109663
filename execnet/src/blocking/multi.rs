//! Many channels used as one.

use std::time::Duration;

use execnet_proto::Value;
use futures_util::StreamExt;
use futures_util::future::join_all;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::runtime::{wait, wait_timeout};
use super::{Channel, Sender};
use crate::{ReceiveError, SendError, WaitError};

/// Channels to several gateways, in order: [`crate::MultiChannel`] for threads.
#[derive(Debug)]
pub struct MultiChannel {
    channels: Vec<Channel>,
}

impl MultiChannel {
    /// Puts channels together. They may belong to any gateways.
    #[must_use]
    pub fn new(channels: Vec<Channel>) -> Self {
        Self { channels }
    }

    /// The channels.
    #[must_use]
    pub fn channels(&self) -> &[Channel] {
        &self.channels
    }

    /// The channels, to use one by one.
    pub fn channels_mut(&mut self) -> &mut [Channel] {
        &mut self.channels
    }

    /// Takes it apart.
    #[must_use]
    pub fn into_channels(self) -> Vec<Channel> {
        self.channels
    }

    /// Sends one item on every channel, on all at the same time. A result for each, in order: one that fails does not keep the
    /// others from it.
    pub fn send_each<T: Serialize + ?Sized>(&mut self, item: &T) -> Vec<Result<(), SendError>> {
        wait(join_all(self.channels.iter_mut().map(|channel| channel.0.send(item))))
    }

    /// The same, but waits for no channel longer than `limit`: [`SendError::TimedOut`] where nothing was sent by then.
    pub fn send_each_timeout<T: Serialize + ?Sized>(
        &mut self,
        item: &T,
        limit: Duration,
    ) -> Vec<Result<(), SendError>> {
        wait(join_all(self.channels.iter_mut().map(|channel| async {
            let sent = timeout(limit, channel.0.send(item)).await;
            sent.unwrap_or(Err(SendError::TimedOut))
        })))
    }

    /// Receives one item from every channel. A result for each, in order. Waits for the slowest.
    pub fn receive_each<T: DeserializeOwned>(&mut self) -> Vec<Result<T, ReceiveError>> {
        wait(join_all(self.channels.iter_mut().map(|channel| channel.0.receive())))
    }

    /// The same, but waits for no channel longer than `limit`: [`ReceiveError::TimedOut`] for one that has sent nothing
    /// by then. Its item is not lost, it is the next one received.
    pub fn receive_each_within<T: DeserializeOwned>(
        &mut self,
        limit: Duration,
    ) -> Vec<Result<T, ReceiveError>> {
        wait(join_all(self.channels.iter_mut().map(|channel| async {
            let received = timeout(limit, channel.0.receive()).await;
            received.unwrap_or(Err(ReceiveError::TimedOut))
        })))
    }

    /// Raises `KeyboardInterrupt` in the code that runs on each channel.
    pub fn interrupt(&self) {
        self.channels.iter().for_each(Channel::interrupt);
    }

    /// All channels' items as they come, and the halves to send on, in order.
    #[must_use]
    pub fn receive_queue(self) -> (Vec<Sender>, ReceiveQueue) {
        let channels = self.channels.into_iter().map(|channel| channel.0).collect();
        let (senders, queue) = crate::MultiChannel::new(channels).receive_queue();
        (senders.into_iter().map(Sender).collect(), ReceiveQueue(queue))
    }

    /// Waits until the remote side of every channel is done. A result for each, in order.
    #[must_use]
    pub fn wait_close(&self) -> Vec<Result<(), WaitError>> {
        wait(join_all(self.channels.iter().map(|channel| channel.0.wait_close())))
    }

    /// The same, but waits for no channel longer than `limit`: [`WaitError::TimedOut`].
    #[must_use]
    pub fn wait_close_timeout(&self, limit: Duration) -> Vec<Result<(), WaitError>> {
        wait(join_all(self.channels.iter().map(|channel| async {
            let closed = timeout(limit, channel.0.wait_close()).await;
            closed.unwrap_or(Err(WaitError::TimedOut))
        })))
    }
}

/// Items of many channels as they come, each with the index of its channel: an iterator.
///
/// Every channel ends with exactly one error: [`ReceiveError::End`] when it ended well.
#[derive(Debug)]
pub struct ReceiveQueue(crate::ReceiveQueue);

/// Nothing came in time. The queue is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing came in time")]
#[expect(clippy::exhaustive_structs, reason = "it says all there is to say")]
pub struct TimedOut;

impl ReceiveQueue {
    /// The next item, but waits no longer than `limit` for it; `Ok(None)` when all channels have ended.
    ///
    /// # Errors
    /// [`TimedOut`]: what comes later is the next item.
    pub fn next_timeout(
        &mut self,
        limit: Duration,
    ) -> Result<Option<<Self as Iterator>::Item>, TimedOut> {
        wait_timeout(limit, self.0.next()).ok_or(TimedOut)
    }

    /// Raises `KeyboardInterrupt` in the code that runs on each channel that has not ended.
    pub fn interrupt(&self) {
        self.0.interrupt();
    }
}

impl Iterator for ReceiveQueue {
    type Item = (usize, Result<Value, ReceiveError>);

    fn next(&mut self) -> Option<Self::Item> {
        wait(self.0.next())
    }
}
