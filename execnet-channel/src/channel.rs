//! A channel: messages both ways, in order, as fast as the other side reads.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use execnet_proto::{ChannelId, Fault, cbor};
use futures_core::Stream;
use futures_sink::Sink;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::coop;

use crate::core::{Inbox, Message, cost_of};
use crate::mux::Link;
use crate::{ReceiveError, SendError};

/// Credit of taken messages goes back after this many bytes, or when the reader has caught up.
const RELEASE: u32 = 64 << 10;

/// Received messages per unit of tokio's cooperative budget. One for each message would make a busy task yield
/// every 128 messages.
const RECEIVED_PER_BUDGET: u32 = 32;

/// Sent bytes per unit of tokio's cooperative budget: a busy sender yields just before it has filled the default send
/// buffer, once for each write. Then the runtime looks for what has arrived before the sender goes on, and what was written is
/// read while the processor's cache still has it. Over TCP that gave 1.3 times as many messages of 32 bytes on one thread and of 256 bytes
/// on two, and 2.6 times as many of 4 KiB on one.
const SENT_PER_BUDGET: u32 = 800;

/// What a sent message counts for at most, in bytes: longer ones are not copied into the send buffer.
const MOST_COUNTED: usize = 4 << 10;

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
}

/// The receiving half. Dropping it drops what still arrives, without holding the peer up.
#[must_use = "dropping a receiver drops what still arrives"]
#[derive(Debug)]
pub struct Receiver {
    half: RecvHalf,
}

/// One channel's place in the connection; the last of its handles lets go of it.
#[derive(Debug)]
struct Handle {
    link: Arc<Link>,
    id: ChannelId,
    forgotten: bool,
}

impl Handle {
    /// Lets go of the channel, and of received messages of this cost that nobody has read.
    fn forget(&mut self, cost: u32, advanced: usize) {
        if !std::mem::replace(&mut self.forgotten, true) {
            self.link.forget(self.id, cost, advanced);
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.forget(0, 0);
    }
}

impl Channel {
    pub(crate) fn new(link: Arc<Link>, id: ChannelId) -> Self {
        let handle = Arc::new(Handle { link, id, forgotten: false });
        Self { tx: SendHalf::new(handle.clone()), rx: RecvHalf::new(handle) }
    }

    /// The channel's number on the wire.
    #[must_use]
    pub fn id(&self) -> ChannelId {
        self.tx.handle.id
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
        (Sender { half: self.tx }, Receiver { half: self.rx })
    }

    /// Sends a message, waiting for credit: a peer that does not read makes us wait.
    ///
    /// Cancel safe: a dropped future has sent either all of the message or nothing.
    ///
    /// # Errors
    /// [`SendError`] says why nothing of it was sent.
    pub fn send(&mut self, message: Message) -> impl Future<Output = Result<(), SendError>> {
        self.tx.send(message, false)
    }

    /// Sends the last message: EOF follows it. Both leave together, where [`send`](Self::send) and [`finish`](Self::finish) may
    /// make two writes of it.
    ///
    /// Cancel safe: a dropped future has sent either both or nothing.
    ///
    /// # Errors
    /// As [`send`](Self::send); sending is then not finished.
    pub fn send_last(&mut self, message: Message) -> impl Future<Output = Result<(), SendError>> {
        self.tx.send(message, true)
    }

    /// Sends a serde value as CBOR. Encoded first: a bad value costs nothing. Cancel safe.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`SendError::Encode`].
    pub async fn send_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SendError> {
        self.tx.send(Message::cbor(cbor::to_bytes(value)?), false).await
    }

    /// The next message; `None` after the last one. Cancel safe: no message is lost.
    ///
    /// # Errors
    /// After the last message, for ever: the peer's error, or how the connection ended.
    pub fn recv(&mut self) -> impl Future<Output = Result<Option<Message>, ReceiveError>> {
        Recv(&mut self.rx)
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
        self.tx.finish();
    }

    /// Closes both directions, after what was sent. Received messages stay readable.
    pub fn close(&mut self) {
        self.tx.handle.close(None);
    }

    /// Closes both directions; the peer's readers get `fault` as an error after the last message.
    pub fn close_with_error(&mut self, fault: Fault) {
        self.tx.handle.close(Some(fault));
    }

    /// Whether this side or the peer has closed the channel, or the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.tx.handle.link.shared.lock().core.is_closed(self.id())
    }

    /// Waits until the peer is done with the channel. Received messages stay readable; the peer may be
    /// waiting for them to be read. Cancel safe.
    ///
    /// # Errors
    /// The peer closed it with an error, or the connection ended before it was closed.
    pub async fn wait_close(&self) -> Result<(), ReceiveError> {
        self.tx.handle.wait_close().await
    }

    /// Asks the far end to stop what runs on this channel.
    pub fn interrupt(&self) {
        self.tx.handle.interrupt();
    }
}

impl Sender {
    /// The channel's number on the wire.
    #[must_use]
    pub fn id(&self) -> ChannelId {
        self.half.handle.id
    }

