use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use super::{Client, TlsStream};
use crate::{BoxFuture, ConnectError, Guard, Link, Stage, Transport};

/// How long a handshake may take unless told otherwise.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Another transport's link, encrypted and authenticated.
///
/// It need not be a socket: over a link that a gateway passes on, the two ends are still alone with each other.
#[derive(Debug, Clone)]
#[must_use = "a transport does nothing before `connect`"]
pub struct Tls<T> {
    inner: T,
    client: Client,
    timeout: Duration,
}

impl<T: Transport> Tls<T> {
    /// Shakes hands as this client over the links of `inner`.
    pub fn new(inner: T, client: Client) -> Self {
        Self { inner, client, timeout: HANDSHAKE_TIMEOUT }
    }

    /// Sets how long the handshake may take; by default 10 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    async fn attempt(&self, client: &Client) -> Result<TlsStream<Whole>, ConnectError> {
        let whole = Whole::new(self.inner.connect().await?);
        match timeout(self.timeout, client.handshake(whole)).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::TimedOut { stage: Stage::Handshake, after: self.timeout }),
        }
    }
}

impl<T: Transport> Transport for Tls<T> {
    fn address(&self) -> String {
        self.inner.address()
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        Box::pin(async {
            let stream = match self.attempt(&self.client).await {
                Ok(stream) => stream,
                Err(error) => match self.client.older(&error) {
                    Some(older) => self.attempt(&older).await?,
                    None => return Err(error),
                },
            };
            Ok(Link::over(stream, self.address()))
        })
    }
}

/// The two halves of a link in one piece, which is as long alive as its guard.
struct Whole {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    _guard: Guard,
}

impl Whole {
    fn new(link: Link) -> Self {
        let Link { reader, writer, guard, .. } = link;
        Self { reader, writer, _guard: guard }
    }
}

impl AsyncRead for Whole {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().reader).poll_read(cx, out)
    }
}

impl AsyncWrite for Whole {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().writer).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().writer).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.writer.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().writer).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().writer).poll_shutdown(cx)
    }
}
