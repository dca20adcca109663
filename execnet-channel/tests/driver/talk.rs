//! A dialogue whose far end writes through a valve.
#![allow(unreachable_pub)]

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use execnet_channel::{Channel, Config, Incoming, Mux, Request};
use execnet_proto::Side;
use tokio::io::{AsyncWrite, DuplexStream, WriteHalf, duplex, split};
use tokio::runtime::{Handle, Id};

use super::support::{End, MemoryDriver, Task, message, now, poll_times};

/// A writer that does what it is told.
struct Valve {
    inner: WriteHalf<DuplexStream>,
    tap: Tap,
}

/// Tells it.
#[derive(Clone)]
pub struct Tap(pub Arc<Mutex<Told>>);

pub struct Told {
    /// So many bytes, then it makes wait.
    pub room: usize,
    pub flushes: bool,
    pub waiting: Option<Waker>,
    /// What every write comes to.
    pub write_fails: Option<io::ErrorKind>,
    /// What the next flush comes to.
    pub flush_fails: Option<io::ErrorKind>,
    /// Called once, before bytes are taken.
    pub then: Option<Box<dyn FnOnce() + Send>>,
    /// Where it was asked to write, each time.
    pub runtimes: Vec<Option<Id>>,
}

impl Tap {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Told {
            room: usize::MAX,
            flushes: true,
            waiting: None,
            write_fails: None,
            flush_fails: None,
            then: None,
            runtimes: Vec::new(),
        })))
    }

    pub fn tell(&self, change: impl FnOnce(&mut Told)) {
        let mut told = self.0.lock().unwrap();
        change(&mut told);
        let waiting = told.waiting.take();
        drop(told);
        waiting.into_iter().for_each(Waker::wake);
    }

    pub fn open(&self) {
        self.tell(|told| (told.room, told.flushes) = (usize::MAX, true));
    }

    /// What is to happen while the next bytes are written.
    pub fn then(&self, then: impl FnOnce() + Send + 'static) {
        self.tell(|told| told.then = Some(Box::new(then)));
    }

    /// Whether that has happened.
    pub fn is_done(&self) -> bool {
        self.0.lock().unwrap().then.is_none()
    }

    /// How often it was asked to write since this was last asked, and in which runtimes.
    pub fn writes(&self) -> Vec<Option<Id>> {
        std::mem::take(&mut self.0.lock().unwrap().runtimes)
    }
}

impl AsyncWrite for Valve {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let then = this.tap.0.lock().unwrap().then.take();
        if let Some(then) = then {
            then();
        }
        let mut told = this.tap.0.lock().unwrap();
        told.runtimes.push(Handle::try_current().ok().map(|handle| handle.id()));
        if let Some(kind) = told.write_fails {
            // Nothing taken, and no error: what a full disk may say.
            let nothing = kind == io::ErrorKind::WriteZero;
            return Poll::Ready(if nothing { Ok(0) } else { Err(kind.into()) });
        }
        let some = bytes.len().min(told.room);
        if some == 0 {
            told.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let written = Pin::new(&mut this.inner).poll_write(cx, &bytes[..some]);
        if let Poll::Ready(Ok(written)) = written {
            told.room -= written;
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut told = this.tap.0.lock().unwrap();
        if let Some(kind) = told.flush_fails.take() {
            return Poll::Ready(Err(kind.into()));
        }
        if !told.flushes {
            told.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

/// Two ends that have talked for a while. The far one has received a message that came alone: what it sends next answers that.
pub struct Talk {
    pub a: End,
    pub mux: Mux,
    pub incoming: Incoming,
    pub driver: Arc<Mutex<Option<Task<MemoryDriver>>>>,
    pub tap: Tap,
    pub near: Channel,
    pub far: Channel,
}

impl Talk {
    pub fn new() -> Self {
        Self::with(Side::FarEnd, Config::default())
    }

    /// The far one on this side of the protocol.
    pub fn with(side: Side, config: Config) -> Self {
        let other = if side == Side::FarEnd { Side::Connector } else { Side::FarEnd };
        let (here, there) = duplex(1 << 20);
        let mut a = End::new(here, other, Config::default());
        let tap = Tap::new();
        let (reader, inner) = split(there);
        let writer = Valve { inner, tap: tap.clone() };
        let (mux, mut incoming, driver) = Mux::new(reader, writer, side, config).unwrap();
        let mut driver = Task::new(driver);
        let near = a.mux.open().unwrap();
        while a.driver.poll_if_woken() | driver.poll_if_woken() {}
        let Some(Request::Opened { channel: far, .. }) = now(incoming.next()) else {
            panic!("no channel")
        };
        let driver = Arc::new(Mutex::new(Some(driver)));
        let mut talk = Self { a, mux, incoming, driver, tap, near, far };
        for number in 0..5 {
            talk.ask(number);
            now(talk.far.send(message(number))).unwrap();
            talk.expect(number..number + 1);
        }
        talk.ask(5);
        talk.tap.writes();
        talk
    }

    /// A message alone that the far end has received.
    pub fn ask(&mut self, number: usize) {
        assert!(poll_times(1, self.far.recv()).is_none());
        now(self.near.send(message(number))).unwrap();
        self.run();
        assert_eq!(now(self.far.recv()).unwrap(), Some(message(number)));
        self.run();
    }

    pub fn run(&mut self) {
        while self.a.driver.poll_if_woken() | self.poll_far_if_woken() {}
    }

    pub fn poll_far_if_woken(&self) -> bool {
        self.driver.lock().unwrap().as_mut().is_some_and(Task::poll_if_woken)
    }

    /// What the near end gets, in order, and no more.
    #[track_caller]
    pub fn expect(&mut self, numbers: std::ops::Range<usize>) {
        self.run();
        for number in numbers {
            let got = poll_times(1, self.near.recv());
            assert_eq!(got.expect("it is missing").unwrap(), Some(message(number)));
        }
        assert!(poll_times(1, self.near.recv()).is_none());
    }
}
