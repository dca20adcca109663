//! The way into a channel.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use super::handle::{Handle, poll_budget};
use crate::ReceiveError;
use crate::core::{Inbox, Message};

/// Credit of taken messages goes back after this many bytes, or when the reader has caught up.
const RELEASE: u32 = 64 << 10;

/// Received messages per unit of tokio's cooperative budget. One for each message would make a busy task yield
/// every 128 messages.
const RECEIVED_PER_BUDGET: u32 = 32;

/// What no count comes to: there is something that no wake will tell of.
const LOOK: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct RecvHalf {
    pub(super) handle: Handle,
    /// The other half is somebody else's: dropping this one does not close the channel by itself.
    pub(super) parted: bool,
    /// Messages taken from the core and not yet asked for.
    inbox: Inbox,
    /// Credit of messages that were asked for and not yet given back.
    taken: u32,
    received: u32,
    /// An error has been given to a `Stream`.
    failed: bool,
    /// It has had to wait. Most do so once, or again and again: from the second time on they stay registered.
    waited: bool,
    /// Who is registered so.
    waker: Option<Waker>,
    /// How often readers had been told of something when nothing was left for this one; [`LOOK`] when that is not known.
    seen: u64,
}

impl RecvHalf {
    pub(super) fn new(handle: Handle) -> Self {
        Self {
            handle,
            parted: false,
            inbox: Inbox::default(),
            taken: 0,
            received: 0,
            failed: false,
            waited: false,
            waker: None,
            seen: LOOK,
        }
    }

    pub(super) fn recv(&mut self) -> impl Future<Output = Result<Option<Message>, ReceiveError>> {
        Recv(self)
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
        if self.inbox.is_empty() {
            match ready!(self.poll_fill(cx, true)) {
                Ok(None) => {}
                Ok(alone) => return Poll::Ready(Ok(alone)),
                Err(error) => return Poll::Ready(Err(*error)),
            }
        }
        Poll::Ready(Ok(self.pop()))
    }

    pub(super) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ReceiveError>> {
        if !self.inbox.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.poll_fill(Some(cx), false).map_ok(drop).map_err(|error| *error)
    }

    pub(super) fn try_recv(&mut self) -> Option<Result<Option<Message>, ReceiveError>> {
        match self.poll_next(None) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }

    /// Ends after the first error, which it yields.
    pub(super) fn poll_stream(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Message, ReceiveError>>> {
        if self.failed {
            return Poll::Ready(None);
        }
        let result = ready!(self.poll_recv(cx));
        self.failed = result.is_err();
        Poll::Ready(result.transpose())
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

    /// Whether this task will be woken and nothing has come: known without the lock.
    #[inline]
    fn is_waiting(&self, cx: &Context<'_>) -> bool {
        self.seen == self.handle.link.shared.told()
            && self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()))
    }

    /// Takes all that waits into our own inbox, which is empty; it stays so at the end. Gives nothing then, nor at the end; but to a
    /// reader that came back, if that is `alone_ok`, a message that waits alone.
    fn poll_fill(
        &mut self,
        cx: Option<&mut Context<'_>>,
        alone_ok: bool,
    ) -> Poll<Result<Option<Message>, Box<ReceiveError>>> {
        let taken = std::mem::take(&mut self.taken);
        if taken == 0 && cx.as_ref().is_some_and(|cx| self.is_waiting(cx)) {
            return Poll::Pending;
        }
        let id = self.handle.id;
        // One lock for all of it: in a dialogue every message comes by here.
        self.handle.link.shared.with(|state| {
            if taken > 0 {
                state.core.release(id, taken, 0);
            }
            if alone_ok
                && self.waker.is_some()
                && let Some(cx) = &cx
                && let Some((message, next)) = state.core.recv_alone(id)
            {
                state.lending.will_answer(id);
                let told = state.stay_readable(id, cx, &mut self.waker);
                self.seen = if next { told } else { LOOK };
                return Poll::Ready(Ok(Some(message)));
            }
            match (state.core.take_inbox(id, &mut self.inbox), cx) {
                (Ok(true), _) => Poll::Ready(Ok(None)),
                (Err(error), _) => Poll::Ready(Err(error)),
                (Ok(false), Some(cx)) => {
                    if std::mem::replace(&mut self.waited, true) {
                        self.seen = state.stay_readable(id, cx, &mut self.waker);
                    } else {
                        state.wait_readable(id, cx);
                    }
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
        let Handle { link, id } = &self.handle;
        if self.parted {
            link.forget_receiver(*id, cost, advanced);
        } else {
            link.forget(*id, cost, advanced);
        }
    }
}
