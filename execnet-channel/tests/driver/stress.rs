//! Dialogues on several threads over links that are slow now and then, keep a single waker, or fail, while the driver is moved from task to
//! task: senders and drivers write by turns.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;

use execnet_channel::{
    Channel, Config, ConnectionError, Driver, Incoming, Mux, ReceiveError, Request,
};
use execnet_proto::Side;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::sockets::spawn;
use super::support::{message, watched};

const SEEDS: u64 = 20;

/// Questions of each dialogue.
const ROUNDS: usize = 100;

/// The same row of numbers for the same seed; shared by threads it is not.
struct Dice(AtomicU64);

impl Dice {
    fn below(&self, end: u64) -> u64 {
        let mut x = self.0.load(Ordering::Relaxed);
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.store(x, Ordering::Relaxed);
        x % end
    }
}

/// One side's end of a stream that is slow now and then.
struct Chaos {
    dice: Dice,
    /// Reading and writing share one waker, as they may in one task.
    single: bool,
    /// It gives up after so many bytes.
    fails_after: Option<usize>,
    side: Mutex<Wakers>,
    out: Arc<Pipe>,
    into: Arc<Pipe>,
    peer: Mutex<Option<Weak<Self>>>,
    nudge: mpsc::Sender<Weak<Self>>,
}

#[derive(Default)]
struct Wakers {
    both: Option<Waker>,
    read: Option<Waker>,
    write: Option<Waker>,
    written: usize,
}

#[derive(Default)]
struct Pipe(Mutex<Bytes>);

#[derive(Default)]
struct Bytes {
    seen: VecDeque<u8>,
    unflushed: VecDeque<u8>,
    ended: bool,
}

impl Chaos {
    fn pair(
        seed: u64,
        single: bool,
        fails_after: Option<usize>,
        nudge: &mpsc::Sender<Weak<Self>>,
    ) -> (Arc<Self>, Arc<Self>) {
        let (there, back) = (Arc::new(Pipe::default()), Arc::new(Pipe::default()));
        let end = |seed, out: &Arc<Pipe>, into: &Arc<Pipe>, fails_after| {
            Arc::new(Self {
                dice: Dice(AtomicU64::new(seed)),
                single,
                fails_after,
                side: Mutex::default(),
                out: out.clone(),
                into: into.clone(),
                peer: Mutex::default(),
                nudge: nudge.clone(),
            })
        };
        let a = end(2 * seed + 1, &there, &back, fails_after);
        let b = end(2 * seed + 0x1234_5671, &back, &there, None);
        *a.peer.lock().unwrap() = Some(Arc::downgrade(&b));
        *b.peer.lock().unwrap() = Some(Arc::downgrade(&a));
        (a, b)
    }

    fn wait(&self, cx: &Context<'_>, reads: bool) {
        let mut side = self.side.lock().unwrap();
        let slot = match (self.single, reads) {
            (true, _) => &mut side.both,
            (_, true) => &mut side.read,
            _ => &mut side.write,
        };
        *slot = Some(cx.waker().clone());
    }

    fn wake(&self, read: bool) {
        let mut side = self.side.lock().unwrap();
        let kind = if read { side.read.take() } else { side.write.take() };
        let wakers = [side.both.take(), kind];
        drop(side);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    fn tell_peer(&self) {
        let peer = self.peer.lock().unwrap().clone();
        if let Some(peer) = peer.and_then(|peer| peer.upgrade()) {
            peer.wake(true);
        }
    }

    /// Waits a little, as if the link were full.
    fn later<T>(self: &Arc<Self>, cx: &Context<'_>) -> Poll<T> {
        self.wait(cx, false);
        self.nudge.send(Arc::downgrade(self)).unwrap();
        Poll::Pending
    }

    fn end(&self) {
        self.out.0.lock().unwrap().ended = true;
        self.tell_peer();
    }
}

struct ChaosReader(Arc<Chaos>);

impl AsyncRead for ChaosReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut pipe = self.0.into.0.lock().unwrap();
        if pipe.seen.is_empty() && !pipe.ended {
            self.0.wait(cx, true);
            return Poll::Pending;
        }
        while buf.remaining() > 0
            && let Some(byte) = pipe.seen.pop_front()
        {
            buf.put_slice(&[byte]);
        }
        Poll::Ready(Ok(()))
    }
}

struct ChaosWriter(Arc<Chaos>);

