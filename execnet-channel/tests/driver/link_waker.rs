//! The driver asks its link when the link has said so, and not because a handle woke it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use execnet_channel::{Channel, Config, Driver, Mux};
use execnet_proto::Side;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::support::{Task, message, now};

/// A stream that keeps a single waker for reading and writing together, as one may whose halves stay in one task.
#[derive(Clone, Default)]
struct Stream(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    waker: Option<Waker>,
    /// How often it was asked for something to read.
    asked: usize,
    ended: bool,
    blocked: bool,
}

impl Stream {
    fn asked(&self) -> usize {
        self.0.lock().unwrap().asked
    }

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
        state.asked += 1;
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

type Polled = Task<Driver<Stream, Stream>>;

fn driven(stream: &Stream) -> (Mux, Channel, Polled) {
    let (mux, _, driver) =
        Mux::new(stream.clone(), stream.clone(), Side::Connector, Config::default()).unwrap();
    let mut driver = Task::new(driver);
    let channel = mux.open().unwrap();
    driver.poll();
    (mux, channel, driver)
}

#[tokio::test]
async fn a_driver_woken_to_write_does_not_ask_for_something_to_read() {
    let stream = Stream::default();
    let (_mux, mut channel, mut driver) = driven(&stream);
    let before = stream.asked();
    for number in 0..100 {
        now(channel.send(message(number))).unwrap();
        assert!(driver.poll_if_woken());
    }
    assert_eq!(stream.asked(), before);
    stream.end();
    assert!(driver.poll_if_woken());
    assert!(stream.asked() > before);
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
