//! Links between the two ends, both in this process.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, ReadHalf, WriteHalf, duplex, split};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// A byte stream that parts in the way that is best for it.
pub trait Link: AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static {
    /// Its reading half.
    type Read: AsyncRead + Send + Sync + Unpin + 'static;
    /// Its writing half.
    type Write: AsyncWrite + Send + Sync + Unpin + 'static;
    /// Parts it.
    fn halves(self) -> (Self::Read, Self::Write);
}

impl Link for TcpStream {
    type Read = OwnedReadHalf;
    type Write = OwnedWriteHalf;
    fn halves(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        self.into_split()
    }
}

impl Link for DuplexStream {
    type Read = ReadHalf<Self>;
    type Write = WriteHalf<Self>;
    fn halves(self) -> (ReadHalf<Self>, WriteHalf<Self>) {
        split(self)
    }
}

/// Two ends joined by memory of 256 KiB each way.
pub async fn memory() -> (DuplexStream, DuplexStream) {
    duplex(256 << 10)
}

/// Two ends of a TCP connection over loopback, with TCP_NODELAY.
pub async fn tcp() -> (TcpStream, TcpStream) {
    let connect = async || -> io::Result<(TcpStream, TcpStream)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let a = TcpStream::connect(listener.local_addr()?).await?;
        let (b, _) = listener.accept().await?;
        a.set_nodelay(true)?;
        b.set_nodelay(true)?;
        Ok((a, b))
    };
    connect().await.expect("loopback")
}

/// A link that counts the calls of its writer: for TCP, the system calls.
#[derive(Debug)]
pub struct Counted<L> {
    inner: L,
    writes: Arc<AtomicU64>,
}

impl<L: Link> Counted<L> {
    /// Counts in `writes`.
    pub fn new(inner: L, writes: Arc<AtomicU64>) -> Self {
        Self { inner, writes }
    }

    fn count<T>(&self, result: Poll<T>) -> Poll<T> {
        if result.is_ready() {
            self.writes.fetch_add(1, Ordering::Relaxed);
        }
        result
    }
}

impl<L: Link> Link for Counted<L> {
    type Read = ReadHalf<Self>;
    type Write = WriteHalf<Self>;
    fn halves(self) -> (ReadHalf<Self>, WriteHalf<Self>) {
        split(self)
    }
}

impl<L: Link> AsyncRead for Counted<L> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buf)
    }
}

impl<L: Link> AsyncWrite for Counted<L> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.count(result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.count(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

/// Drives a multiplexer until its connection ends.
pub(crate) fn drive(driver: impl Future<Output: Send> + Send + 'static) {
    drop(tokio::spawn(driver));
}
