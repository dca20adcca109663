//! Moves bytes between a stream and the core. Decides nothing.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::ConnectionError;
use crate::core::Batch;
use crate::outlet::Outlet;
use crate::shared::{Shared, unlock};

/// How long the last bytes may take to leave, and the peer to end its side, once the connection has ended; and how long a peer may say
/// nothing to which nothing can be written any more.
const LINGER: Duration = Duration::from_secs(1);

/// The future that moves a connection's bytes. **Nothing comes in unless it is polled**, and hardly anything goes out: spawn it, or
/// join it with what uses the connection.
///
/// It ends when the connection has: with `Ok(())` when one of the sides closed on purpose. Dropping it breaks
/// the connection off; all channels then end with [`ConnectionError::ClosedHere`].
#[must_use = "a connection does nothing unless its driver is spawned or polled"]
#[derive(Debug)]
pub struct Driver<R> {
    shared: Arc<Shared>,
    reader: R,
    /// While there is something to do with it; otherwise it lies in `shared`, for senders.
    outlet: Option<Box<Outlet>>,
    /// There was nothing more to write in the core when it was last consulted.
    settled: bool,
    /// Other tasks had their turn before what is there is written.
    yielded: bool,
    /// When the time was last needed, and whether it will be at the next consultation: whatever changes that is first
    /// written by us.
    clock: Instant,
    timed: bool,
    /// `None` while reading is to stop.
    read_buf: Option<BytesMut>,
    /// The stream's end was seen.
    read_ended: bool,
    /// Why nothing can be written any more, and until when the peer may say what it has to say about that.
    broken: Option<(io::Error, Instant)>,
    timer: Pin<Box<Sleep>>,
    /// Whom the timer will wake.
    rings_for: Option<Waker>,
    phase: Phase,
    wakers: Vec<Waker>,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// The connection has ended: what is left is written, then the writer shut down.
    Flushing,
    /// The peer's side of the stream is read to its end, so that closing does not destroy what
    /// is still on its way there.
    Draining,
}

impl<R: AsyncRead + Unpin> Driver<R> {
    pub(crate) fn new(
        shared: Arc<Shared>,
        reader: R,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        let clock = Instant::now();
        Self {
            shared,
            reader,
            outlet: Some(Box::new(Outlet::new(writer, clock.into_std()))),
            settled: false,
            yielded: false,
            clock,
            timed: true,
            read_buf: None,
            read_ended: false,
            broken: None,
            timer: Box::pin(sleep_until(clock)),
            rings_for: None,
            phase: Phase::Running,
            wakers: Vec::new(),
        }
    }

