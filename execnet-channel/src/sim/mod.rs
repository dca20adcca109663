//! Two cores, the link between them, and a clock that is moved by hand (feature `sim`).
//!
//! For tests, fuzz targets and benchmarks: no runtime, no sockets, no waiting. The same calls give
//! the same result every time.
//!
//! ```
//! use std::time::Duration;
//!
//! use execnet_channel::core::Received;
//! use execnet_channel::sim::Sim;
//! use execnet_channel::{Config, Message};
//!
//! let mut sim = Sim::new(Config::default(), Config::default())
//!     .latency(Duration::from_millis(20))
//!     .cut(&[1, 7, 4096])
//!     .checked();
//! let start = sim.now();
//!
//! let id = sim.a().open(false)?;
//! sim.a().try_send(id, Message::bytes("hello")).unwrap();
//! sim.run_until_quiet();
//!
//! assert!(matches!(sim.b().recv(id)?, Received::Message(m) if m.payload == "hello"));
//! assert_eq!(sim.now() - start, Duration::from_millis(20));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![expect(clippy::panic, reason = "a tool for tests: it stops when the code under test is wrong")]

mod ledger;
mod link;

use std::io::IoSlice;
use std::time::{Duration, Instant};

use execnet_proto::Side;

use crate::Config;
use crate::core::{Batch, Connection, Event};
use ledger::conserved;
use link::{Cuts, Link};

/// Bytes that a link holds before its writer waits, unless [`Sim::buffer`] says otherwise: 1 MiB.
pub const BUFFER: usize = 1 << 20;

/// Steps after which [`Sim::run_until_quiet`] takes the two sides for talking in circles.
const ENDLESS: usize = 10_000_000;

/// Two connected cores. See the [module's page](self) for an example.
///
/// Nothing moves by itself: the verbs of [`a`](Self::a) and [`b`](Self::b) fill send buffers,
/// [`step`](Self::step) and the like move the bytes.
#[derive(Debug)]
pub struct Sim {
    a: End,
    b: End,
    now: Instant,
    checked: bool,
}

/// One side, and the link that leads to it.
#[derive(Debug)]
struct End {
    core: Connection,
    config: Config,
    /// Taken from the core and not written yet.
    batch: Batch,
    inbound: Link,
    /// The end of the stream has been told to the core.
    ended: bool,
    reads: usize,
}

