//! The one channel of a session, as the two halves of a stream: what its tasks share, and the halves.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use russh::ChannelId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use crate::Ending;
use crate::pipe::{self, Pipe};

/// How much of what was received may wait for its reader, and as much again of standard error.
const RECEIVED: usize = 1 << 20;

/// How much of what is to be sent may wait for its turn.
const TO_SEND: usize = 256 * 1024;

/// What the session's task, the task that feeds it, the halves and the guard share.
pub(super) struct Shared {
    stdout: Arc<Pipe>,
    stderr: Arc<Pipe>,
    to_send: Arc<Pipe>,
    status: watch::Sender<Status>,
    /// The channel, from its confirmation on: its first bytes may come with it.
    pub(super) id: OnceLock<ChannelId>,
    /// What the host said when it refused.
    pub(super) refusal: OnceLock<String>,
}

#[derive(Clone, Default)]
struct Status {
    ending: Option<Ending>,
    /// The channel is closed, or the connection is gone.
    over: bool,
    /// We have given it up: whatever follows is our doing.
    abandoned: bool,
    /// Why the connection is gone, if the channel was not closed before.
    lost: Option<Arc<str>>,
}

/// The ends of the three pipes that a session's owner has.
pub(super) struct Ends {
    pub(super) reader: Reader,
    pub(super) writer: Writer,
    pub(super) stderr: pipe::Reader,
    /// What the writer has written, for the task that feeds the session.
    pub(super) to_send: pipe::Reader,
}

impl Shared {
    pub(super) fn new() -> (Arc<Self>, Ends) {
        let (stdout_reader, stdout) = pipe::inbox(RECEIVED);
        let (stderr_reader, stderr) = pipe::inbox(RECEIVED);
        let (to_send_reader, to_send_writer, to_send) = pipe::pipe(TO_SEND, Arc::default());
        let shared = Arc::new(Self {
            stdout,
            stderr,
            to_send,
            status: watch::Sender::default(),
            id: OnceLock::new(),
            refusal: OnceLock::new(),
        });
        let ends = Ends {
            reader: Reader { pipe: stdout_reader, shared: shared.clone() },
            writer: Writer { pipe: to_send_writer, shared: shared.clone() },
            stderr: stderr_reader,
            to_send: to_send_reader,
        };
        (shared, ends)
    }

    /// Ready while more may be received.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.stdout.poll_room(cx));
        self.stderr.poll_room(cx)
    }

    pub(super) fn is_ours(&self, channel: ChannelId) -> bool {
        self.id.get() == Some(&channel)
    }

    pub(super) fn push(&self, bytes: &[u8]) {
        self.stdout.push(bytes);
    }

    pub(super) fn push_stderr(&self, bytes: &[u8]) {
        self.stderr.push(bytes);
    }

    /// The far end sends no more.
    pub(super) fn finish(&self) {
        self.stdout.finish();
        self.stderr.finish();
    }

    /// The far end has ended; what it has sent may still be on the way.
    pub(super) fn end(&self, ending: Ending) {
        self.status.send_modify(|status| {
            status.ending.get_or_insert(ending);
        });
    }

    /// The channel is closed: nothing comes or goes any more.
    pub(super) fn close(&self) {
        self.status.send_modify(|status| {
            status.ending.get_or_insert(Ending::Closed);
            status.over = true;
        });
        self.finish();
        self.to_send.kill();
    }

    /// The connection is gone, without a word from the channel.
    pub(super) fn lose(&self, why: impl Into<Arc<str>>) {
        self.status.send_modify(|status| {
            if !status.over && !status.abandoned {
                status.lost = Some(why.into());
            }
        });
        self.close();
    }

    /// We want no more of it: both directions end at once.
    pub(super) fn abandon(&self) {
        self.status.send_modify(|status| status.abandoned = true);
        self.stdout.kill();
        self.stderr.kill();
        self.to_send.kill();
    }

    pub(super) fn lost(&self) -> Option<Arc<str>> {
        self.status.borrow().lost.clone()
    }

    pub(super) async fn ending(&self) -> Ending {
        let mut status = self.status.subscribe();
        // The sender is here, so there is no error.
        let ended = status.wait_for(|status| status.ending.is_some()).await;
        ended.ok().and_then(|status| status.ending).unwrap_or(Ending::Closed)
    }

    /// Waits until the channel is closed, or the connection gone.
    pub(super) async fn over(&self) {
        let mut status = self.status.subscribe();
        let _ = status.wait_for(|status| status.over).await;
    }

    pub(super) fn is_over(&self) -> bool {
        self.status.borrow().over
    }

    fn lost_error(&self) -> Option<io::Error> {
        let why = self.lost()?;
        Some(io::Error::new(ErrorKind::ConnectionReset, &*why))
    }
}

/// What the far end sends. A lost connection is an error after the last byte, not an end.
pub(super) struct Reader {
    pipe: pipe::Reader,
    shared: Arc<Shared>,
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (wanted, before) = (out.remaining(), out.filled().len());
        ready!(Pin::new(&mut self.pipe).poll_read(cx, out))?;
        if wanted > 0
            && out.filled().len() == before
            && let Some(error) = self.shared.lost_error()
        {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(()))
    }
}

/// What the far end is to receive.
pub(super) struct Writer {
    pipe: pipe::Writer,
    shared: Arc<Shared>,
}

impl Writer {
    /// Says why, where it is known.
    fn explain<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        result.map_err(|error| self.shared.lost_error().unwrap_or(error))
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.pipe).poll_write(cx, bytes);
        self.explain(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.pipe).poll_write_vectored(cx, parts);
        self.explain(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.pipe.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}
