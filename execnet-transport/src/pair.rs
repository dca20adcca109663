//! Our end of a socket pair whose other end is a child's standard input and output.
//!
//! tokio's own unix stream asks the system to tell when it can be written to. A socket of this kind can be after
//! each read of the far end, so in a dialogue the far end would wake us with every message it takes, to learn nothing: on
//! one core that is two more switches of processes for a round trip. Here the system is asked only while a write
//! has to wait.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio::net::unix::pipe;

/// What the far end sends. tokio has no reader of its own for a socket that is only read; that of a pipe calls just
/// `read`, which is right for both, as `write` is.
pub(crate) type PairReader = pipe::Receiver;

/// What the far end is to receive.
#[derive(Debug)]
pub(crate) struct PairWriter {
    stream: UnixStream,
    /// The same once more, while the system is asked.
    waiting: Option<pipe::Sender>,
}

/// Parts our end; to be called in a runtime.
pub(crate) fn split(ours: UnixStream) -> io::Result<(PairReader, PairWriter)> {
    ours.set_nonblocking(true)?;
    let reader = pipe::Receiver::from_owned_fd_unchecked(ours.try_clone()?.into())?;
    Ok((reader, PairWriter { stream: ours, waiting: None }))
}

impl PairWriter {
    /// Writes at once with `now`, or else as soon as it can with `later`.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        now: impl FnOnce(&UnixStream) -> io::Result<usize>,
        later: impl FnOnce(Pin<&mut pipe::Sender>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let Self { stream, waiting } = self;
        let asked = match waiting {
            Some(asked) => asked,
            None => match now(stream) {
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
                {
                    let fd = stream.try_clone()?.into();
                    waiting.insert(pipe::Sender::from_owned_fd_unchecked(fd)?)
                }
                result => return Poll::Ready(result),
            },
        };
        let result = ready!(later(Pin::new(asked), cx));
        *waiting = None;
        Poll::Ready(result)
    }
}

impl AsyncWrite for PairWriter {
    /// Not by a vector of one, which costs the system more.
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let now = |mut stream: &UnixStream| stream.write(bytes);
        self.get_mut().poll(cx, now, |asked, cx| asked.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let now = |mut stream: &UnixStream| stream.write_vectored(slices);
        self.get_mut().poll(cx, now, |asked, cx| asked.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.stream.shutdown(Shutdown::Write) {
            // The far end was faster.
            Err(error) if error.kind() == ErrorKind::NotConnected => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

impl Drop for PairWriter {
    /// A half-close: the reader has the same socket.
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_write_that_has_to_wait_goes_on_and_asks_no_more() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (mut reader, mut writer) = split(ours).unwrap();
        let long = vec![7; 4 << 20];
        let far_end = std::thread::spawn(move || {
            let mut all = Vec::new();
            theirs.read_to_end(&mut all).unwrap();
            theirs.write_all(b"done").unwrap();
            all
        });
        writer.write_all(&long).await.unwrap();
        assert!(writer.waiting.is_none());
        drop(writer);
        // The half-close of the drop is what ended its reading.
        assert!(far_end.join().unwrap() == long);
        let mut answer = String::new();
        reader.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "done");
    }

    #[tokio::test]
    async fn a_far_end_that_is_gone_is_an_error_also_for_a_write_that_waits() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (_reader, mut writer) = split(ours).unwrap();
        let long = vec![7; 4 << 20];
        let mut write = Box::pin(writer.write_all(&long));
        std::future::poll_fn(|cx| {
            assert!(write.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        drop(theirs);
        assert_eq!(write.await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