    /// Reads once, if there is something to read.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Option<io::Result<usize>> {
        let buf = self.read_buf.as_mut()?;
        let before = buf.len();
        match poll_append(&mut self.reader, cx, buf) {
            Poll::Ready(result) => Some(result.map(|()| buf.len() - before)),
            Poll::Pending => None,
        }
    }

    /// All dealings with the core, under one lock and with at most one look at the clock, which together are most of what a
    /// short message costs: what was read goes in, what is to be written comes out, its events are told. True when there
    /// is more to do at once.
    fn consult(&mut self, cx: &mut Context<'_>, read: Option<io::Result<usize>>) -> bool {
        if self.timed {
            self.clock = Instant::now();
        }
        let clock = self.clock;
        let now = clock.into_std();
        let mut state = self.shared.lock();
        if let Some((_, until)) = &mut self.broken
            && matches!(read, Some(Ok(1..)))
        {
            *until = clock + LINGER;
        }
        if let Some((error, _)) = self.broken.take_if(|(_, until)| *until <= clock) {
            state.core.end(link_error(error));
        }
        let has_read = read.is_some();
        if let Some(result) = read {
            state.core.handle_read(now, self.read_buf.take().unwrap_or_default());
            self.read_ended = !matches!(result, Ok(1..));
            match result {
                Ok(0) => state.core.handle_end(),
                Ok(_) => {}
                Err(error) => state.core.end(link_error(error)),
            }
        }
        if self.timed {
            state.core.handle_timeout(now);
        }
        // Before looking for something to write: a channel that nobody takes is answered here.
        state.collect(&mut self.wakers);
        if has_read {
            state.lending.has_read(self.wakers.len());
        }
        let mut outlet = self.outlet.take();
        let mut clear = outlet.as_ref().is_none_or(|outlet| outlet.is_clear());
        if outlet.is_none()
            && let Some((lent, left)) = state.lending.take()
        {
            clear = !left;
            outlet = Some(lent);
        }
        let written = clear || outlet.as_ref().is_none_or(|outlet| outlet.batch.is_empty());
        let crowd = state.core.error().is_none() && state.core.channels_kept() > 1;
        if written && crowd && !self.yielded && state.core.has_output() {
            // tokio's workers run a woken task before those that were ready already. What these have to say can go
            // along in the same write: five times as many short-lived channels on two workers.
            self.yielded = true;
            self.settled = true;
            cx.waker().wake_by_ref();
        } else {
            self.yielded = false;
            self.settled = written
                && outlet.as_mut().is_none_or(|outlet| {
                    let filled = state.core.poll_transmit(now, &mut outlet.batch);
                    clear &= !filled;
                    !filled || !state.core.has_output()
                });
            state.collect(&mut self.wakers);
        }
        let mut again = false;
        if self.read_buf.is_none() && !self.read_ended && state.wants_input() {
            self.read_buf = Some(state.core.take_read_buf());
            again = true;
        }
        // Not before the outlet is back: whoever returns it wakes us.
        let ended = state.core.error().is_some() && outlet.is_some();
        if ended {
            self.broken = None;
            state.driver_runs();
        } else {
            again |= state.driver_sleeps(cx, written);
        }
        let free = !ended && self.broken.is_none();
        match outlet {
            Some(outlet) if free && clear => state.lending.lend(outlet),
            outlet => self.outlet = outlet,
        }
        self.timed = state.core.needs_time() || self.broken.is_some();
        let deadline = if self.timed { state.core.next_deadline() } else { None };
        unlock(state);
        wake_all(&mut self.wakers);
        if ended && self.phase == Phase::Running {
            self.phase = Phase::Flushing;
            self.timer.as_mut().reset(Instant::now() + LINGER);
            return true;
        }
        let until = self.broken.as_ref().map(|&(_, until)| until);
        if let Some(deadline) = deadline.map(Instant::from_std).into_iter().chain(until).min()
            && self.poll_deadline(cx, clock, deadline)
        {
            self.settled = false;
            again = true;
        }
        again
    }

    /// Sees to it that we are woken at `deadline`; true when that has passed.
    ///
    /// Every message puts the deadline off. A timer that rings before it only makes us look again; to reset it each time
    /// costs more than that message's locks.
    fn poll_deadline(&mut self, cx: &mut Context<'_>, now: Instant, deadline: Instant) -> bool {
        let rings = self.timer.deadline();
        if rings <= now || deadline < rings {
            self.timer.as_mut().reset(deadline);
        } else if self.rings_for.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return false;
        }
        // Whatever the task's budget: a timer that was not polled wakes nobody.
        let passed = pin!(unconstrained(self.timer.as_mut())).poll(cx).is_ready();
        match &mut self.rings_for {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.rings_for = Some(cx.waker().clone()),
        }
        passed
    }

    /// Writes as much as the writer takes; true when that was all, or has failed.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(outlet) = &mut self.outlet else { return false };
        if let Some(error) = outlet.failed.take() {
            self.fail_writing(error);
            return true;
        }
        if self.broken.is_some() {
            outlet.batch = Batch::new();
        }
        if outlet.batch.is_empty() {
            return false;
        }
        match outlet.poll_write(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => self.fail_writing(error),
            Poll::Pending => {
                self.shared.lock().driver_is_stuck();
                return false;
            }
        }
        true
    }

    /// Flushes what was written; true when that has failed.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(outlet) = &mut self.outlet else { return false };
        let Poll::Ready(Err(error)) = outlet.poll_flush(cx) else { return false };
        self.fail_writing(error);
        true
    }

    /// Ends the connection; but what a peer sent before it went away may say why, so that is read first.
    fn fail_writing(&mut self, error: io::Error) {
        if let Some(outlet) = &mut self.outlet {
            outlet.batch = Batch::new();
        }
        let gone = matches!(
            error.kind(),
            io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::NotConnected
        );
        if gone && !self.read_ended {
            self.broken = Some((error, Instant::now() + LINGER));
            self.timed = true;
        } else {
            self.shared.lock().core.end(link_error(error));
        }
        // All who wait are to be told, or the time to be kept.
        self.settled = false;
    }

    /// The connection has ended; gives the result when nothing is left to do.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        let late = self.timer.as_mut().poll(cx).is_ready();
        if self.phase == Phase::Flushing {
            let done = self.outlet.as_mut().is_none_or(|outlet| {
                outlet.batch.is_empty() && outlet.poll_shutdown(cx).is_ready()
            });
            if done || late {
                self.phase = Phase::Draining;
            }
        }
        if self.phase == Phase::Draining && !late {
            while !self.read_ended {
                // Not kept: nobody is there any more to read it.
                let mut buf = BytesMut::with_capacity(8 << 10);
                match poll_append(&mut self.reader, cx, &mut buf) {
                    Poll::Ready(Ok(())) if !buf.is_empty() => {}
                    Poll::Ready(_) => self.read_ended = true,
                    Poll::Pending => return Poll::Pending,
                }
            }
        } else if !late {
            return Poll::Pending;
        }
        Poll::Ready(match self.shared.lock().core.error() {
            Some(error) if !error.is_clean() => Err(error.clone()),
            _ => Ok(()),
        })
    }
}