    /// See [`Channel::send`].
    ///
    /// # Errors
    /// [`SendError`] says why nothing of it was sent.
    pub fn send(&mut self, message: Message) -> impl Future<Output = Result<(), SendError>> {
        self.half.send(message, false)
    }

    /// See [`Channel::send_last`].
    ///
    /// # Errors
    /// As [`send`](Self::send); sending is then not finished.
    pub fn send_last(&mut self, message: Message) -> impl Future<Output = Result<(), SendError>> {
        self.half.send(message, true)
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
        ready!(self.half.poll_flush_buffered(cx)).map_err(|error| *error)?;
        self.half.poll_send(cx, message, false).map_err(|error| *error)
    }

    /// See [`Channel::send_value`].
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`SendError::Encode`].
    pub async fn send_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SendError> {
        self.half.send(Message::cbor(cbor::to_bytes(value)?), false).await
    }

    /// Sends no more: EOF follows what was sent. Dropping the sender does the same.
    pub fn finish(&mut self) {
        self.half.finish();
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

impl Drop for Sender {
    fn drop(&mut self) {
        // The last half closes the channel anyway.
        if Arc::strong_count(&self.half.handle) > 1 {
            self.half.finish();
        }
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
        Recv(&mut self.half)
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

impl Handle {
    fn close(&self, fault: Option<Fault>) {
        self.link.shared.with(|state| state.core.close(self.id, fault));
    }

    fn interrupt(&self) {
        self.link.shared.with(|state| state.core.interrupt(self.id));
    }

    async fn wait_close(&self) -> Result<(), ReceiveError> {
        poll_fn(|cx| {
            let mut state = self.link.shared.lock();
            match state.core.closed(self.id) {
                Some(result) => Poll::Ready(result),
                None => {
                    state.wait_closed(self.id, cx);
                    Poll::Pending
                }
            }
        })
        .await
    }
}

#[derive(Debug)]
struct SendHalf {
    handle: Arc<Handle>,
    /// What a `Sink` took and could not send yet.
    buffered: Option<Message>,
    /// Since the budget was last charged.
    sent: u32,
}

impl SendHalf {
    fn new(handle: Arc<Handle>) -> Self {
        Self { handle, buffered: None, sent: 0 }
    }

    /// Not an `async` block, nor one around another: each would move the message once more.
    fn send(
        &mut self,
        message: Message,
        last: bool,
    ) -> impl Future<Output = Result<(), SendError>> {
        let mut message = Some(message);
        poll_fn(move |cx| {
            ready!(self.poll_flush_buffered(cx)).map_err(|error| *error)?;
            self.poll_send(cx, &mut message, last).map_err(|error| *error)
        })
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        message: &mut Option<Message>,
        last: bool,
    ) -> Poll<Result<(), Box<SendError>>> {
        let Some(Message { payload, .. }) = message else { return Poll::Ready(Ok(())) };
        let count = cost_of(payload.len().min(MOST_COUNTED));
        ready!(poll_budget(cx, &mut self.sent, count, SENT_PER_BUDGET));
        let id = self.handle.id;
        let result = self.handle.link.shared.with(|state| {
            let result = state.core.send_from(id, message);
            if message.is_some() && result.is_ok() {
                state.wait_writable(id, cx);
                return Poll::Pending;
            }
            if last && result.is_ok() {
                state.core.finish(id);
            }
            Poll::Ready(result)
        });
        if matches!(result, Poll::Ready(Err(_))) {
            *message = None;
        }
        result
    }

    #[inline]
    fn poll_flush_buffered(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Box<SendError>>> {
        if self.buffered.is_none() {
            return Poll::Ready(Ok(()));
        }
        let mut buffered = self.buffered.take();
        let result = self.poll_send(cx, &mut buffered, false);
        self.buffered = buffered;
        result
    }

    fn finish(&self) {
        let id = self.handle.id;
        self.handle.link.shared.with(|state| state.core.finish(id));
    }
}

#[derive(Debug)]
struct RecvHalf {
    handle: Arc<Handle>,
    /// Messages taken from the core and not yet asked for.
    inbox: Inbox,
    /// Credit of messages that were asked for and not yet given back.
    taken: u32,
    received: u32,
    /// An error has been given to a `Stream`.
    failed: bool,
}

impl RecvHalf {
    fn new(handle: Arc<Handle>) -> Self {
        Self { handle, inbox: Inbox::default(), taken: 0, received: 0, failed: false }
    }

    #[inline(always)]
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, ReceiveError>> {
        ready!(poll_budget(cx, &mut self.received, 1, RECEIVED_PER_BUDGET));
        self.poll_next(Some(cx))
    }

    /// The next message; without a context, nobody is woken when there is one.
    #[inline(always)]
    fn poll_next(
        &mut self,
        cx: Option<&mut Context<'_>>,
    ) -> Poll<Result<Option<Message>, ReceiveError>> {
        if self.inbox.is_empty()
            && let Err(error) = ready!(self.poll_fill(cx))
        {
            return Poll::Ready(Err(*error));
        }
        Poll::Ready(Ok(self.pop()))
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ReceiveError>> {
        if !self.inbox.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.poll_fill(Some(cx)).map_err(|error| *error)
    }

    fn try_recv(&mut self) -> Option<Result<Option<Message>, ReceiveError>> {
        match self.poll_next(None) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }

    /// Inlined, or else each message is moved once more: for a short one that is a tenth of its cost.
    #[inline(always)]
    fn pop(&mut self) -> Option<Message> {
        let taken = self.inbox.pop()?;
        self.taken += taken.cost;
        if self.taken >= RELEASE || taken.advanced > 0 {
            self.release(taken.advanced);
        }
        Some(taken.message)
    }

    /// Takes all that waits into our own inbox, which is empty; it stays so at the end.
    fn poll_fill(&mut self, cx: Option<&mut Context<'_>>) -> Poll<Result<(), Box<ReceiveError>>> {
        let taken = std::mem::take(&mut self.taken);
        let id = self.handle.id;
        let inbox = &mut self.inbox;
        // One lock for both: in a dialogue every message comes by here.
        self.handle.link.shared.with(|state| {
            if taken > 0 {
                state.core.release(id, taken, 0);
            }
            match (state.core.take_inbox(id, inbox), cx) {
                (Ok(true), _) => Poll::Ready(Ok(())),
                (Err(error), _) => Poll::Ready(Err(error)),
                (Ok(false), Some(cx)) => {
                    state.wait_readable(id, cx);
                    Poll::Pending
                }
                (Ok(false), None) => Poll::Pending,
            }
        })
    }

    fn release(&mut self, advanced: usize) {
        let taken = std::mem::take(&mut self.taken);
        let id = self.handle.id;
        self.handle.link.shared.with(|state| state.core.release(id, taken, advanced));
    }
}

/// What `recv` gives: a type of its own, to be inlined where it is awaited.
struct Recv<'a>(&'a mut RecvHalf);

impl Future for Recv<'_> {
    type Output = Result<Option<Message>, ReceiveError>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_recv(cx)
    }
}

impl Drop for RecvHalf {
    fn drop(&mut self) {
        let (cost, advanced) = self.inbox.totals();
        let cost = cost + self.taken;
        // The last handle: one lock for all there is to do.
        if let Some(handle) = Arc::get_mut(&mut self.handle) {
            return handle.forget(cost, advanced);
        }
        let id = self.handle.id;
        self.handle.link.shared.with(|state| {
            state.core.release(id, cost, advanced);
            state.core.discard(id);
        });
    }
}

/// Lets other tasks run now and then, however ready this one always is.
fn poll_budget(cx: &mut Context<'_>, used: &mut u32, more: u32, unit: u32) -> Poll<()> {
    // Asked again and again without a yield in between, it stays where it is.
    if *used < unit {
        *used += more;
    }
    while *used >= unit {
        ready!(coop::poll_proceed(cx)).made_progress();
        *used -= unit;
    }
    Poll::Ready(())
}

/// Ends after the first error, which it yields.
fn poll_stream(
    half: &mut RecvHalf,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Message, ReceiveError>>> {
    if half.failed {
        return Poll::Ready(None);
    }
    let result = ready!(half.poll_recv(cx));
    half.failed = result.is_err();
    Poll::Ready(result.transpose())
}

impl Stream for Receiver {
    type Item = Result<Message, ReceiveError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        poll_stream(&mut self.get_mut().half, cx)
    }
}

impl Stream for Channel {
    type Item = Result<Message, ReceiveError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        poll_stream(&mut self.get_mut().rx, cx)
    }
}

impl Sink<Message> for SendHalf {
    type Error = SendError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.get_mut().poll_flush_buffered(cx).map_err(|error| *error)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), SendError> {
        self.get_mut().buffered = Some(message);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.get_mut().poll_flush_buffered(cx).map_err(|error| *error)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let this = self.get_mut();
        ready!(this.poll_flush_buffered(cx)).map_err(|error| *error)?;
        this.finish();
        Poll::Ready(Ok(()))
    }
}

/// A `Sink` that hands everything to a field.
macro_rules! sink_through {
    ($outer:ty, $field:ident) => {
        impl Sink<Message> for $outer {
            type Error = SendError;

            fn poll_ready(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<Result<(), SendError>> {
                Pin::new(&mut self.get_mut().$field).poll_ready(cx)
            }

            fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), SendError> {
                Pin::new(&mut self.get_mut().$field).start_send(message)
            }

            fn poll_flush(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<Result<(), SendError>> {
                Pin::new(&mut self.get_mut().$field).poll_flush(cx)
            }

            fn poll_close(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<Result<(), SendError>> {
                Pin::new(&mut self.get_mut().$field).poll_close(cx)
            }
        }
    };
}

sink_through!(Sender, half);
sink_through!(Channel, tx);
