use std::fmt;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Bootstrap, Guard, Stderr, stream};

/// A byte link to one far end. [`Transport`](crate::Transport) states what it promises.
///
/// The fields are there to be taken apart:
///
/// ```
/// # use execnet_transport::{Link, memory};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let (link, _far) = memory::pair(1024);
/// let Link { reader, writer, stderr, guard, .. } = link;
/// # }
/// ```
///
/// **Keep the guard:** dropping it, alone or with the whole link, ends the far end. Two ways to lose
/// it unawares: a pattern without it, matched against a link that has no name, drops it on the spot;
/// and an `async move` block or a closure that mentions only `link.reader` takes only that, and
/// leaves the guard behind. Take the link apart as above, inside the block.
///
/// More fields may come, so a pattern ends in `..` and a link is made by [`new`](Self::new) or [`over`](Self::over):
///
/// ```compile_fail,E0638
/// # use execnet_transport::{Link, memory};
/// # let (link, _far) = memory::pair(1024);
/// let Link { reader, writer, stderr, guard, bootstrap } = link;
/// ```
#[must_use = "dropping a link ends its far end"]
#[non_exhaustive]
pub struct Link {
    /// What the far end sends.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// What the far end is to receive. Dropping it is a half-close, as shutting it down is.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// The far end's standard error, where there is one of its own.
    pub stderr: Option<Stderr>,
    /// Keeps the far end alive; waits for it and kills it.
    pub guard: Guard,
    /// What the far end wants before it speaks the protocol.
    pub bootstrap: Bootstrap,
}

impl Link {
    /// A link without standard error, to a far end that already speaks the protocol
    /// ([`Bootstrap::None`]).
    pub fn new(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
        guard: Guard,
    ) -> Self {
        Self {
            reader: Box::new(reader),
            writer: Box::new(writer),
            stderr: None,
            guard,
            bootstrap: Bootstrap::None,
        }
    }

    /// A link over one stream with no process behind it, such as a socket: [`Link::new`] with a guard ready
    /// made, named `address`.
    ///
    /// The far end counts as ended ([`Ending::Closed`](crate::Ending::Closed)) when both directions are over: the
    /// far end's bytes were read to their end, and ours finished. A kill drops the stream at once.
    ///
    /// ```
    /// use execnet_transport::Link;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let (near, _far) = tokio::net::UnixStream::pair()?;
    /// let link = Link::over(near, "unix /run/worker.sock");
    /// assert_eq!(link.guard.address(), "unix /run/worker.sock");
    /// # Ok(())
    /// # }
    /// ```
    pub fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        address: impl Into<String>,
    ) -> Self {
        stream::link(stream, address.into())
    }

    /// Adds the far end's standard error.
    pub fn with_stderr(mut self, stderr: Stderr) -> Self {
        self.stderr = Some(stderr);
        self
    }

    /// Says what the far end wants first.
    pub fn with_bootstrap(mut self, bootstrap: Bootstrap) -> Self {
        self.bootstrap = bootstrap;
        self
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("guard", &self.guard)
            .field("bootstrap", &self.bootstrap)
            .field("stderr", &self.stderr.is_some())
            .finish_non_exhaustive()
    }
}
