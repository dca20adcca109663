//! One direction of an in-memory link: a bounded buffer between a writer and a reader.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::task::coop;

/// A pipe that holds `limit` bytes, at least one. Every closing is announced on `closings`.
pub(crate) fn pipe(limit: usize, closings: Arc<watch::Sender<()>>) -> (Reader, Writer, Arc<Pipe>) {
    let pipe =
        Arc::new(Pipe { state: Mutex::new(State::default()), limit: limit.max(1), closings });
    (Reader(pipe.clone()), Writer(pipe.clone()), pipe)
}

/// One that bytes are pushed into, by who cannot wait for room and asks for it beforehand.
#[cfg(feature = "ssh-native")]
pub(crate) fn inbox(limit: usize) -> (Reader, Arc<Pipe>) {
    let pipe = Arc::new(Pipe {
        state: Mutex::new(State::default()),
        limit: limit.max(1),
        closings: Arc::default(),
    });
    (Reader(pipe.clone()), pipe)
}

pub(crate) struct Pipe {
    state: Mutex<State>,
    limit: usize,
    closings: Arc<watch::Sender<()>>,
}

#[derive(Default)]
struct State {
    buffer: VecDeque<u8>,
    /// No more will be written.
    finished: bool,
    /// No more will be read.
    abandoned: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    /// Ends it from outside: what is in it can still be read, nothing can be written.
    pub(crate) fn kill(&self) {
        self.close(|state| (state.finished, state.abandoned) = (true, true));
    }

    /// Adds bytes, even beyond the limit; not to one that has ended.
    #[cfg(feature = "ssh-native")]
    pub(crate) fn push(&self, bytes: &[u8]) {
        let mut state = self.lock();
        if state.finished || state.abandoned {
            return;
        }
        state.buffer.extend(bytes);
        let reader = state.reader.take();
        drop(state);
        if let Some(waker) = reader {
            waker.wake();
        }
    }

    /// Ready while it holds less than its limit, or once it has ended: then more may be pushed.
    #[cfg(feature = "ssh-native")]
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.buffer.len() < self.limit || state.finished || state.abandoned {
            return Poll::Ready(());
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// What is in it can still be read; then comes the end.
    #[cfg(feature = "ssh-native")]
    pub(crate) fn finish(&self) {
        self.close(|state| state.finished = true);
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.lock().finished
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.lock().abandoned
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self, how: impl FnOnce(&mut State)) {
        let wakers = {
            let mut state = self.lock();
            how(&mut state);
            [state.reader.take(), state.writer.take()]
        };
        wakers.into_iter().flatten().for_each(Waker::wake);
        self.closings.send_replace(());
    }
}

pub(crate) struct Reader(Arc<Pipe>);

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if out.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let turn = ready!(coop::poll_proceed(cx));
        let mut state = self.0.lock();
        if state.buffer.is_empty() && !state.finished {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        // An empty buffer here is the end.
        turn.made_progress();
        let (front, back) = state.buffer.as_slices();
        let mut taken = 0;
        for part in [front, back] {
            let part = part.get(..out.remaining()).unwrap_or(part);
            out.put_slice(part);
            taken += part.len();
        }
        state.buffer.drain(..taken);
        let writer = state.writer.take();
        drop(state);
        if let Some(waker) = writer {
            waker.wake();
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.close(|state| {
            state.abandoned = true;
            state.buffer = VecDeque::new();
        });
    }
}

pub(crate) struct Writer(Arc<Pipe>);

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if parts.iter().all(|part| part.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let turn = ready!(coop::poll_proceed(cx));
        let mut state = self.0.lock();
        if state.finished || state.abandoned {
            turn.made_progress();
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let mut room = self.0.limit - state.buffer.len();
        if room == 0 {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        turn.made_progress();
        let before = state.buffer.len();
        for part in parts {
            let part = part.get(..room).unwrap_or(part);
            state.buffer.extend(part);
            room -= part.len();
        }
        let written = state.buffer.len() - before;
        let reader = state.reader.take();
        drop(state);
        if let Some(waker) = reader {
            waker.wake();
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.close(|state| state.finished = true);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.close(|state| state.finished = true);
    }
}
