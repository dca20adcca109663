//! Streams that keep a single waker for both directions, and drivers that change their task.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use execnet_channel::{Channel, Config, ConnectionError, Driver, Incoming, Mux, Request};
use execnet_proto::Side;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

use super::support::{End, Task, message, now, poll_times};

/// A stream that keeps a single waker for reading and writing together, as one may whose halves stay in one task.
#[derive(Clone, Default)]
struct Stream(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    waker: Option<Waker>,
    ended: bool,
    blocked: bool,
}

impl Stream {
    fn block(&self) {
        self.0.lock().unwrap().blocked = true;
    }

    fn end(&self) {
        let mut state = self.0.lock().unwrap();
        state.ended = true;
        state.waker.take().expect("nobody waits").wake();
    }
}

impl State {
    fn ready(&mut self, ready: bool, cx: &Context<'_>) -> Poll<()> {
        if ready {
            return Poll::Ready(());
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.lock().unwrap();
        let ended = state.ended;
        state.ready(ended, cx).map(Ok)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock().unwrap();
        let free = !state.blocked;
        state.ready(free, cx).map(|()| Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

type Polled = Task<Driver<Stream>>;

fn driven(stream: &Stream) -> (Mux, Channel, Polled) {
    let (mux, _, driver) =
        Mux::new(stream.clone(), stream.clone(), Side::Connector, Config::default()).unwrap();
    let mut driver = Task::new(driver);
    let channel = mux.open().unwrap();
    driver.poll();
    (mux, channel, driver)
}

#[tokio::test]
async fn a_link_with_one_waker_for_both_directions_is_heard_while_a_write_waits() {
    let stream = Stream::default();
    let (mux, mut channel, mut driver) = driven(&stream);
    stream.block();
    now(channel.send(message(1))).unwrap();
    assert!(driver.poll_if_woken());
    stream.end();
    assert!(driver.poll_if_woken(), "the link's waker is lost");
    assert!(mux.error().is_some(), "woken, but it has not read");
}

#[tokio::test]
async fn a_driver_that_changes_its_task_asks_anew() {
    let stream = Stream::default();
    let (mux, _channel, driver) = driven(&stream);
    let mut driver = Task::new(driver.into_future());
    driver.poll();
    stream.end();
    assert!(driver.poll_if_woken(), "the link woke the task that was");
    assert!(mux.error().is_some());
}

/// A stream that notes who asks, then looks; whoever asked last is woken.
#[derive(Clone)]
struct Noting {
    inner: Arc<Mutex<DuplexStream>>,
    last: Arc<Last>,
    /// What is to happen before the next bytes are written, and when there was nothing to read.
    then: Arc<Mutex<Option<Then>>>,
    idle: Arc<Mutex<Option<Then>>>,
}

type Then = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Last(Mutex<Option<Waker>>);

impl Wake for Last {
    fn wake(self: Arc<Self>) {
        let last = self.0.lock().unwrap().take();
        last.into_iter().for_each(Waker::wake);
    }
}

impl Noting {
    fn poll<T>(
        &self,
        cx: &Context<'_>,
        look: impl FnOnce(Pin<&mut DuplexStream>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        *self.last.0.lock().unwrap() = Some(cx.waker().clone());
        let waker = Waker::from(self.last.clone());
        look(Pin::new(&mut self.inner.lock().unwrap()), &mut Context::from_waker(&waker))
    }
}

impl AsyncRead for Noting {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.poll(cx, |stream, cx| stream.poll_read(cx, buf));
        if read.is_pending()
            && let Some(idle) = self.idle.lock().unwrap().take()
        {
            idle();
        }
        read
    }
}

impl AsyncWrite for Noting {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let then = self.then.lock().unwrap().take();
        if let Some(then) = then {
            then();
        }
        self.poll(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, |stream, cx| stream.poll_shutdown(cx))
    }
}

type Driving = Pin<Box<dyn Future<Output = Result<(), ConnectionError>> + Send>>;

/// A far end over such a stream, in a dialogue.
struct Talk {
    stream: Noting,
    near: End,
    channel: Channel,
    far: Arc<Mutex<Channel>>,
    driver: Arc<Mutex<Option<Task<Driving>>>>,
    _mux: Mux,
    _incoming: Incoming,
}

impl Talk {
    fn new() -> Self {
        let (here, there) = duplex(1 << 10);
        let inner = Arc::new(Mutex::new(there));
        let (last, then, idle) = Default::default();
        let stream = Noting { inner, last, then, idle };
        let (mux, mut incoming, driver) =
            Mux::new(stream.clone(), stream.clone(), Side::FarEnd, Config::default()).unwrap();
        let driving: Driving = Box::pin(driver);
        let mut driver = Task::new(driving);
        let mut near = End::new(here, Side::Connector, Config::default());
        let channel = near.mux.open().unwrap();
        while near.driver.poll_if_woken() | driver.poll_if_woken() {}
        let Some(Request::Opened { channel: far, .. }) = now(incoming.next()) else { panic!() };
        let far = Arc::new(Mutex::new(far));
        let driver = Arc::new(Mutex::new(Some(driver)));
        let mut talk = Self { stream, near, channel, far, driver, _mux: mux, _incoming: incoming };
        for number in 0..5 {
            talk.ask(number);
            talk.answer(number);
        }
        talk
    }

    fn run(&mut self) {
        let far = || self.driver.lock().unwrap().as_mut().unwrap().poll_if_woken();
        while self.near.driver.poll_if_woken() | far() {}
    }

    fn ask(&mut self, number: usize) {
        assert!(poll_times(1, self.far.lock().unwrap().recv()).is_none());
        now(self.channel.send(message(number))).unwrap();
        self.run();
        let got = poll_times(1, self.far.lock().unwrap().recv());
        assert_eq!(got.expect("the driver does not read").unwrap(), Some(message(number)));
    }

    fn answer(&mut self, number: usize) {
        now(self.far.lock().unwrap().send(message(number))).unwrap();
        self.run();
        assert_eq!(now(self.channel.recv()).unwrap(), Some(message(number)));
    }
}

/// The sender has the waker of the task that was: the stream must not be left with that.
#[tokio::test]
async fn a_driver_that_changes_its_task_while_a_sender_writes_goes_on_reading() {
    let mut talk = Talk::new();
    talk.ask(5);
    let driver = talk.driver.clone();
    *talk.stream.then.lock().unwrap() = Some(Box::new(move || {
        let mut driver = driver.lock().unwrap();
        let moving: Driving = driver.take().unwrap().into_future();
        let mut moved = Task::new(moving);
        moved.poll();
        *driver = Some(moved);
    }));
    talk.answer(5);
    assert!(talk.stream.then.lock().unwrap().is_none(), "not written by its sender");
    talk.ask(6);
}

#[tokio::test]
async fn a_driver_that_has_begun_in_another_task_when_a_sender_writes_goes_on_reading() {
    let mut talk = Talk::new();
    talk.ask(5);
    let far = talk.far.clone();
    *talk.stream.idle.lock().unwrap() =
        Some(Box::new(move || now(far.lock().unwrap().send(message(5))).unwrap()));
    let driver = talk.driver.lock().unwrap().take().unwrap();
    let moving: Driving = driver.into_future();
    let mut moved = Task::new(moving);
    moved.poll();
    assert!(talk.stream.idle.lock().unwrap().is_none(), "it did not read");
    *talk.driver.lock().unwrap() = Some(moved);
    talk.run();
    assert_eq!(now(talk.channel.recv()).unwrap(), Some(message(5)));
    talk.ask(6);
}
