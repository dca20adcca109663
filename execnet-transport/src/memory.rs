//! Links within one process: for tests, and for far ends that are part of the program.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use crate::pipe::{Pipe, pipe};
use crate::{BoxFuture, ConnectError, Ending, FarEnd, Guard, Link, Transport};

/// How many bytes a [`Memory`] link holds in each direction unless told otherwise: 64 KiB.
pub const DEFAULT_BUFFER: usize = 64 * 1024;

/// Two ends of one link: what is written on either is read on the other.
///
/// `buffer` is how many bytes each direction holds, at least one; a writer waits when it is full.
///
/// Each guard stands for the other end. Its `wait` gives [`Ending::Closed`] once the other end has
/// dropped both its reader and its writer. Killing or dropping either guard closes both directions:
/// what was already written can still be read, then both sides see the end.
///
/// ```
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let (mut near, mut far) = execnet_transport::memory::pair(1024);
/// near.writer.write_all(b"hello").await?;
/// near.writer.shutdown().await?;
/// let mut heard = String::new();
/// far.reader.read_to_string(&mut heard).await?;
/// assert_eq!(heard, "hello");
/// # Ok(())
/// # }
/// ```
pub fn pair(buffer: usize) -> (Link, Link) {
    let closings = Arc::new(watch::Sender::new(()));
    let (far_reader, near_writer, outward) = pipe(buffer, closings.clone());
    let (near_reader, far_writer, inward) = pipe(buffer, closings.clone());
    let far = OtherEnd { to: outward.clone(), from: inward.clone(), closings: closings.clone() };
    let near = OtherEnd { to: inward, from: outward, closings };
    (
        Link::new(near_reader, near_writer, Guard::new(far)),
        Link::new(far_reader, far_writer, Guard::new(near)),
    )
}

/// A transport whose far ends live in this process: each connect hands one to a function.
///
/// ```
/// use execnet_transport::{Link, Memory, Transport};
/// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let echo = Memory::new(|far| {
///     tokio::spawn(async move {
///         let Link { mut reader, mut writer, guard: _guard, .. } = far;
///         tokio::io::copy(&mut reader, &mut writer).await
///     });
/// });
/// let mut link = echo.connect().await?;
/// # link.writer.write_all(b"x").await?;
/// # assert_eq!(link.reader.read_u8().await?, b'x');
/// # Ok(())
/// # }
/// ```
#[must_use = "a transport does nothing before `connect`"]
#[derive(Clone)]
pub struct Memory {
    handler: Arc<dyn Fn(Link) + Send + Sync>,
    buffer: usize,
}

impl Memory {
    /// Calls `handler` with the far link on each connect, before that returns. It should hand the
    /// link to a task or a thread.
    pub fn new(handler: impl Fn(Link) + Send + Sync + 'static) -> Self {
        Self { handler: Arc::new(handler), buffer: DEFAULT_BUFFER }
    }

    /// Sets how many bytes a link holds in each direction; by default [`DEFAULT_BUFFER`].
    pub fn buffer(mut self, bytes: usize) -> Self {
        self.buffer = bytes;
        self
    }
}

impl Transport for Memory {
    fn address(&self) -> String {
        ADDRESS.to_owned()
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        Box::pin(async {
            let (near, far) = pair(self.buffer);
            (self.handler)(far);
            Ok(near)
        })
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("buffer", &self.buffer).finish_non_exhaustive()
    }
}

const ADDRESS: &str = "memory";

/// The end that a guard stands for, seen from the guard's own.
struct OtherEnd {
    to: Arc<Pipe>,
    from: Arc<Pipe>,
    closings: Arc<watch::Sender<()>>,
}

impl FarEnd for OtherEnd {
    fn address(&self) -> &str {
        ADDRESS
    }

    fn wait(&self) -> BoxFuture<'_, Ending> {
        Box::pin(async {
            // Subscribed before the first look, so that no closing falls between.
            let mut closings = self.closings.subscribe();
            while !(self.from.is_finished() && self.to.is_abandoned()) {
                let _ = closings.changed().await;
            }
            Ending::Closed
        })
    }

    fn kill(&self) {
        self.to.kill();
        self.from.kill();
    }
}
