//! A channel: messages both ways, in order, as fast as the other side reads.

mod handle;
mod recv_half;
mod send_half;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use execnet_proto::{ChannelId, Fault, cbor};
use futures_core::Stream;
use futures_sink::Sink;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::core::Message;
use crate::mux::Link;
use crate::{ReceiveError, SendError};
use handle::Handle;
use recv_half::RecvHalf;
use send_half::SendHalf;

/// One channel. Dropping it closes it; [`split`](Self::split) parts its directions.
///
/// It is a [`Stream`] of received messages and a [`Sink`] of messages to send.
#[must_use = "dropping a channel closes it"]
#[derive(Debug)]
pub struct Channel {
    tx: SendHalf,
    rx: RecvHalf,
}

/// The sending half. Dropping it sends EOF, so that the peer's reading ends.
#[must_use = "dropping a sender sends EOF"]
#[derive(Debug)]
pub struct Sender {
    half: SendHalf,
    handle: Handle,
}

/// The receiving half. Dropping it drops what still arrives, without holding the peer up.
#[must_use = "dropping a receiver drops what still arrives"]
#[derive(Debug)]
pub struct Receiver {
    half: RecvHalf,
}

impl Channel {
    pub(crate) fn new(link: Arc<Link>, id: ChannelId) -> Self {
        Self { tx: SendHalf::new(), rx: RecvHalf::new(Handle { link, id }) }
    }

    /// The channel's number on the wire.
    #[must_use]
    pub fn id(&self) -> ChannelId {
        self.rx.handle.id
    }

    /// Parts the directions; the channel closes when both halves are gone.
    ///
    /// Each half is for one task. The whole is gone, so nobody can close what another task still uses:
    ///
    /// ```compile_fail,E0382
    /// # fn example(mut channel: execnet_channel::Channel) {
    /// let (sender, receiver) = channel.split();
    /// channel.close();
    /// # }
    /// ```
    pub fn split(self) -> (Sender, Receiver) {
        let Self { tx, mut rx } = self;
        rx.parted = true;
        (Sender { half: tx, handle: rx.handle.clone() }, Receiver { half: rx })
    }

    /// Sends a message, waiting for credit: a peer that does not read makes us wait.
    ///
    /// Cancel safe: a dropped future has sent either all of the message or nothing.
    ///
    /// # Errors
    /// [`SendError`] says why nothing of it was sent.
    pub fn send(&mut self, message: Message) -> impl Future<Output = Result<(), SendError>> {
        self.tx.send(&self.rx.handle, message, false)
    }

    /// Sends the last message: EOF follows it. Both leave together, where [`send`](Self::send) and [`finish`](Self::finish) may
    /// make two writes of it.
    ///
    /// Cancel safe: a dropped future has sent either both or nothing.
    ///
    /// # Errors
    /// As [`send`](Self::send); sending is then not finished.
    pub fn send_last(&mut self, message: Message) -> impl Future<Output = Result<(), SendError>> {
        self.tx.send(&self.rx.handle, message, true)
    }

    /// Sends a serde value as CBOR. Encoded first: a bad value costs nothing. Cancel safe.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`SendError::Encode`].
    pub async fn send_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SendError> {
        self.tx.send(&self.rx.handle, Message::cbor(cbor::to_bytes(value)?), false).await
    }

    /// The next message; `None` after the last one. Cancel safe: no message is lost.
    ///
    /// # Errors
    /// After the last message, for ever: the peer's error, or how the connection ended.
    pub fn recv(&mut self) -> impl Future<Output = Result<Option<Message>, ReceiveError>> {
        self.rx.recv()
    }

    /// Waits until [`try_recv`](Self::try_recv) has a message or the end. Takes nothing. Cancel safe.
    ///
    /// # Errors
    /// What `try_recv` will give.
    pub async fn readable(&mut self) -> Result<(), ReceiveError> {
        poll_fn(|cx| self.rx.poll_readable(cx)).await
    }

    /// What [`recv`](Self::recv) would give, if it would give it at once; `None` while it would wait.
    pub fn try_recv(&mut self) -> Option<Result<Option<Message>, ReceiveError>> {
        self.rx.try_recv()
    }

    /// The next message as a serde value; `None` after the last one. Cancel safe.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), and when the message is not a `T`.
    pub async fn recv_value<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ReceiveError> {
        self.recv().await?.map(|message| message.into_value()).transpose()
    }

    /// Sends no more: EOF follows what was sent. Receiving goes on.
    pub fn finish(&mut self) {
        self.rx.handle.finish();
    }

    /// Closes both directions, after what was sent. Received messages stay readable.
    pub fn close(&mut self) {
        self.rx.handle.close(None);
    }

    /// Closes both directions; the peer's readers get `fault` as an error after the last message.
    pub fn close_with_error(&mut self, fault: Fault) {
        self.rx.handle.close(Some(fault));
    }