impl<R: AsyncRead + Unpin> Future for Driver<R> {
    type Output = Result<(), ConnectionError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        // Whoever woke us may have gone to the core.
        this.settled = false;
        loop {
            let running = this.phase == Phase::Running;
            let read = if running { this.poll_read(cx) } else { None };
            let again = (read.is_some() || !this.settled) && this.consult(cx, read);
            let wrote = this.poll_write(cx);
            if again || wrote && !this.settled {
                continue;
            }
            if this.phase != Phase::Running {
                return this.poll_end(cx);
            }
            if this.poll_flush(cx) {
                continue;
            }
            return Poll::Pending;
        }
    }
}

impl<R> Drop for Driver<R> {
    fn drop(&mut self) {
        let mut wakers = std::mem::take(&mut self.wakers);
        // Dropped without the lock, as it may do anything.
        let _outlet = {
            let mut state = self.shared.lock();
            state.core.close_connection(None);
            state.collect(&mut wakers);
            state.lending.driver_ends()
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Wakes them in order and keeps the room. A single one is what most are, and needs no loop.
fn wake_all(wakers: &mut Vec<Waker>) {
    if wakers.len() > 1 {
        wakers.drain(..).for_each(Waker::wake);
    } else if let Some(waker) = wakers.pop() {
        waker.wake();
    }
}

fn link_error(error: io::Error) -> ConnectionError {
    ConnectionError::Link(Arc::new(error))
}

/// One read, appended to `buf`, which has room.
fn poll_append<R: AsyncRead + Unpin>(
    reader: &mut R,
    cx: &mut Context<'_>,
    buf: &mut BytesMut,
) -> Poll<io::Result<()>> {
    // The future keeps nothing between polls: a new one each time is the same read.
    let read = pin!(reader.read_buf(buf));
    read.poll(cx).map_ok(drop)
}
