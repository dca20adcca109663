//! Channels as byte streams.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use execnet_channel::Message;
use execnet_proto::Value;
use futures_core::Stream;
use futures_sink::Sink;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use super::{Receiver, Sender};
use crate::{ReceiveError, SendError};

/// A longer write becomes several items.
const LONGEST_ITEM: usize = 64 << 10;

/// Reads the bytes of received `bytes` and `str` items, one after the other; from [`Receiver::into_reader`].
///
/// The channel's clean end is end-of-file; the remote exception, the gateway's death and an item of another type
/// are errors. Cancel safe: nothing is lost.
#[derive(Debug)]
pub struct ChannelReader {
    receiver: Receiver,
    chunk: Bytes,
}

/// Sends what is written as `bytes` items of at most 64 KiB; from [`Sender::into_writer`].
///
/// Waits while the remote code does not read; keeps nothing back, so what a write has taken arrives. Shutting down tells
/// the remote side that no more comes, as dropping it does.
#[derive(Debug)]
pub struct ChannelWriter {
    sender: Sender,
}

impl Receiver {
    /// Reads items as one stream of bytes.
    #[must_use]
    pub fn into_reader(self) -> ChannelReader {
        ChannelReader { receiver: self, chunk: Bytes::new() }
    }
}

impl Sender {
    /// Writes a stream of bytes as items. What is to be read as text at the other end: `makefile("r")` there
    /// takes bytes as well.
    #[must_use]
    pub fn into_writer(self) -> ChannelWriter {
        ChannelWriter { sender: self }
    }
}

impl ChannelReader {
    /// The receiver; bytes of an item that has been read in part are lost.
    #[must_use]
    pub fn into_inner(self) -> Receiver {
        self.receiver
    }
}

impl ChannelWriter {
    /// The sender.
    #[must_use]
    pub fn into_inner(self) -> Sender {
        self.sender
    }
}

impl AsyncBufRead for ChannelReader {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        // An empty item is no end of file.
        while this.chunk.is_empty() {
            match ready!(Pin::new(&mut this.receiver).poll_next(cx)) {
                None => break,
                Some(Ok(Value::Bytes(bytes))) => this.chunk = bytes,
                Some(Ok(Value::Str(text))) => this.chunk = text.into(),
                Some(Ok(other)) => {
                    let message = format!("expected bytes or str, received {other}");
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, message)));
                }
                Some(Err(error)) => return Poll::Ready(Err(receive_error(error))),
            }
        }
        Poll::Ready(Ok(&this.chunk))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        self.get_mut().chunk.advance(amount);
    }
}

impl AsyncRead for ChannelReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() > 0 {
            let chunk = ready!(self.as_mut().poll_fill_buf(cx))?;
            let amount = chunk.len().min(buf.remaining());
            buf.put_slice(&chunk[..amount]);
            self.consume(amount);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ChannelWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let amount = buf.len().min(LONGEST_ITEM);
        if amount > 0 {
            let item = Bytes::copy_from_slice(&buf[..amount]);
            // One that has to wait is copied again: none is taken that a drop would lose.
            let message = &mut Some(Message::bytes(item));
            ready!(self.get_mut().sender.poll_send(cx, message)).map_err(send_error)?;
        }
        Poll::Ready(Ok(amount))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().sender).poll_flush(cx).map_err(send_error)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().sender).poll_close(cx).map_err(send_error)
    }
}

fn receive_error(error: ReceiveError) -> io::Error {
    let kind = match &error {
        ReceiveError::Lost(_) => io::ErrorKind::ConnectionAborted,
        ReceiveError::Item(_) => io::ErrorKind::InvalidData,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

fn send_error(error: SendError) -> io::Error {
    let kind = match &error {
        SendError::Lost(_) => io::ErrorKind::ConnectionAborted,
        SendError::Channel(_) => io::ErrorKind::BrokenPipe,
        SendError::TimedOut => io::ErrorKind::TimedOut,
    };
    io::Error::new(kind, error)
}
