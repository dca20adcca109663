//! Channels as a program uses them: serde types and `Value`s, with errors that tell the whole story.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use execnet_channel::Message;
use execnet_proto::{Fault, Format, Value, cbor};
use futures_core::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Gateway, GatewayLost, ReceiveError, RemoteError, SendError, WaitError};

/// A two-way stream of items between this program and code on a gateway.
///
/// Items are anything serde can serialize, or a [`Value`] where Python's types matter. Dropping the
/// channel closes it; the remote code finds out when it next sends or receives.
///
/// As a [`Stream`] it yields [`Value`]s, then at most one error, then ends. A dead worker is such an
/// error: it never looks like a clean end.
pub struct Channel {
    inner: execnet_channel::Channel,
    gateway: Gateway,
    ending: Ending,
}

/// The sending half of a channel. Dropping it tells the remote side that no more items come.
#[derive(Debug)]
pub struct Sender {
    inner: execnet_channel::Sender,
    gateway: Gateway,
}

/// The receiving half of a channel. A [`Stream`] of [`Value`]s, as [`Channel`] is.
pub struct Receiver {
    inner: execnet_channel::Receiver,
    gateway: Gateway,
    ending: Ending,
}

impl Channel {
    pub(crate) fn new(inner: execnet_channel::Channel, gateway: Gateway) -> Self {
        Self { inner, gateway, ending: Ending::None }
    }

    /// The gateway at the other end.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Sends an item. It is encoded first, so a bad one costs nothing; then waits while the remote code does not read.
    ///
    /// Cancel safe: a dropped future has sent all of the item or nothing.
    ///
    /// # Errors
    /// [`SendError`]: nothing of it was sent.
    pub async fn send<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), SendError> {
        let result = self.inner.send_value(item).await;
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
        typed(item(result, &self.gateway).await?)
    }

    /// The next item, exactly as Python sent it. Long bytes objects are not copied. Cancel safe.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub async fn receive_value(&mut self) -> Result<Value, ReceiveError> {
        let result = self.inner.recv().await;
        value(item(result, &self.gateway).await?)
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
        self.inner.interrupt();
    }

    /// Parts the directions, for two tasks.
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        let (tx, rx) = self.inner.split();
        (
            Sender { inner: tx, gateway: self.gateway.clone() },
            Receiver { inner: rx, gateway: self.gateway, ending: self.ending },
        )
    }
}

impl Sender {
    /// See [`Channel::send`].
    ///
    /// # Errors
    /// [`SendError`]: nothing of it was sent.
    pub async fn send<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), SendError> {
        let result = self.inner.send_value(item).await;
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
        typed(item(result, &self.gateway).await?)
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

    /// The channel without its types.
    #[must_use]
    pub fn into_inner(self) -> Channel {
        self.channel
    }
}

/// A `Stream` has to find out how the gateway died, which takes a while, before it can say so.
enum Ending {
    None,
    Asking(Pin<Box<dyn Future<Output = GatewayLost> + Send>>),
    Told,
}

impl Ending {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        gateway: &Gateway,
        receive: impl FnOnce(&mut Context<'_>) -> Poll<Received>,
    ) -> Poll<Option<Result<Value, ReceiveError>>> {
        use execnet_channel::ReceiveError as Low;
        if matches!(self, Self::None) {
            match ready!(receive(cx)) {
                None => return Poll::Ready(None),
                Some(Ok(message)) => return Poll::Ready(Some(value(message))),
                Some(Err(Low::Connection(_))) => {
                    let gateway = gateway.clone();
                    *self = Self::Asking(Box::pin(async move { gateway.lost().await }));
                }
                Some(Err(error)) => {
                    *self = Self::Told;
                    return Poll::Ready(Some(Err(immediate(error))));
                }
            }
        }
        let Self::Asking(lost) = self else { return Poll::Ready(None) };
        let error = ReceiveError::Lost(ready!(lost.as_mut().poll(cx)));
        *self = Self::Told;
        Poll::Ready(Some(Err(error)))
    }
}

type Received = Option<Result<Message, execnet_channel::ReceiveError>>;

impl Stream for Channel {
    type Item = Result<Value, ReceiveError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { inner, gateway, ending } = self.get_mut();
        ending.poll(cx, gateway, |cx| Pin::new(inner).poll_next(cx))
    }
}

impl Stream for Receiver {
    type Item = Result<Value, ReceiveError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { inner, gateway, ending } = self.get_mut();
        ending.poll(cx, gateway, |cx| Pin::new(inner).poll_next(cx))
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<Channel {} of {:?}>", self.inner.id(), self.gateway)
    }
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<Receiver {} of {:?}>", self.inner.id(), self.gateway)
    }
}

async fn send_result(
    result: Result<(), execnet_channel::SendError>,
    gateway: &Gateway,
) -> Result<(), SendError> {
    match result {
        Ok(()) => Ok(()),
        Err(execnet_channel::SendError::Connection(_)) => Err(gateway.lost().await.into()),
        Err(error) => Err(SendError::Channel(error)),
    }
}

async fn wait_result(
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
async fn item(
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

fn immediate(error: execnet_channel::ReceiveError) -> ReceiveError {
    match error {
        execnet_channel::ReceiveError::Remote(fault) => RemoteError::from(fault).into(),
        error => ReceiveError::Item(error),
    }
}

fn typed<T: DeserializeOwned>(message: Message) -> Result<T, ReceiveError> {
    message.to_value().map_err(ReceiveError::Item)
}

fn value(message: Message) -> Result<Value, ReceiveError> {
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
