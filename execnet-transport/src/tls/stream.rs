use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ALPN;
use super::error::{Trust, read_error};

/// An encrypted stream, of either side.
///
/// Shutting it down tells the other side that no more comes; its bytes still arrive. A stream that ends without that was cut off,
/// and reads as [`UnexpectedEof`](io::ErrorKind::UnexpectedEof).
pub struct TlsStream<S> {
    stream: tokio_rustls::TlsStream<S>,
    /// Of a client, for which the server's verdict is still to come.
    trust: Option<Trust>,
}

impl<S> TlsStream<S> {
    /// `None` when the server agreed to TLS, but not to our protocol in it.
    pub(super) fn client(stream: tokio_rustls::client::TlsStream<S>, trust: Trust) -> Option<Self> {
        let agreed = stream.get_ref().1.alpn_protocol() == Some(ALPN);
        agreed.then(|| Self { stream: stream.into(), trust: Some(trust) })
    }

    pub(super) fn server(stream: tokio_rustls::server::TlsStream<S>) -> Self {
        Self { stream: stream.into(), trust: None }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_read(cx, out);
        match this.trust {
            Some(trust) => result.map_err(|error| read_error(error, trust)),
            None => result,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl<S> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").finish_non_exhaustive()
    }
}
