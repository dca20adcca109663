//! Futures polled by hand, two connected ends, and a writer that counts.
#![allow(unreachable_pub)]

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use execnet_channel::{Channel, Config, ConnectionError, Driver, Incoming, Message, Mux, Request};
use execnet_proto::Side;
use tokio::io::{AsyncWrite, DuplexStream, ReadHalf, duplex, split};
use tokio::task::coop::{Unconstrained, unconstrained};

/// Counts how often it was woken.
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A future that is polled by hand.
pub struct Task<F: Future> {
    future: Pin<Box<Unconstrained<F>>>,
    wakes: Arc<Wakes>,
    polls: usize,
    pub output: Option<F::Output>,
}

/// After so many polls a future is going in circles.
const ENDLESS: usize = 1_000_000;

impl<F: Future> Task<F> {
    /// Never polled, and woken once, as a spawned task is.
    pub fn new(future: F) -> Self {
        let wakes = Arc::new(Wakes(AtomicUsize::new(1)));
        Self { future: Box::pin(unconstrained(future)), wakes, polls: 0, output: None }
    }

    /// The future, to be polled by another task from now on.
    pub fn into_future(self) -> Pin<Box<Unconstrained<F>>> {
        self.future
    }

    /// How often it was woken since it was last polled, or this was last asked.
    pub fn wakes(&self) -> usize {
        self.wakes.0.swap(0, Ordering::Relaxed)
    }

    /// Polls once, unless it has ended. True when it has.
    pub fn poll(&mut self) -> bool {
        self.wakes();
        self.polls += 1;
        assert!(self.polls < ENDLESS, "it wakes itself for ever");
        if self.output.is_none() {
            let waker = Waker::from(self.wakes.clone());
            if let Poll::Ready(output) = self.future.as_mut().poll(&mut Context::from_waker(&waker))
            {
                self.output = Some(output);
            }
        }
        self.output.is_some()
    }

    /// Polls once if it was woken. True when it was.
    pub fn poll_if_woken(&mut self) -> bool {
        let woken = self.wakes() > 0 && self.output.is_none();
        if woken {
            self.poll();
        }
        woken
    }
}

/// Polls a future so many times, without anything happening in between, then drops it.
pub fn poll_times<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut task = Task::new(future);
    for _ in 0..times {
        if task.poll() {
            break;
        }
    }
    task.output.take()
}

/// Polls a future that is to be ready at once.
#[track_caller]
pub fn now<F: Future>(future: F) -> F::Output {
    poll_times(1, future).expect("it was to be ready at once")
}

/// Whether a message was taken at once; otherwise it was not sent.
#[track_caller]
pub fn taken<E: std::fmt::Debug>(send: impl Future<Output = Result<(), E>>) -> bool {
    poll_times(1, send).map(Result::unwrap).is_some()
}

/// What a [`Counter`] has counted.
#[derive(Default)]
pub struct Writes {
    pub calls: AtomicUsize,
    pub bytes: AtomicUsize,
}

impl Writes {
    /// Calls and bytes since this was last asked.
    pub fn take(&self) -> (usize, usize) {
        let take = |count: &AtomicUsize| count.swap(0, Ordering::Relaxed);
        (take(&self.calls), take(&self.bytes))
    }
}

/// Counts the calls that took bytes.
pub struct Counter<W> {
    inner: W,
    writes: Arc<Writes>,
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Counter<W> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, slices);
        if let Poll::Ready(Ok(written)) = &written {
            this.writes.calls.fetch_add(1, Ordering::Relaxed);
            this.writes.bytes.fetch_add(*written, Ordering::Relaxed);
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

pub type MemoryDriver = Driver<ReadHalf<DuplexStream>>;

/// One side of a connection in memory.
pub struct End {
    pub mux: Mux,
    pub incoming: Incoming,
    pub driver: Task<MemoryDriver>,
    pub writes: Arc<Writes>,
}

impl End {
    pub fn new(stream: DuplexStream, side: Side, config: Config) -> Self {
        let (reader, inner) = split(stream);
        let writes = Arc::new(Writes::default());
        let writer = Counter { inner, writes: writes.clone() };
        let (mux, incoming, driver) = Mux::new(reader, writer, side, config).unwrap();
        Self { mux, incoming, driver: Task::new(driver), writes }
    }

    pub fn result(&self) -> Option<&Result<(), ConnectionError>> {
        self.driver.output.as_ref()
    }

    /// The channel that the peer has opened.
    #[track_caller]
    pub fn accept(&mut self) -> Channel {
        match now(self.incoming.next()) {
            Some(Request::Opened { channel, .. }) => channel,
            other => panic!("a channel was expected, not {other:?}"),
        }
    }
}

/// Both sides, over a stream that holds so many bytes in each direction.
pub struct Ends {
    pub a: End,
    pub b: End,
}

impl Ends {
    /// After both HELLOs.
    pub fn new(buffer: usize) -> Self {
        Self::with(buffer, Config::default(), Config::default())
    }

    pub fn with(buffer: usize, a: Config, b: Config) -> Self {
        let mut ends = Self::silent(buffer, a, b);
        ends.run();
        now(ends.a.mux.peer()).unwrap();
        now(ends.b.mux.peer()).unwrap();
        ends
    }

    /// Nothing has been sent yet.
    pub fn silent(buffer: usize, a: Config, b: Config) -> Self {
        let (here, there) = duplex(buffer);
        Self { a: End::new(here, Side::Connector, a), b: End::new(there, Side::FarEnd, b) }
    }

    /// Polls the drivers that were woken, once. False when neither was.
    pub fn step(&mut self) -> bool {
        self.a.driver.poll_if_woken() | self.b.driver.poll_if_woken()
    }

    /// Lets the drivers go on until nobody wakes them any more.
    pub fn run(&mut self) {
        while self.step() {}
    }

    /// A channel opened by `a`, both ends of it.
    pub fn open(&mut self) -> (Channel, Channel) {
        let here = self.a.mux.open().unwrap();
        self.run();
        (here, self.b.accept())
    }
}

/// Only against tests that hang: far longer than any takes.
pub async fn watched<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(std::time::Duration::from_secs(100), test).await.expect("it hangs")
}

/// What a [`message`] takes on the wire: with its header.
pub const SHORT: usize = 8 + 32;

pub fn message(number: usize) -> Message {
    Message::bytes(format!("{number:032}"))
}

pub fn zeros(len: usize) -> Message {
    Message::bytes(Bytes::from(vec![0; len]))
}
