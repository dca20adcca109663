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

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::time::{Duration, Instant};

use bytes::Bytes;
use execnet_proto::{ChannelId, HEADER_LEN, Limits, MAGIC, Side};

use crate::Config;
use crate::core::{Batch, Connection, Diagnostics, Event};

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
                if !self.core.poll_transmit(now, &mut self.batch) {
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

/// One direction of the stream.
#[derive(Debug)]
struct Link {
    latency: Duration,
    time_per_byte: Duration,
    buffer: usize,
    cuts: Cuts,
    /// What was written, and when it arrives.
    chunks: VecDeque<(Instant, Bytes)>,
    len: usize,
    /// When the last byte written has left.
    free_at: Instant,
    /// The writer is gone: the end of the stream follows what is on its way.
    closed: bool,
    /// The reader is gone: what is written disappears.
    lost: bool,
    on_their_way: Ledger,
}

impl Link {
    fn new(now: Instant) -> Self {
        Self {
            latency: Duration::ZERO,
            time_per_byte: Duration::ZERO,
            buffer: BUFFER,
            cuts: Cuts::Cycle(Vec::new(), 0),
            chunks: VecDeque::new(),
            len: 0,
            free_at: now,
            closed: false,
            lost: false,
            on_their_way: Ledger::default(),
        }
    }

    fn room(&self) -> usize {
        self.buffer.saturating_sub(self.len)
    }

    fn push(&mut self, now: Instant, bytes: Bytes) {
        if self.lost {
            return;
        }
        self.free_at = self.free_at.max(now) + self.time_per_byte * bytes.len() as u32;
        self.len += bytes.len();
        self.chunks.push_back((self.free_at + self.latency, bytes));
    }

    fn next_arrival(&self) -> Option<Instant> {
        self.chunks.front().map(|&(arrival, _)| arrival)
    }

    /// Bytes that have arrived.
    fn due(&self, now: Instant) -> usize {
        let arrived = self.chunks.iter().take_while(|&&(arrival, _)| arrival <= now);
        arrived.map(|(_, bytes)| bytes.len()).sum()
    }

    fn pop(&mut self, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len);
        while out.len() < len
            && let Some((_, front)) = self.chunks.front_mut()
        {
            let part = front.split_to(front.len().min(len - out.len()));
            out.extend_from_slice(&part);
            if front.is_empty() {
                self.chunks.pop_front();
            }
        }
        self.len -= out.len();
        out
    }

    fn truncate(&mut self, keep: usize) {
        let mut left = keep;
        for (_, bytes) in &mut self.chunks {
            bytes.truncate(left);
            left -= bytes.len();
        }
        self.chunks.retain(|(_, bytes)| !bytes.is_empty());
        self.len = keep - left;
    }

    fn clear(&mut self) {
        self.truncate(0);
    }
}

/// How long the next write or read is.
#[derive(Debug, Clone)]
enum Cuts {
    Cycle(Vec<usize>, usize),
    Random(u64),
}

impl Cuts {
    /// At least 1, at most `most`, which is 0 only when there is nothing.
    fn next(&mut self, most: usize) -> usize {
        let len = match self {
            Self::Cycle(lengths, at) => {
                let len = lengths.get(*at).copied().unwrap_or(usize::MAX);
                *at = if *at + 1 < lengths.len() { *at + 1 } else { 0 };
                len
            }
            Self::Random(state) => {
                let random = random(state);
                // Every length of a header is as likely as a whole read.
                let scale = [8, 64, 4 << 10, 256 << 10];
                let scale = scale.get(random as usize % scale.len()).copied().unwrap_or(1);
                (random >> 32) as usize % scale
            }
        };
        len.max(1).min(most)
    }
}

/// SplitMix64: the next of a sequence of well-mixed numbers.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The credit that frames on their way have spent and carry, by channel; 0 is the connection.
#[derive(Debug, Default)]
struct Ledger {
    sent: Frames,
    arrived: Frames,
    /// DATA, at its cost.
    data: BTreeMap<u32, u64>,
    credit: BTreeMap<u32, u64>,
}

impl Ledger {
    fn add(&mut self, bytes: &[u8]) {
        for (channel, data, credit) in self.sent.read(bytes) {
            *self.data.entry(channel).or_default() += data;
            *self.data.entry(0).or_default() += data;
            *self.credit.entry(channel).or_default() += credit;
        }
    }

    fn remove(&mut self, bytes: &[u8]) {
        for (channel, data, credit) in self.arrived.read(bytes) {
            *self.data.entry(channel).or_default() -= data;
            *self.data.entry(0).or_default() -= data;
            *self.credit.entry(channel).or_default() -= credit;
        }
        self.data.retain(|_, amount| *amount > 0);
        self.credit.retain(|_, amount| *amount > 0);
    }