impl AsyncWrite for ChaosWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let link = &self.0;
        // Gives other threads their chance in the middle of things.
        if link.dice.below(4) == 0 {
            thread::yield_now();
        }
        let take = match link.dice.below(8) {
            0 | 1 => return link.later(cx),
            2 | 3 => 1 + link.dice.below(bytes.len() as u64) as usize,
            _ => bytes.len(),
        };
        let mut side = link.side.lock().unwrap();
        if link.fails_after.is_some_and(|most| side.written >= most) {
            return Poll::Ready(Err(io::Error::other("the link has had enough")));
        }
        side.written += take;
        drop(side);
        link.out.0.lock().unwrap().unflushed.extend(&bytes[..take]);
        Poll::Ready(Ok(take))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let link = &self.0;
        if link.dice.below(4) == 0 {
            return link.later(cx);
        }
        {
            let pipe = &mut *link.out.0.lock().unwrap();
            pipe.seen.append(&mut pipe.unflushed);
        }
        link.tell_peer();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.as_mut().poll_flush(cx)?.is_pending() {
            return Poll::Pending;
        }
        self.0.end();
        Poll::Ready(Ok(()))
    }
}

impl Drop for ChaosWriter {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn connect(chaos: &Arc<Chaos>, side: Side) -> (Mux, Incoming, Driver<ChaosReader>) {
    let (reader, writer) = (ChaosReader(chaos.clone()), ChaosWriter(chaos.clone()));
    Mux::new(reader, writer, side, Config::default()).unwrap()
}

/// Drives in one task after another, then in the last one to the end.
fn roam(
    mut driver: Driver<ChaosReader>,
    moves: usize,
    done: oneshot::Sender<Result<(), ConnectionError>>,
) {
    spawn(async move {
        let mut polls = 0;
        let ended = poll_fn(|cx| {
            polls += 1;
            match Pin::new(&mut driver).poll(cx) {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending if moves > 0 && polls >= 7 => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        });
        match ended.await {
            Some(result) => drop(done.send(result)),
            None => roam(driver, moves - 1, done),
        }
    });
}

async fn answer(mut channel: Channel) {
    while let Ok(Some(message)) = channel.recv().await {
        if channel.send(message).await.is_err() {
            return;
        }
    }
}

async fn ask(mut channel: Channel) -> Result<(), ReceiveError> {
    for number in 0..ROUNDS {
        // Now and then several at once.
        let count = if number % 10 == 9 { 5 } else { 1 };
        for nth in 0..count {
            if channel.send(message(number + nth)).await.is_err() {
                break;
            }
        }
        for nth in 0..count {
            assert_eq!(channel.recv().await?, Some(message(number + nth)), "out of order");
        }
    }
    Ok(())
}

/// True when all went well to the end.
async fn stress(chaos: (Arc<Chaos>, Arc<Chaos>), moves: usize) -> bool {
    let (mux, _incoming, driver) = connect(&chaos.0, Side::Connector);
    let (_far, mut incoming, far_driver) = connect(&chaos.1, Side::FarEnd);
    let (done, is_done) = oneshot::channel();
    let (far_done, far_is_done) = oneshot::channel();
    roam(driver, moves, done);
    roam(far_driver, moves, far_done);
    spawn(async move {
        while let Some(request) = incoming.next().await {
            if let Request::Opened { channel, .. } = request {
                spawn(answer(channel));
            }
        }
    });
    let asking: Vec<_> = (0..3).map(|_| spawn(ask(mux.open().unwrap()))).collect();
    let mut well = true;
    for asking in asking {
        well &= asking.await.unwrap().is_ok();
    }
    mux.close(None);
    let _ = is_done.await.unwrap();
    let _ = far_is_done.await.unwrap();
    well
}

fn nudger() -> mpsc::Sender<Weak<Chaos>> {
    let (nudge, nudges) = mpsc::channel::<Weak<Chaos>>();
    #[expect(clippy::disallowed_methods, reason = "ends with the last link")]
    thread::spawn(move || {
        for link in nudges {
            if let Some(link) = link.upgrade() {
                link.wake(false);
            }
        }
    });
    nudge
}

fn threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap()
}

#[test]
fn everything_arrives_in_order_over_a_link_that_is_slow_now_and_then() {
    let nudge = nudger();
    for seed in 1..=SEEDS {
        for single in [false, true] {
            for moves in [0, 30] {
                let chaos = Chaos::pair(seed, single, None, &nudge);
                let what = format!("seed {seed}, single {single}, {moves} moves");
                let all = threads().block_on(watched(stress(chaos, moves)));
                assert!(all, "{what}: lost");
            }
        }
    }
}

#[test]
fn everybody_hears_of_a_link_that_fails_whoever_wrote() {
    let nudge = nudger();
    for seed in 1..=SEEDS {
        for single in [false, true] {
            let chaos = Chaos::pair(seed, single, Some(3_000 + 17 * seed as usize), &nudge);
            let all = threads().block_on(watched(stress(chaos, 0)));
            assert!(!all, "seed {seed}: it did not fail");
        }
    }
}
