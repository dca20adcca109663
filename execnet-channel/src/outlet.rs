//! The writer, and what is on its way into it: with the driver, or lent to whoever writes for itself.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::AsyncWrite;

use crate::core::Batch;

/// Slices offered to one vectored write: a batch of 128 KiB holds at most 32 long payloads.
const SLICES: usize = 64;

/// There is one for each connection. Who has it writes; between two turns of the driver it lies in the shared state.
pub(crate) struct Outlet {
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    pub(crate) batch: Batch,
    /// What was written has been flushed.
    flushed: bool,
    /// For the driver: what came of a sender's write.
    pub(crate) failed: Option<io::Error>,
    /// Some time that has been, for where the time does not matter.
    pub(crate) once: Instant,
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { writer: _, batch, flushed, failed, once: _ } = self;
        let mut outlet = f.debug_struct("Outlet");
        outlet.field("batch", batch).field("flushed", flushed).field("failed", failed);
        outlet.finish_non_exhaustive()
    }
}

impl Outlet {
    pub(crate) fn new(writer: impl AsyncWrite + Send + Unpin + 'static, once: Instant) -> Self {
        Self { writer: Box::new(writer), batch: Batch::new(), flushed: true, failed: None, once }
    }

    /// Whether nothing is left to be done with it.
    pub(crate) fn is_clear(&self) -> bool {
        self.batch.is_empty() && self.flushed && self.failed.is_none()
    }

    /// Writes as much of the batch as the writer takes.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.batch.is_empty() {
            let writer = Pin::new(&mut self.writer);
            let written = match self.batch.single() {
                // Costs the system less than a vectored write of one slice.
                Some(bytes) => writer.poll_write(cx, bytes),
                None => {
                    let mut slices = [IoSlice::new(&[]); SLICES];
                    let count = self.batch.slices(&mut slices);
                    writer.poll_write_vectored(cx, slices.get(..count).unwrap_or_default())
                }
            };
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.batch.advance(written),
            }
            self.flushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Flushes what was written, if that is still to be done.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.flushed {
            let result = ready!(Pin::new(&mut self.writer).poll_flush(cx));
            self.flushed = true;
            return Poll::Ready(result);
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(cx)
    }

    /// Writes and flushes as much as can be without waiting. What is left, and what goes wrong, is for the driver, which `cx` is to
    /// wake.
    pub(crate) fn write_now(&mut self, cx: &mut Context<'_>) {
        let mut result = self.poll_write(cx);
        if let Poll::Ready(Ok(())) = result {
            result = self.poll_flush(cx);
        }
        if let Poll::Ready(Err(error)) = result {
            self.failed = Some(error);
        }
    }
}
