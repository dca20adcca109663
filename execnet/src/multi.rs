//! Many channels used as one.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use execnet_proto::Value;
use futures_core::Stream;
use futures_util::future::join_all;
use futures_util::stream::SelectAll;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::channel::{Channel, Receiver, Sender};
use crate::{ReceiveError, SendError, WaitError};

/// Channels to several gateways, in order. From [`Group::remote_exec`](crate::Group::remote_exec), or of your own.
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

    /// Sends one item on every channel. A result for each, in order: one that fails does not keep
    /// the others from it.
    ///
    /// Not cancel safe as a whole: a dropped future has sent the item, whole, on those channels whose remote code was reading, and
    /// not on the others.
    pub async fn send_each<T: Serialize + ?Sized>(
        &mut self,
        item: &T,
    ) -> Vec<Result<(), SendError>> {
        join_all(self.channels.iter_mut().map(|channel| channel.send(item))).await
    }

    /// Receives one item from every channel. A result for each, in order. Waits for the slowest.
    ///
    /// Cancel safe: items are taken when each channel has one, all at once.
    pub async fn receive_each<T: DeserializeOwned>(&mut self) -> Vec<Result<T, ReceiveError>> {
        let ready = join_all(self.channels.iter_mut().map(Channel::readable)).await;
        self.received(ready)
    }

    /// The same, but waits for no channel longer than `limit`: [`ReceiveError::TimedOut`] for one that has sent nothing
    /// by then. Its item is not lost, it is the next one received. Cancel safe in the same way.
    pub async fn receive_each_within<T: DeserializeOwned>(
        &mut self,
        limit: Duration,
    ) -> Vec<Result<T, ReceiveError>> {
        let ready = join_all(self.channels.iter_mut().map(|channel| async {
            let ready = tokio::time::timeout(limit, channel.readable()).await;
            ready.unwrap_or(Err(ReceiveError::TimedOut))
        }))
        .await;
        self.received(ready)
    }

    fn received<T: DeserializeOwned>(
        &mut self,
        ready: Vec<Result<(), ReceiveError>>,
    ) -> Vec<Result<T, ReceiveError>> {
        let each = ready.into_iter().zip(&mut self.channels);
        each.map(|(ready, channel)| ready.and_then(|()| channel.received())).collect()
    }

    /// Raises `KeyboardInterrupt` in the code that runs on each channel.
    pub fn interrupt(&self) {
        self.channels.iter().for_each(Channel::interrupt);
    }

    /// All channels' items as they come, and the halves to send on, in order.
    #[must_use]
    pub fn receive_queue(self) -> (Vec<Sender>, ReceiveQueue) {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            self.channels.into_iter().map(Channel::split).unzip();
        let members = receivers.into_iter().enumerate();
        let streams = members.map(|(index, receiver)| Member { index, receiver, ended: false });
        (senders, ReceiveQueue { streams: streams.collect() })
    }

    /// Waits until the remote side of every channel is done. A result for each, in order. Cancel safe.
    pub async fn wait_close(&self) -> Vec<Result<(), WaitError>> {
        join_all(self.channels.iter().map(Channel::wait_close)).await
    }
}

/// Items of many channels as they come, each with the index of its channel.
///
/// Every channel ends with exactly one error: [`ReceiveError::End`] when it ended well.
#[derive(Debug)]
pub struct ReceiveQueue {
    streams: SelectAll<Member>,
}

impl ReceiveQueue {
    /// Raises `KeyboardInterrupt` in the code that runs on each channel that has not ended.
    pub fn interrupt(&self) {
        self.streams.iter().for_each(|member| member.receiver.interrupt());
    }
}

impl Stream for ReceiveQueue {
    type Item = (usize, Result<Value, ReceiveError>);

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.get_mut().streams).poll_next(cx)
    }
}

#[derive(Debug)]
struct Member {
    index: usize,
    receiver: Receiver,
    ended: bool,
}

impl Stream for Member {
    type Item = (usize, Result<Value, ReceiveError>);

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let item = ready!(Pin::new(&mut this.receiver).poll_next(cx));
        let item = item.unwrap_or(Err(ReceiveError::End));
        this.ended = item.is_err() && !matches!(item, Err(ReceiveError::Item(_)));
        Poll::Ready(Some((this.index, item)))
    }
}
