//! Channels as a program uses them: serde types and `Value`s, with errors that tell the whole story.

mod callback;
mod convert;
mod file;
pub(crate) mod passing;
mod stream;

use std::marker::PhantomData;

use bytes::Bytes;
use execnet_channel::Message;
use execnet_proto::{ChannelId, Fault, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::convert::{immediate, item, message, send_result, typed, value, wait_result};
pub use self::file::{ChannelReader, ChannelWriter};
use self::stream::{Inquest, Receiving};
use crate::{Gateway, ReceiveError, SendError, WaitError};

/// A two-way stream of items between this program and code on a gateway.
///
/// Items are anything serde can serialize, or a [`Value`] where Python's types matter. Dropping the
/// channel closes it; the remote code finds out when it next sends or receives. A remote exception that nobody has received by then
/// is logged as a warning, with its traceback (crate `tracing`); one that followed an [`interrupt`](Self::interrupt) is not.
///
/// As a `Stream` it yields [`Value`]s, then at most one error, then ends. A dead worker is such an
/// error: it never looks like a clean end. As a `Sink` it takes [`Value`]s.
///
/// A channel is itself an item: sent in any structure it arrives as a channel there, and one that the remote code
/// has made (`channel.gateway.newchannel()`) arrives as a `Channel` here.
///
/// ```no_run
/// # async fn example(gw: execnet::Gateway) -> Result<(), Box<dyn std::error::Error>> {
/// let mut answers = gw.new_channel()?;
/// let mut channel = gw.remote_exec("job = channel.receive(); job['answers'].send(job['n'] + 1)").await?;
/// #[derive(serde::Serialize)]
/// struct Job<'a> {
///     n: i64,
///     answers: &'a execnet::Channel,
/// }
/// channel.send(&Job { n: 41, answers: &answers }).await?;
/// assert_eq!(answers.receive::<i64>().await?, 42);
/// # Ok(()) }
/// ```
pub struct Channel {
    inner: execnet_channel::Channel,
    gateway: Gateway,
    receiving: Receiving,
    inquest: Inquest,
}

/// The sending half of a channel. Dropping it tells the remote side that no more items come. A `Sink` of
/// [`Value`]s, as [`Channel`] is.
pub struct Sender {
    inner: execnet_channel::Sender,
    gateway: Gateway,
    inquest: Inquest,
}

/// The receiving half of a channel. A `Stream` of [`Value`]s, as [`Channel`] is.
pub struct Receiver {
    inner: execnet_channel::Receiver,
    gateway: Gateway,
    receiving: Receiving,
}

impl Channel {
    pub(crate) fn new(inner: execnet_channel::Channel, gateway: Gateway) -> Self {
        Self { inner, gateway, receiving: Receiving::default(), inquest: Inquest::default() }
    }

    /// The gateway at the other end.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The channel's number on its connection; a [`Value::Channel`] names it by that.
    #[must_use]
    pub fn id(&self) -> ChannelId {
        self.inner.id()
    }

    /// Sends an item. It is encoded first, so a bad one costs nothing; then waits while the remote code does not read.
    ///
    /// Cancel safe: a dropped future has sent all of the item or nothing.
    ///
    /// # Errors
    /// [`SendError`]: nothing of it was sent.
    pub async fn send<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), SendError> {
        let result = self.inner.send(message(item, &self.gateway)?).await;
        send_result(result, &self.gateway).await
    }

    /// Sends a bytes object, which is not copied. Cancel safe.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_bytes(&mut self, bytes: impl Into<Bytes>) -> Result<(), SendError> {
        let result = self.inner.send(Message::bytes(bytes)).await;
        send_result(result, &self.gateway).await
    }

    /// The next item, as a `T`. Cancel safe: no item is lost.
    ///
    /// # Errors
    /// [`ReceiveError::End`] after the last item, or the remote exception, or how the gateway died: for ever, to every call.
    pub async fn receive<T: DeserializeOwned>(&mut self) -> Result<T, ReceiveError> {
        let result = self.inner.recv().await;
        typed(item(result, &self.gateway).await?, &self.gateway)
    }

    /// The next item, exactly as Python sent it. Long bytes objects are not copied. Cancel safe.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub async fn receive_value(&mut self) -> Result<Value, ReceiveError> {
        let result = self.inner.recv().await;
        value(item(result, &self.gateway).await?)
    }

    /// The next item, not decoded. Cancel safe.
    pub(crate) async fn receive_message(&mut self) -> Result<Message, ReceiveError> {
        item(self.inner.recv().await, &self.gateway).await
    }

    /// An item of this channel as a `T`.
    pub(crate) fn decode<T: DeserializeOwned>(&self, message: Message) -> Result<T, ReceiveError> {
        typed(message, &self.gateway)
    }

    /// The same channel with its types fixed.
    #[must_use]
    pub fn typed<Out: Serialize, In: DeserializeOwned>(self) -> TypedChannel<Out, In> {
        TypedChannel { channel: self, types: PhantomData }
    }

    /// Tells the remote side that no more items come: its `for x in channel` ends. Receiving goes on.
    pub fn finish_sending(&mut self) {
        self.inner.finish();
    }

    /// Closes both directions, after what was sent. Received items stay readable.
    pub fn close(&mut self) {
        self.inner.close();
    }

    /// Closes both directions; the remote side gets `message` as a `RemoteError`.
    pub fn close_with_error(&mut self, message: impl Into<String>) {
        self.inner.close_with_error(Fault::new("RemoteError", message));
    }

    /// Whether either side has closed the channel, or the gateway has ended. Received items may still be readable.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// Waits until there is an item, or the end, for [`received`](Self::received). Takes nothing. Cancel safe.
    pub(crate) async fn readable(&mut self) -> Result<(), ReceiveError> {
        match self.inner.readable().await {
            Ok(()) => Ok(()),
            Err(error) => item(Err(error), &self.gateway).await.map(drop),
        }
    }

    /// What [`readable`](Self::readable) has waited for.
    pub(crate) fn received<T: DeserializeOwned>(&mut self) -> Result<T, ReceiveError> {
        match self.inner.try_recv() {
            Some(Ok(Some(message))) => typed(message, &self.gateway),
            Some(Ok(None)) | None => Err(ReceiveError::End),
            Some(Err(error)) => Err(immediate(error)),
        }
    }

    /// Waits until the remote code is done with the channel. Cancel safe.
    ///
    /// It may itself wait for its items to be read: read them first, or at the same time.
    ///
    /// # Errors
    /// The remote exception, or how the gateway died.
    pub async fn wait_close(&self) -> Result<(), WaitError> {
        wait_result(self.inner.wait_close().await, &self.gateway).await
    }

    /// Raises `KeyboardInterrupt` in the code that runs on this channel.
    pub fn interrupt(&self) {
        tracing::debug!(gateway = self.gateway.id(), channel = %self.id(), "interrupt");
        self.inner.interrupt();
    }

    /// Parts the directions, for two tasks.
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        let (tx, rx) = self.inner.split();
        (
            Sender { inner: tx, gateway: self.gateway.clone(), inquest: self.inquest },
            Receiver { inner: rx, gateway: self.gateway, receiving: self.receiving },
        )
    }
}

