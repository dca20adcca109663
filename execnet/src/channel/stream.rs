//! Channels as `Stream`s and `Sink`s of values.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use execnet_channel::Message;
use execnet_proto::Value;
use futures_core::Stream;
use futures_sink::Sink;

use super::convert::{immediate, message, value};
use super::{Channel, Receiver, Sender};
use crate::{Gateway, GatewayLost, ReceiveError, SendError};

/// How the gateway died is found out in a while; what can only be polled asks here.
#[derive(Default)]
pub(super) struct Inquest(Option<Pin<Box<dyn Future<Output = GatewayLost> + Send + Sync>>>);

impl Inquest {
    fn poll(&mut self, cx: &mut Context<'_>, gateway: &Gateway) -> Poll<GatewayLost> {
        let gateway = gateway.clone();
        let asking = self.0.get_or_insert_with(|| Box::pin(async move { gateway.lost().await }));
        let lost = ready!(asking.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(lost)
    }

    fn is_open(&self) -> bool {
        self.0.is_some()
    }
}

/// What a stream has come to.
#[derive(Default)]
pub(super) struct Receiving {
    inquest: Inquest,
    /// Its one error has been told.
    ended: bool,
}

impl Receiving {
    fn poll<S>(
        &mut self,
        cx: &mut Context<'_>,
        inner: &mut S,
        gateway: &Gateway,
    ) -> Poll<Option<Result<Value, ReceiveError>>>
    where
        S: Stream<Item = Result<Message, execnet_channel::ReceiveError>> + Unpin,
    {
        if self.ended {
            return Poll::Ready(None);
        }
        let error = if self.inquest.is_open() {
            ready!(self.inquest.poll(cx, gateway)).into()
        } else {
            match ready!(Pin::new(inner).poll_next(cx)) {
                None => return Poll::Ready(None),
                Some(Ok(message)) => return Poll::Ready(Some(value(message))),
                Some(Err(execnet_channel::ReceiveError::Connection(_))) => {
                    ready!(self.inquest.poll(cx, gateway)).into()
                }
                Some(Err(error)) => immediate(error),
            }
        };
        self.ended = true;
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for Channel {
    type Item = Result<Value, ReceiveError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { inner, gateway, receiving, .. } = self.get_mut();
        receiving.poll(cx, inner, gateway)
    }
}

impl Stream for Receiver {
    type Item = Result<Value, ReceiveError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { inner, gateway, receiving } = self.get_mut();
        receiving.poll(cx, inner, gateway)
    }
}

/// A sink's answer, with the whole story when the gateway has ended.
fn poll_sent(
    cx: &mut Context<'_>,
    gateway: &Gateway,
    inquest: &mut Inquest,
    send: impl FnOnce(&mut Context<'_>) -> Poll<Result<(), execnet_channel::SendError>>,
) -> Poll<Result<(), SendError>> {
    if !inquest.is_open() {
        match ready!(send(cx)) {
            Err(execnet_channel::SendError::Connection(_)) => {}
            result => return Poll::Ready(result.map_err(SendError::Channel)),
        }
    }
    Poll::Ready(Err(ready!(inquest.poll(cx, gateway)).into()))
}

impl Sender {
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        message: &mut Option<Message>,
    ) -> Poll<Result<(), SendError>> {
        let Self { inner, gateway, inquest } = self;
        poll_sent(cx, gateway, inquest, |cx| inner.poll_send(cx, message))
    }
}

/// Both are sinks in the same way.
macro_rules! value_sink {
    ($type:ty) => {
        impl Sink<Value> for $type {
            type Error = SendError;

            fn poll_ready(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<Result<(), SendError>> {
                let Self { inner, gateway, inquest, .. } = self.get_mut();
                poll_sent(cx, gateway, inquest, |cx| Pin::new(inner).poll_ready(cx))
            }

            fn start_send(self: Pin<&mut Self>, item: Value) -> Result<(), SendError> {
                let Self { inner, gateway, .. } = self.get_mut();
                let message = match item {
                    Value::Bytes(bytes) => Message::bytes(bytes),
                    item => message(&item, gateway)?,
                };
                Pin::new(inner).start_send(message).map_err(SendError::Channel)
            }

            fn poll_flush(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<Result<(), SendError>> {
                let Self { inner, gateway, inquest, .. } = self.get_mut();
                poll_sent(cx, gateway, inquest, |cx| Pin::new(inner).poll_flush(cx))
            }

            fn poll_close(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<Result<(), SendError>> {
                let Self { inner, gateway, inquest, .. } = self.get_mut();
                poll_sent(cx, gateway, inquest, |cx| Pin::new(inner).poll_close(cx))
            }
        }
    };
}

value_sink!(Channel);
value_sink!(Sender);
