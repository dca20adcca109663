//! The way out of a channel.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

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
    /// What a `Sink` took and could not send yet.
    buffered: Option<Message>,
    /// Since the budget was last charged.
    sent: u32,
}

impl SendHalf {
    pub(super) const fn new() -> Self {
        Self { buffered: None, sent: 0 }
    }

    pub(super) fn send<'a>(
        &'a mut self,
        handle: &'a Handle,
        message: Message,
        last: bool,
    ) -> impl Future<Output = Result<(), SendError>> + use<'a> {
        Send { half: self, handle, message: Some(message), last }
    }

    /// Takes the message when it is sent, and leaves it there while it has to wait.
    pub(super) fn poll_send(
        &mut self,
        handle: &Handle,
        cx: &mut Context<'_>,
        message: &mut Option<Message>,
        last: bool,
    ) -> Poll<Result<(), Box<SendError>>> {
        let Some(Message { payload, .. }) = message else { return Poll::Ready(Ok(())) };
        let count = cost_of(payload.len().min(MOST_COUNTED));
        ready!(poll_budget(cx, &mut self.sent, count, SENT_PER_BUDGET));
        let id = handle.id;
        let result = handle.link.shared.with_sending(id, |state| {
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
        handle: &Handle,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Box<SendError>>> {
        if self.buffered.is_none() {
            return Poll::Ready(Ok(()));
        }
        let mut buffered = self.buffered.take();
        let result = self.poll_send(handle, cx, &mut buffered, false);
        self.buffered = buffered;
        result
    }

    /// What the next flush sends. Nothing may be left of what was there before.
    pub(super) fn buffer(&mut self, message: Message) {
        self.buffered = Some(message);
    }
}

/// What `send` gives: a type of its own, to be inlined where it is awaited. An `async` block would move the message once more.
struct Send<'a> {
    half: &'a mut SendHalf,
    handle: &'a Handle,
    message: Option<Message>,
    last: bool,
}

impl Future for Send<'_> {
    type Output = Result<(), SendError>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { half, handle, message, last } = &mut *self;
        ready!(half.poll_flush_buffered(handle, cx)).map_err(|error| *error)?;
        half.poll_send(handle, cx, message, *last).map_err(|error| *error)
    }
}