impl Sender {
    /// See [`Channel::send`].
    ///
    /// # Errors
    /// [`SendError`]: nothing of it was sent.
    pub async fn send<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), SendError> {
        let result = self.inner.send(message(item, &self.gateway)?).await;
        send_result(result, &self.gateway).await
    }

    /// See [`Channel::send_bytes`].
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_bytes(&mut self, bytes: impl Into<Bytes>) -> Result<(), SendError> {
        let result = self.inner.send(Message::bytes(bytes)).await;
        send_result(result, &self.gateway).await
    }

    /// See [`Channel::finish_sending`]; dropping the sender does the same.
    pub fn finish_sending(&mut self) {
        self.inner.finish();
    }

    /// See [`Channel::close`].
    pub fn close(&mut self) {
        self.inner.close(None);
    }

    /// See [`Channel::close_with_error`].
    pub fn close_with_error(&mut self, message: impl Into<String>) {
        self.inner.close(Some(Fault::new("RemoteError", message)));
    }

    /// See [`Channel::wait_close`].
    ///
    /// # Errors
    /// The remote exception, or how the gateway died.
    pub async fn wait_close(&self) -> Result<(), WaitError> {
        wait_result(self.inner.wait_close().await, &self.gateway).await
    }

    /// See [`Channel::interrupt`].
    pub fn interrupt(&self) {
        self.inner.interrupt();
    }
}

impl Receiver {
    /// The gateway at the other end.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// See [`Channel::receive`].
    ///
    /// # Errors
    /// The end, the remote exception, or how the gateway died.
    pub async fn receive<T: DeserializeOwned>(&mut self) -> Result<T, ReceiveError> {
        let result = self.inner.recv().await;
        typed(item(result, &self.gateway).await?, &self.gateway)
    }

    /// See [`Channel::receive_value`].
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub async fn receive_value(&mut self) -> Result<Value, ReceiveError> {
        let result = self.inner.recv().await;
        value(item(result, &self.gateway).await?)
    }

    /// See [`Channel::wait_close`].
    ///
    /// # Errors
    /// The remote exception, or how the gateway died.
    pub async fn wait_close(&self) -> Result<(), WaitError> {
        wait_result(self.inner.wait_close().await, &self.gateway).await
    }

    /// See [`Channel::interrupt`].
    pub fn interrupt(&self) {
        self.inner.interrupt();
    }
}

/// A channel with its types fixed, from [`Channel::typed`].
#[derive(Debug)]
pub struct TypedChannel<Out, In> {
    channel: Channel,
    types: PhantomData<fn(Out) -> In>,
}

impl<Out: Serialize, In: DeserializeOwned> TypedChannel<Out, In> {
    /// See [`Channel::send`].
    ///
    /// # Errors
    /// [`SendError`]: nothing of it was sent.
    pub async fn send(&mut self, item: &Out) -> Result<(), SendError> {
        self.channel.send(item).await
    }

    /// See [`Channel::receive`].
    ///
    /// # Errors
    /// The end, the remote exception, how the gateway died, or an item that is no `In`.
    pub async fn receive(&mut self) -> Result<In, ReceiveError> {
        self.channel.receive().await
    }

    /// See [`Channel::finish_sending`].
    pub fn finish_sending(&mut self) {
        self.channel.finish_sending();
    }

    /// See [`Channel::wait_close`].
    ///
    /// # Errors
    /// The remote exception, or how the gateway died.
    pub async fn wait_close(&self) -> Result<(), WaitError> {
        self.channel.wait_close().await
    }

    /// The channel without its types.
    #[must_use]
    pub fn into_inner(self) -> Channel {
        self.channel
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<Channel {} of {:?}>", self.inner.id(), self.gateway)
    }
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<Sender {} of {:?}>", self.inner.id(), self.gateway)
    }
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<Receiver {} of {:?}>", self.inner.id(), self.gateway)
    }
}