    /// Whether this side or the peer has closed the channel, or the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.rx.handle.link.shared.lock().core.is_closed(self.id())
    }

    /// Waits until the peer is done with the channel. Received messages stay readable; the peer may be
    /// waiting for them to be read. Cancel safe.
    ///
    /// # Errors
    /// The peer closed it with an error, or the connection ended before it was closed.
    pub async fn wait_close(&self) -> Result<(), ReceiveError> {
        self.rx.handle.wait_close().await
    }

    /// Asks the far end to stop what runs on this channel.
    pub fn interrupt(&self) {
        self.rx.handle.interrupt();
    }
}

impl Sender {
    /// The channel's number on the wire.
    #[must_use]
    pub fn id(&self) -> ChannelId {
        self.handle.id
    }

    /// See [`Channel::send`].
    ///
    /// # Errors
    /// [`SendError`] says why nothing of it was sent.
    pub fn send(&mut self, message: Message) -> impl Future<Output = Result<(), SendError>> {
        self.half.send(&self.handle, message, false)
    }

    /// See [`Channel::send_last`].
    ///
    /// # Errors
    /// As [`send`](Self::send); sending is then not finished.
    pub fn send_last(&mut self, message: Message) -> impl Future<Output = Result<(), SendError>> {
        self.half.send(&self.handle, message, true)
    }

    /// [`send`](Self::send) for those who poll: takes the message when it is sent, and leaves it there while it has to wait.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        message: &mut Option<Message>,
    ) -> Poll<Result<(), SendError>> {
        ready!(self.half.poll_flush_buffered(&self.handle, cx)).map_err(|error| *error)?;
        self.half.poll_send(&self.handle, cx, message, false).map_err(|error| *error)
    }

    /// See [`Channel::send_value`].
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`SendError::Encode`].
    pub async fn send_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SendError> {
        self.half.send(&self.handle, Message::cbor(cbor::to_bytes(value)?), false).await
    }

    /// Sends no more: EOF follows what was sent. Dropping the sender does the same.
    pub fn finish(&mut self) {
        self.handle.finish();
    }

    /// Closes both directions, after what was sent; with a fault the peer's readers get it as an error.
    pub fn close(&mut self, fault: Option<Fault>) {
        self.handle.close(fault);
    }

    /// See [`Channel::wait_close`].
    ///
    /// # Errors
    /// The peer closed it with an error, or the connection ended before it was closed.
    pub async fn wait_close(&self) -> Result<(), ReceiveError> {
        self.handle.wait_close().await
    }

    /// Asks the far end to stop what runs on this channel.
    pub fn interrupt(&self) {
        self.handle.interrupt();
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let Handle { link, id } = &self.handle;
        link.forget_sender(*id);
    }
}

impl Receiver {
    /// The channel's number on the wire.
    #[must_use]
    pub fn id(&self) -> ChannelId {
        self.half.handle.id
    }

    /// See [`Channel::recv`].
    ///
    /// # Errors
    /// After the last message, for ever: the peer's error, or how the connection ended.
    pub fn recv(&mut self) -> impl Future<Output = Result<Option<Message>, ReceiveError>> {
        self.half.recv()
    }

    /// See [`Channel::recv_value`].
    ///
    /// # Errors
    /// As [`recv`](Self::recv), and when the message is not a `T`.
    pub async fn recv_value<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ReceiveError> {
        self.recv().await?.map(|message| message.into_value()).transpose()
    }

    /// Closes both directions, after what was sent; with a fault the peer's readers get it as an error.
    pub fn close(&mut self, fault: Option<Fault>) {
        self.half.handle.close(fault);
    }

    /// See [`Channel::wait_close`].
    ///
    /// # Errors
    /// The peer closed it with an error, or the connection ended before it was closed.
    pub async fn wait_close(&self) -> Result<(), ReceiveError> {
        self.half.handle.wait_close().await
    }

    /// Asks the far end to stop what runs on this channel.
    pub fn interrupt(&self) {
        self.half.handle.interrupt();
    }
}

impl Stream for Receiver {
    type Item = Result<Message, ReceiveError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().half.poll_stream(cx)
    }
}

impl Stream for Channel {
    type Item = Result<Message, ReceiveError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().rx.poll_stream(cx)
    }
}

/// A `Sink` out of a half and the handle that goes with it.
macro_rules! sink {
    ($outer:ty, $half:ident, $($handle:ident).+) => {
        impl Sink<Message> for $outer {
            type Error = SendError;

            fn poll_ready(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<Result<(), SendError>> {
                let this = self.get_mut();
                this.$half.poll_flush_buffered(&this.$($handle).+, cx).map_err(|error| *error)
            }

            fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), SendError> {
                self.get_mut().$half.buffer(message);
                Ok(())
            }

            fn poll_flush(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<Result<(), SendError>> {
                self.poll_ready(cx)
            }

            fn poll_close(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<Result<(), SendError>> {
                ready!(self.as_mut().poll_ready(cx))?;
                self.finish();
                Poll::Ready(Ok(()))
            }
        }
    };
}

sink!(Sender, half, handle);
sink!(Channel, tx, rx.handle);
