//! What every rival can do.

use std::future::Future;

use bytes::Bytes;

use crate::Link;

/// A multiplexer, or something that stands in for one.
pub trait Rival: Sized + 'static {
    /// Its column in the tables.
    const NAME: &'static str;
    /// Whether a message that was sent arrives as one. Else bytes arrive in pieces of any length, and
    /// whoever wants messages has to frame them on top; these benchmarks do not, in the rival's favour.
    const MESSAGES: bool;
    /// Opens channels.
    type Opener: Open<Channel = Self::Channel> + Clone;
    /// Gives the channels that the other end opened, in order.
    type Acceptor: Open<Channel = Self::Channel>;
    /// A channel.
    type Channel: Channel;

    /// Puts a multiplexer on each end of a link and drives both.
    fn connect<L: Link>(a: L, b: L) -> impl Future<Output = (Self::Opener, Self::Acceptor)> + Send;
}

/// Where channels come from.
pub trait Open: Send + 'static {
    /// A channel.
    type Channel;
    /// The next channel.
    fn next(&mut self) -> impl Future<Output = Self::Channel> + Send;
}

/// Bytes both ways. Everything that fails panics: a benchmark has no use for it.
pub trait Channel: Send + 'static {
    /// Sends a message: it will leave without further ado, unless `flush` says otherwise.
    fn send(&mut self, message: Bytes) -> impl Future<Output = ()> + Send;

    /// Makes sure that what was sent leaves.
    fn flush(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Sends the last message.
    fn finish(&mut self, message: Bytes) -> impl Future<Output = ()> + Send;

    /// Length of the next message, or piece of one; 0 at the end.
    fn receive(&mut self) -> impl Future<Output = usize> + Send;
}