impl Sim {
    /// A connector, `a`, and a far end, `b`, that have sent nothing yet. The link is instant, takes
    /// bytes in any amount, and cuts nothing.
    ///
    /// # Panics
    /// When a config is out of its range.
    #[must_use]
    pub fn new(a: Config, b: Config) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "some instant to count from; never read again"
        )]
        let now = Instant::now();
        let a = End::new(Side::Connector, a, now);
        let b = End::new(Side::FarEnd, b, now);
        Self { a, b, now, checked: false }
    }

    /// Lets bytes arrive so much later.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        (self.a.inbound.latency, self.b.inbound.latency) = (latency, latency);
        self
    }

    /// Lets so many bytes leave in a second, in each direction.
    #[must_use]
    pub fn bandwidth(mut self, bytes_per_second: u32) -> Self {
        let time = Duration::from_secs(1) / bytes_per_second.max(1);
        (self.a.inbound.time_per_byte, self.b.inbound.time_per_byte) = (time, time);
        self
    }

    /// Lets each direction hold so many bytes on their way before its writer waits.
    #[must_use]
    pub fn buffer(mut self, bytes: usize) -> Self {
        (self.a.inbound.buffer, self.b.inbound.buffer) = (bytes.max(1), bytes.max(1));
        self
    }

    /// Cuts writes and reads to these lengths, over and over; 0 counts as 1.
    #[must_use]
    pub fn cut(mut self, lengths: &[usize]) -> Self {
        let cuts = Cuts::Cycle(lengths.to_vec(), 0);
        (self.a.inbound.cuts, self.b.inbound.cuts) = (cuts.clone(), cuts);
        self
    }

    /// Cuts writes and reads anywhere, as the seed has it: mostly short, some long.
    #[must_use]
    pub fn cut_randomly(mut self, seed: u64) -> Self {
        self.a.inbound.cuts = Cuts::Random(seed);
        self.b.inbound.cuts = Cuts::Random(!seed);
        self
    }

    /// Checks every invariant whenever something has moved, and when all is quiet; stops the program at the first that
    /// is broken.
    #[must_use]
    pub fn checked(mut self) -> Self {
        self.checked = true;
        self
    }

    /// The connector.
    pub fn a(&mut self) -> &mut Connection {
        &mut self.a.core
    }

    /// The far end.
    pub fn b(&mut self) -> &mut Connection {
        &mut self.b.core
    }

    /// One of the two.
    pub fn side(&mut self, side: Side) -> &mut Connection {
        &mut self.pair(side).0.core
    }

    /// What the clock shows.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// What a side has told since this was last asked.
    pub fn events(&mut self, side: Side) -> Vec<Event> {
        let core = self.side(side);
        std::iter::from_fn(|| core.poll_event()).collect()
    }

    /// Bytes that are on their way to a side.
    #[must_use]
    pub fn in_flight(&self, to: Side) -> usize {
        match to {
            Side::Connector => self.a.inbound.len,
            Side::FarEnd => self.b.inbound.len,
        }
    }

    /// Writes what a side has to send, as far as the link takes it. False when nothing was written.
    pub fn transmit(&mut self, from: Side) -> bool {
        let now = self.now;
        let (end, other) = self.pair(from);
        let moved = end.transmit(now, &mut other.inbound);
        self.assert_in_order();
        moved
    }

    /// Lets at most so many of the bytes that have arrived be read. Gives how many were; the end of
    /// the stream counts as 1.
    pub fn deliver(&mut self, to: Side, most: usize) -> usize {
        let now = self.now;
        let read = self.pair(to).0.deliver(now, most);
        self.assert_in_order();
        read
    }

    /// Does for both sides, once, what can be done without moving the clock: timeouts, writing,
    /// reading. False when there was nothing to do.
    pub fn step(&mut self) -> bool {
        let Self { a, b, now, .. } = self;
        let mut progress = a.expire(*now) | b.expire(*now);
        progress |= a.transmit(*now, &mut b.inbound) | b.transmit(*now, &mut a.inbound);
        progress |= a.deliver(*now, usize::MAX) + b.deliver(*now, usize::MAX) > 0;
        if progress {
            self.assert_in_order();
        }
        progress
    }

    /// Goes on, and moves the clock, until nothing is on its way any more.
    ///
    /// # Panics
    /// When that never happens: the two sides talk in circles.
    pub fn run_until_quiet(&mut self) {
        for _ in 0..ENDLESS {
            if self.step() {
                continue;
            }
            let arrivals = [self.a.inbound.next_arrival(), self.b.inbound.next_arrival()];
            match arrivals.into_iter().flatten().min() {
                Some(next) => self.now = self.now.max(next),
                None => return self.assert_in_order(),
            }
        }
        panic!("the two sides go on for ever");
    }

    /// Moves the clock by `time`; what arrives or is due on the way does so at its moment.
    pub fn advance(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            while self.step() {}
            let arrivals = [&self.a, &self.b].map(|end| end.inbound.next_arrival());
            let deadlines = [&self.a, &self.b].map(|end| end.core.next_deadline());
            let next = arrivals.into_iter().chain(deadlines).flatten().min();
            match next {
                Some(next) if next <= until => self.now = self.now.max(next),
                _ => break,
            }
        }
        self.now = until;
        self.assert_in_order();
    }

    /// The process on one side dies: it writes no more, and of what is on its way from it the first
    /// `keep` bytes still arrive, then the end of the stream. What is sent to it is lost.
    pub fn kill(&mut self, side: Side, keep: usize) {
        let (end, other) = self.pair(side);
        end.inbound.lost = true;
        end.inbound.clear();
        other.inbound.truncate(keep);
        other.inbound.closed = true;
    }

    /// Adds everything up: each side for itself, and the credit of one against what the other and
    /// the link hold of it. Nothing is compared once a side has ended
    /// or died.
    ///
    /// # Errors
    /// Which number is wrong.
    pub fn check(&self) -> Result<(), String> {
        let ended = |end: &End| end.core.error().is_some() || end.inbound.closed;
        if ended(&self.a) || ended(&self.b) {
            return Ok(());
        }
        for end in [&self.a, &self.b] {
            end.core.check().map_err(|wrong| format!("{:?}: {wrong}", end.core.side()))?;
        }
        let (a, b) = (self.a.core.diagnostics(), self.b.core.diagnostics());
        conserved((&self.a, &a), (&self.b, &b))?;
        conserved((&self.b, &b), (&self.a, &a))
    }

    fn assert_in_order(&self) {
        if self.checked
            && let Err(wrong) = self.check()
        {
            panic!("{wrong}");
        }
    }

    fn pair(&mut self, side: Side) -> (&mut End, &mut End) {
        match side {
            Side::Connector => (&mut self.a, &mut self.b),
            Side::FarEnd => (&mut self.b, &mut self.a),
        }
    }
}

