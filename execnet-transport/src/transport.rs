use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use crate::{ConnectError, Link};

/// A boxed future that may be sent to another thread: what keeps [`Transport`] object-safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A way to reach a far end: [`connect`](Self::connect) yields a [`Link`].
///
/// A transport is a description, such as a command line or a host and a port. It holds no link,
/// and it knows nothing of what will be said over one. Yours need not live in this crate;
/// `examples/custom_transport.rs` is a complete one, in some thirty lines thanks to [`Link::over`].
///
/// # The contract
///
/// Whoever takes a link relies on all of this, so an implementation promises it. The feature `conformance` adds a
/// module that tries each clause on your links, from your tests.
///
/// **Bytes.** [`Link::reader`] and [`Link::writer`] carry bytes in order, unchanged, without loss,
/// in both directions at once. Either half works while the other waits. There are no message
/// bounds: what was written in one piece may be read in several. A full link makes the writer
/// wait; nothing is buffered without a limit.
///
/// **Writing.** The writer forwards vectored writes where the system has them, and says so in
/// `is_write_vectored`: the multiplexer relies on it to send a header and a payload uncopied. After
/// `poll_flush` nothing is held back on this side. An empty write is not an error.
///
/// **Half-close.** After `poll_shutdown`, or when the writer is dropped, the far side reads
/// end-of-file after the last byte written, and its own bytes still arrive.
///
/// **The end.** Once the far end has closed its side, the reader gives what was still on the way
/// and then end-of-file, or `ConnectionReset` where the system reports that the far end left
/// bytes unread. Writes then fail with `BrokenPipe` or `ConnectionReset`. None of this says why:
/// that is [`Guard::wait`](crate::Guard::wait)'s to tell.
///
/// **The guard.** As long as the [`Guard`](crate::Guard) lives, the far end is kept alive; dropping
/// it ends the far end. Its methods and their promises are those of [`FarEnd`](crate::FarEnd).
///
/// **Standard error.** If the far end has one, it is read all the time, by a
/// [`Stderr`](crate::Stderr): a far end must never stand still because nobody looks at its
/// complaints. It never appears in the reader.
///
/// **Nothing left behind.** A `connect` that fails, or whose future is dropped at any await, leaves
/// no process, connection or task. A link that is dropped leaves none either.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Names the far end for messages, as `popen python3`. Stable, and free of secrets.
    fn address(&self) -> String;

    /// Makes one new link.
    ///
    /// May be called any number of times, also at once: each call is a far end of its own. There
    /// is no retry, and no time limit unless the transport documents one: wrap the future in
    /// `tokio::time::timeout`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future at any await leaves nothing behind.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] tells the [`Stage`](crate::Stage) that failed, and whose
    /// [`Fault`](crate::Fault) it was.
    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>>;
}

impl<T: Transport + ?Sized> Transport for &T {
    fn address(&self) -> String {
        (**self).address()
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        (**self).connect()
    }
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn address(&self) -> String {
        (**self).address()
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        (**self).connect()
    }
}

impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn address(&self) -> String {
        (**self).address()
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        (**self).connect()
    }
}