    fn data(&self, channel: u32) -> u64 {
        self.data.get(&channel).copied().unwrap_or_default()
    }

    fn credit(&self, channel: u32) -> u64 {
        self.credit.get(&channel).copied().unwrap_or_default()
    }
}

/// Reads what frames spend and give: channel, cost of DATA, amount of CREDIT. A second reader of
/// the format, which trusts it: whether it is kept is for the cores to see.
#[derive(Debug, Default)]
struct Frames {
    /// The beginning of a frame; of the stream, its preamble.
    rest: Vec<u8>,
    started: bool,
}

impl Frames {
    fn read(&mut self, bytes: &[u8]) -> Vec<(u32, u64, u64)> {
        self.rest.extend_from_slice(bytes);
        let mut left = self.rest.as_slice();
        if !self.started {
            let Some(frames) = left.strip_prefix(&MAGIC) else { return Vec::new() };
            (left, self.started) = (frames, true);
        }
        let mut out = Vec::new();
        while let Some((header, behind)) = left.split_first_chunk::<HEADER_LEN>() {
            let [kind, l0, l1, l2, channel @ ..] = *header;
            let len = u32::from_be_bytes([0, l0, l1, l2]) as usize;
            let Some((payload, behind)) = behind.split_at_checked(len) else { break };
            let channel = u32::from_be_bytes(channel);
            match (kind, payload) {
                (0x10..=0x1f, _) => out.push((channel, (HEADER_LEN + len) as u64, 0)),
                (0x04, &[a0, a1, a2, a3]) => {
                    out.push((channel, 0, u32::from_be_bytes([a0, a1, a2, a3]).into()));
                }
                _ => {}
            }
            left = behind;
        }
        let read = self.rest.len() - left.len();
        self.rest.drain(..read);
        out
    }
}

/// What `to` believes that `from` may still send is what `from` may send, and what is on its way:
/// DATA in one direction, CREDIT in the other.
fn conserved(
    (from, sender): (&End, &Diagnostics),
    (to, receiver): (&End, &Diagnostics),
) -> Result<(), String> {
    let data = Waiting::new(from, &to.inbound);
    let credit = Waiting::new(to, &from.inbound);
    // Before the receiver's HELLO is here, the sender counts from the least.
    let unaware = from.core.peer().is_none();
    let compare = |id: u32, send: u32, receive: u32, first: u32, least: u32| {
        let unknown = if unaware { first - least } else { 0 };
        let sum = u64::from(send) + u64::from(unknown) + data.data(id) + credit.credit(id);
        if sum == u64::from(receive) {
            return Ok(());
        }
        Err(format!(
            "channel {id}: {:?} may send {send} + {unknown} before HELLO, {} are on their way and \
             {} come back; {:?} counts {receive}",
            from.core.side(),
            data.data(id),
            credit.credit(id),
            to.core.side(),
        ))
    };
    let least = Limits::LEAST;
    compare(
        0,
        sender.connection.send,
        receiver.connection.receive,
        to.config.connection_window,
        least.connection_window,
    )?;
    for (&id, windows) in &sender.channels {
        let first = to.config.channel_window;
        if let Some(receive) = receive_window(receiver, id, first, to.core.side()) {
            compare(id.get(), windows.send, receive, first, least.channel_window)?;
        }
    }
    Ok(())
}

/// The receiver's count, where there is one: it may not have heard of the channel yet, which then
/// has its first window, or have forgotten it.
fn receive_window(receiver: &Diagnostics, id: ChannelId, first: u32, side: Side) -> Option<u32> {
    match receiver.channels.get(&id) {
        Some(windows) => Some(windows.receive),
        None if id.opener() != side && receiver.next_remote.is_some_and(|next| id >= next) => {
            Some(first)
        }
        None => None,
    }
}

/// Frames on their way from one end: in its send buffer, and on the link.
struct Waiting<'a> {
    buffered: Ledger,
    link: &'a Ledger,
}

impl<'a> Waiting<'a> {
    fn new(from: &End, link: &'a Link) -> Self {
        let bytes = from.core.send_buffer();
        // The preamble stands in front of the first frames only.
        let sent = Frames { started: !bytes.starts_with(&MAGIC), rest: bytes };
        let mut buffered = Ledger { sent, ..Ledger::default() };
        buffered.add(&[]);
        Self { buffered, link: &link.on_their_way }
    }

    fn data(&self, channel: u32) -> u64 {
        self.buffered.data(channel) + self.link.data(channel)
    }

    fn credit(&self, channel: u32) -> u64 {
        self.buffered.credit(channel) + self.link.credit(channel)
    }
}
