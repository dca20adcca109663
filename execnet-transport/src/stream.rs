//! A link over one stream with no process behind it: a socket, an encrypted session.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use crate::{BoxFuture, Ending, FarEnd, Guard, Link};

/// What [`Link::over`] does.
pub(crate) fn link<S>(stream: S, address: String) -> Link
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let vectored = stream.is_write_vectored();
    let state = State { stream: Some(stream), ..State::default() };
    let shared = Arc::new(Shared { state: Mutex::new(state), closed: watch::Sender::new(false) });
    let reader = Reader(shared.clone());
    let writer = Writer { shared: shared.clone(), vectored };
    Link::new(reader, writer, Guard::new(StreamEnd { shared, address }))
}

struct Shared<S> {
    state: Mutex<State<S>>,
    closed: watch::Sender<bool>,
}

struct State<S> {
    /// Until both directions are done, or a kill.
    stream: Option<S>,
    /// The far end's bytes are at their end, or nobody wants them any more.
    read: bool,
    /// Ours are, and the far end knows it.
    written: bool,
    /// The writer was dropped, and the far end is still to be told: the reader sees to it.
    shutting_down: bool,
    /// Whom a kill must wake.
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl<S> Default for State<S> {
    fn default() -> Self {
        Self {
            stream: None,
            read: false,
            written: false,
            shutting_down: false,
            reader: None,
            writer: None,
        }
    }
}

impl<S> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change, and closes the stream when that was the last that it was open for.
    fn change(&self, how: impl FnOnce(&mut State<S>)) {
        let mut state = self.lock();
        how(&mut state);
        if !(state.read && state.written) {
            return;
        }
        let stream = state.stream.take();
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        drop(stream);
        wakers.into_iter().flatten().for_each(Waker::wake);
        self.closed.send_replace(true);
    }

    fn kill(&self) {
        self.change(|state| (state.read, state.written) = (true, true));
    }
}

impl<S: AsyncWrite + Unpin> Shared<S> {
    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        let Some(stream) = state.stream.as_mut() else { return Poll::Ready(Ok(())) };
        let Poll::Ready(result) = Pin::new(stream).poll_shutdown(cx) else {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        };
        drop(state);
        self.change(|state| state.written = true);
        Poll::Ready(result)
    }

    fn poll_writer<T>(
        &self,
        cx: &mut Context<'_>,
        step: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut state = self.lock();
        let Some(stream) = state.stream.as_mut() else {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        };
        let result = step(Pin::new(stream), cx);
        match &result {
            Poll::Pending => state.writer = Some(cx.waker().clone()),
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(_)) => {
                drop(state);
                self.change(|state| state.written = true);
            }
        }
        result
    }
}

struct Reader<S: AsyncWrite + Unpin>(Arc<Shared<S>>);

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Reader<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let shared = &self.0;
        if shared.lock().shutting_down && shared.poll_shutdown(cx).is_ready() {
            shared.lock().shutting_down = false;
        }
        let mut state = shared.lock();
        let Some(stream) = state.stream.as_mut() else { return Poll::Ready(Ok(())) };
        let (wanted, before) = (out.remaining(), out.filled().len());
        let Poll::Ready(result) = Pin::new(stream).poll_read(cx, out) else {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        drop(state);
        if result.is_err() || (wanted > 0 && out.filled().len() == before) {
            shared.change(|state| state.read = true);
        }
        Poll::Ready(result)
    }
}

impl<S: AsyncWrite + Unpin> Drop for Reader<S> {
    fn drop(&mut self) {
        self.0.change(|state| {
            state.read = true;
            // Nobody is left to see to it.
            state.written |= state.shutting_down;
        });
    }
}

struct Writer<S: AsyncWrite + Unpin> {
    shared: Arc<Shared<S>>,
    vectored: bool,
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Writer<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // To some streams an empty write is an error, or an end.
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.shared.poll_writer(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if parts.iter().all(|part| part.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        self.shared.poll_writer(cx, |stream, cx| stream.poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.poll_writer(cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.poll_shutdown(cx)
    }
}

impl<S: AsyncWrite + Unpin> Drop for Writer<S> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if state.written {
            return;
        }
        state.shutting_down = true;
        let (reader, gone) = (state.reader.take(), state.read);
        drop(state);
        // Sockets need no waiting for this.
        if self.shared.poll_shutdown(&mut Context::from_waker(Waker::noop())).is_ready() || gone {
            self.shared.change(|state| (state.shutting_down, state.written) = (false, true));
        }
        if let Some(waker) = reader {
            waker.wake();
        }
    }
}

struct StreamEnd<S> {
    shared: Arc<Shared<S>>,
    address: String,
}

impl<S: Send> FarEnd for StreamEnd<S> {
    fn address(&self) -> &str {
        &self.address
    }

    fn wait(&self) -> BoxFuture<'_, Ending> {
        let mut closed = self.shared.closed.subscribe();
        Box::pin(async move {
            // An error would mean that the sender is gone, and so the stream.
            let _ = closed.wait_for(|closed| *closed).await;
            Ending::Closed
        })
    }

    fn kill(&self) {
        self.shared.kill();
    }
}