impl End {
    fn new(side: Side, config: Config, now: Instant) -> Self {
        let core = match Connection::new(side, config.clone(), now) {
            Ok(core) => core,
            Err(error) => panic!("{error}"),
        };
        let inbound = Link::new(now);
        Self { core, config, batch: Batch::new(), inbound, ended: false, reads: 0 }
    }

    fn expire(&mut self, now: Instant) -> bool {
        let due = self.core.next_deadline().is_some_and(|deadline| deadline <= now);
        if due {
            self.core.handle_timeout(now);
        }
        due
    }

    fn transmit(&mut self, now: Instant, link: &mut Link) -> bool {
        let mut moved = false;
        while !link.closed {
            if self.batch.is_empty() {
                if link.room() == 0 {
                    break;
                }
                let promised = self.core.has_output();
                let given = self.core.poll_transmit(now, &mut self.batch);
                // A driver that is told of nothing does not ask. A farewell may come by itself.
                let in_time = promised || !given || self.core.error().is_some();
                assert!(in_time, "output that nobody is told of");
                if !given {
                    // A side that has ended closes the stream behind its last bytes.
                    link.closed = self.core.error().is_some();
                    moved |= link.closed;
                    break;
                }
                link.on_their_way.add(&front(&self.batch, self.batch.len()));
            }
            let len = link.cuts.next(self.batch.len()).min(link.room());
            if len == 0 {
                break;
            }
            link.push(now, front(&self.batch, len).into());
            self.batch.advance(len);
            moved = true;
        }
        moved
    }

    fn deliver(&mut self, now: Instant, most: usize) -> usize {
        let mut read = 0;
        let due = self.inbound.due(now).min(most);
        while read < due {
            let len = self.inbound.cuts.next(due - read);
            let bytes = self.inbound.pop(len);
            self.inbound.on_their_way.remove(&bytes);
            // Both ways in are used, in turn.
            self.reads += 1;
            if self.reads.is_multiple_of(2) {
                self.core.handle_input(now, &bytes);
            } else {
                let mut buf = self.core.take_read_buf();
                buf.extend_from_slice(&bytes);
                self.core.handle_read(now, buf);
            }
            read += len;
        }
        if read < most && self.inbound.closed && self.inbound.len == 0 && !self.ended {
            self.ended = true;
            self.core.handle_end();
            read += 1;
        }
        read
    }
}

/// The first `len` bytes that a batch would have written.
fn front(batch: &Batch, len: usize) -> Vec<u8> {
    // Most are in one of the first slices.
    let few = gather(batch, &mut [IoSlice::new(&[]); 8], len);
    let bytes = few
        .unwrap_or_else(|| gather(batch, &mut [IoSlice::new(&[]); 1024], len).unwrap_or_default());
    assert_eq!(bytes.len(), len, "a batch of more slices than a simulation takes");
    bytes
}

/// `None` when so many slices hold less.
fn gather<'a>(batch: &'a Batch, slices: &mut [IoSlice<'a>], len: usize) -> Option<Vec<u8>> {
    let count = batch.slices(slices);
    let mut bytes = Vec::with_capacity(len);
    for slice in slices.iter().take(count) {
        let part = slice.get(..len - bytes.len()).unwrap_or(slice);
        bytes.extend_from_slice(part);
    }
    (bytes.len() == len).then_some(bytes)
}
