//! The stream beneath a session, with what the session's own loop lacks.
//!
//! That loop writes until all is written, and meanwhile reads nothing; it opens the channel's window again for whatever
//! it has received, whether or not anybody has taken it; and it ends when its peer wants it to. So the stream that it is
//! given takes what it writes, up to a limit that only a peer that does not read can reach; gives it nothing to read
//! while what was received before has not been taken; and ends when we want it to.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::channel::Shared;

/// How much may wait to be sent before the channel's own bytes have to wait.
const SOFT: usize = 256 * 1024;

/// How much may wait to be sent at all.
const HARD: usize = 4 << 20;

/// How many of the first bytes are kept, for the error about a peer that is no ssh server.
const GREETING: usize = 100;

pub(super) struct Wire<S> {
    stream: S,
    /// What the stream has not taken yet.
    queue: BytesMut,
    shared: Arc<Shared>,
    control: Arc<Control>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// The second half holds it: dropped, it cuts the wire.
    pub(super) fn new(stream: S, shared: Arc<Shared>) -> (Self, Hold) {
        let control = Arc::new(Control::default());
        let wire = Self { stream, queue: BytesMut::new(), shared, control: control.clone() };
        (wire, Hold(control))
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.queue.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.queue))?;
            if written == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.queue.advance(written);
            self.control.set_queued(self.queue.len());
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.control.check(cx)?;
        // The loop always reads when it does nothing else: the time to send what is still to be sent.
        if let Poll::Ready(Err(error)) = self.poll_drain(cx) {
            return Poll::Ready(Err(error));
        }
        let room = self.shared.poll_room(cx);
        self.control.waiting.store(room.is_pending(), Ordering::Relaxed);
        ready!(room);
        let before = out.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, out))?;
        self.control.heard(out.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.control.check(cx)?;
        let drained = self.poll_drain(cx)?;
        let mut rest = bytes;
        if drained.is_ready() && !bytes.is_empty() {
            if let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(cx, bytes)? {
                rest = bytes.get(written..).unwrap_or_default();
            }
        } else if self.queue.len() >= HARD {
            return Poll::Pending;
        }
        self.queue.extend_from_slice(rest);
        self.control.set_queued(self.queue.len());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.control.check(cx)?;
        let _ = self.poll_drain(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.control.check(cx).is_err() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Holds a [`Wire`], wherever the session's loop has taken it. Dropping it cuts the wire, and the loop ends.
pub(super) struct Hold(Arc<Control>);

impl Hold {
    /// Waits until the channel's own bytes may be sent.
    pub(super) async fn room(&self) {
        poll_fn(|cx| {
            if self.0.queued.load(Ordering::Acquire) <= SOFT {
                return Poll::Ready(());
            }
            *self.0.lock(&self.0.sender) = Some(cx.waker().clone());
            // It may have been sent just now.
            match self.0.queued.load(Ordering::Acquire) <= SOFT {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    /// How many bytes have come so far.
    pub(super) fn received(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    /// Nothing is read at present because nobody takes what has come.
    pub(super) fn is_waiting(&self) -> bool {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// The first line of what the peer said, to be shown.
    pub(super) fn greeting(&self) -> String {
        let greeting = self.0.lock(&self.0.greeting);
        let text = String::from_utf8_lossy(&greeting);
        let line = text.lines().next().unwrap_or_default();
        line.chars().filter(|c| !c.is_control()).collect()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.cut.store(true, Ordering::Release);
        let waker = self.0.lock(&self.0.session).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[derive(Default)]
struct Control {
    cut: AtomicBool,
    waiting: AtomicBool,
    received: AtomicU64,
    queued: AtomicUsize,
    greeting: Mutex<Vec<u8>>,
    /// The session's task, which both halves of the wire belong to.
    session: Mutex<Option<Waker>>,
    /// Whoever waits for room.
    sender: Mutex<Option<Waker>>,
}

impl Control {
    fn lock<'a, T>(&self, mutex: &'a Mutex<T>) -> MutexGuard<'a, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut session = self.lock(&self.session);
        if !session.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *session = Some(cx.waker().clone());
        }
        drop(session);
        match self.cut.load(Ordering::Acquire) {
            true => Err(ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }

    fn set_queued(&self, queued: usize) {
        self.queued.store(queued, Ordering::Release);
        if queued <= SOFT
            && let Some(waker) = self.lock(&self.sender).take()
        {
            waker.wake();
        }
    }

    fn heard(&self, bytes: &[u8]) {
        let before = self.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if before < GREETING as u64 {
            let mut greeting = self.lock(&self.greeting);
            let room = GREETING.saturating_sub(greeting.len());
            greeting.extend(bytes.iter().take(room));
        }
    }
}
