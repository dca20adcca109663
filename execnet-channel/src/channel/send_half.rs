//! The way out of a channel.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_sink::Sink;

use super::handle::{Handle, poll_budget};
use crate::SendError;
use crate::core::{Message, cost_of};

/// Sent bytes per unit of tokio's cooperative budget: a busy sender yields just before it has filled the default send
/// buffer, once for each write. Then the runtime looks for what has arrived before the sender goes on, and what was written is
/// read while the processor's cache still has it. Over TCP that gave 1.3 times as many messages of 32 bytes on one thread and of 256 bytes
/// on two, and 2.6 times as many of 4 KiB on one.
const SENT_PER_BUDGET: u32 = 800;

/// What a sent message counts for at most, in bytes: longer ones are not copied into the send buffer.
const MOST_COUNTED: usize = 4 << 10;

#[derive(Debug)]
pub(super) struct SendHalf {
    pub(super) handle: Arc<Handle>,
    /// What a `Sink` took and could not send yet.
    buffered: Option<Message>,
    /// Since the budget was last charged.
    sent: u32,
}

impl SendHalf {
    pub(super) fn new(handle: Arc<Handle>) -> Self {
        Self { handle, buffered: None, sent: 0 }
    }

    pub(super) fn send(
        &mut self,
        message: Message,
        last: bool,
    ) -> impl Future<Output = Result<(), SendError>> {
        Send { half: self, message: Some(message), last }
    }

    /// Takes the message when it is sent, and leaves it there while it has to wait.
    pub(super) fn poll_send(
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
    pub(super) fn poll_flush_buffered(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Box<SendError>>> {
        if self.buffered.is_none() {
            return Poll::Ready(Ok(()));
        }
        let mut buffered = self.buffered.take();
        let result = self.poll_send(cx, &mut buffered, false);
        self.buffered = buffered;
        result
    }

    pub(super) fn finish(&self) {
        let id = self.handle.id;
        self.handle.link.shared.with(|state| state.core.finish(id));
    }
}

/// What `send` gives: a type of its own, to be inlined where it is awaited. An `async` block would move the message once more.
struct Send<'a> {
    half: &'a mut SendHalf,
    message: Option<Message>,
    last: bool,
}

impl Future for Send<'_> {
    type Output = Result<(), SendError>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { half, message, last } = &mut *self;
        ready!(half.poll_flush_buffered(cx)).map_err(|error| *error)?;
        half.poll_send(cx, message, *last).map_err(|error| *error)
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
