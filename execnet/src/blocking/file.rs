//! Channels as files.

use std::io::{self, BufRead, Read, Write};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

use super::runtime::wait_timeout;
use super::{Receiver, Sender};

/// Reads the bytes of received `bytes` and `str` items, one after the other; from [`Receiver::into_reader`].
///
/// The channel's clean end is end-of-file; the remote exception, the gateway's death and an item of another type
/// are errors. It has a buffer of its own.
#[derive(Debug)]
pub struct ChannelReader {
    inner: crate::ChannelReader,
    limit: Duration,
}

/// Sends what is written as `bytes` items of at most 64 KiB; from [`Sender::into_writer`].
///
/// Waits while the remote code does not read. It has no buffer: where small pieces are written, put a
/// [`BufWriter`](io::BufWriter) around it, which makes fewer items of them. Dropping it tells the remote side that no more comes.
#[derive(Debug)]
pub struct ChannelWriter {
    inner: crate::ChannelWriter,
    limit: Duration,
}

impl Receiver {
    /// Reads items as one stream of bytes.
    #[must_use]
    pub fn into_reader(self) -> ChannelReader {
        ChannelReader::of(self.0.into_reader())
    }
}

impl Sender {
    /// Writes a stream of bytes as items; see [`crate::Sender::into_writer`].
    #[must_use]
    pub fn into_writer(self) -> ChannelWriter {
        ChannelWriter::of(self.0.into_writer())
    }
}

impl ChannelReader {
    pub(super) fn of(inner: crate::ChannelReader) -> Self {
        Self { inner, limit: Duration::MAX }
    }

    pub(super) fn into_async(self) -> crate::ChannelReader {
        self.inner
    }

    /// How long each read may wait for bytes; default for ever. Then it fails with [`io::ErrorKind::TimedOut`], and nothing
    /// is lost.
    pub fn set_timeout(&mut self, limit: Option<Duration>) {
        self.limit = limit.unwrap_or(Duration::MAX);
    }

    /// The receiver; bytes of an item that has been read in part are lost.
    #[must_use]
    pub fn into_inner(self) -> Receiver {
        Receiver(self.inner.into_inner())
    }
}

impl Read for ChannelReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        in_time(wait_timeout(self.limit, self.inner.read(buf)))
    }
}

impl BufRead for ChannelReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        in_time(wait_timeout(self.limit, self.inner.fill_buf()))
    }

    fn consume(&mut self, amount: usize) {
        self.inner.consume(amount);
    }
}

impl ChannelWriter {
    pub(super) fn of(inner: crate::ChannelWriter) -> Self {
        Self { inner, limit: Duration::MAX }
    }

    /// How long each write may wait while the remote code does not read; default for ever. Then it fails with
    /// [`io::ErrorKind::TimedOut`], and nothing of what it was given has been taken.
    pub fn set_timeout(&mut self, limit: Option<Duration>) {
        self.limit = limit.unwrap_or(Duration::MAX);
    }

    /// Tells the remote side that no more comes; its reader finds the end of the file. Receiving goes on.
    ///
    /// # Errors
    /// The channel was closed, or the gateway has ended.
    pub fn shutdown(&mut self) -> io::Result<()> {
        in_time(wait_timeout(self.limit, self.inner.shutdown()))
    }

    /// The sender.
    #[must_use]
    pub fn into_inner(self) -> Sender {
        Sender(self.inner.into_inner())
    }
}

impl Write for ChannelWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        in_time(wait_timeout(self.limit, self.inner.write(buf)))
    }

    fn flush(&mut self) -> io::Result<()> {
        in_time(wait_timeout(self.limit, self.inner.flush()))
    }
}

fn in_time<T>(result: Option<io::Result<T>>) -> io::Result<T> {
    result.unwrap_or_else(|| Err(io::Error::new(io::ErrorKind::TimedOut, "the limit has passed")))
}
