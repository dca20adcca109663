//! The multiplexer without I/O: bytes, commands and the time go in; bytes, events and the next
//! deadline come out. Nothing in here reads, writes, sleeps or spawns.
//!
//! The owner of a [`Connection`] calls, in any order, as things happen:
//! - [`handle_input`](Connection::handle_input) (or [`take_read_buf`](Connection::take_read_buf) and
//!   [`handle_read`](Connection::handle_read)) with bytes that came, [`handle_end`](Connection::handle_end) at the stream's end,
//!   [`handle_timeout`](Connection::handle_timeout) when [`next_deadline`](Connection::next_deadline) has passed;
//! - verbs: [`open`](Connection::open), [`try_send`](Connection::try_send), [`recv`](Connection::recv), [`finish`](Connection::finish),
//!   [`close`](Connection::close), …
//!
//! and after any of these, until both are dry:
//! - [`poll_event`](Connection::poll_event);
//! - [`poll_transmit`](Connection::poll_transmit), whose bytes it writes.

mod channels;
mod credit;
#[cfg(feature = "sim")]
mod diagnostics;
mod event;
mod inbox;
mod keepalive;
mod message;
mod receive;
mod send;
mod slot;
mod trace;
mod transmit;

#[cfg(feature = "sim")]
pub use diagnostics::{Diagnostics, Windows};
pub use event::Event;
pub use inbox::Inbox;
pub use send::TrySendError;
pub use transmit::Batch;

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use execnet_proto::{
    ChannelId, Decoder, Fault, Format, Formats, Frame, HEADER_LEN, Hello, Limits, Side, Terminate,
    VERSIONS,
};
use rustc_hash::FxHashMap;

use crate::{Config, ConfigError, ConnectionError};
use channels::wake;
use credit::{RecvWindow, SendWindow};
use keepalive::{Due, Keepalive};
use slot::Slot;

/// The most PINGs and questions that are held unanswered, in each direction.
const MAX_UNANSWERED: usize = 64;

/// Tokens of our own keepalive PINGs have this bit; those of callers do not.
const KEEPALIVE_TOKEN: u64 = 1 << 63;

/// A message: bytes, and how they are encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a format and its bytes")]
pub struct Message {
    /// The format.
    pub format: Format,
    /// The encoded value.
    pub payload: Bytes,
}

impl Message {
    /// A message that is one bytes value, and travels as it is.
    pub fn bytes(payload: impl Into<Bytes>) -> Self {
        Self { format: Format::Bytes, payload: payload.into() }
    }

    /// A message that is one CBOR item.
    pub fn cbor(payload: impl Into<Bytes>) -> Self {
        Self { format: Format::Cbor, payload: payload.into() }
    }

    /// A message that is one item of CPython's marshal, for a peer that reads it.
    pub fn marshal(payload: impl Into<Bytes>) -> Self {
        Self { format: Format::Marshal, payload: payload.into() }
    }
}

/// What [`Connection::recv`] found.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a message, none yet, or no more: there is no fourth")]
pub enum Received {
    /// The next message. Its credit has been given back.
    Message(Message),
    /// Nothing yet: [`Event::Readable`] will tell.
    Nothing,
    /// The clean end. No further message will come.
    End,
}

/// How many channels there are, and who waits for what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Channels open now.
    pub channels: usize,
    /// Channels with a message that waits for credit: their readers do not read.
    pub waiting_for_credit: Vec<ChannelId>,
    /// Channels with unread messages, and how many bytes of credit those hold.
    pub unread: Vec<(ChannelId, u32)>,
    /// Bytes that we may still send on the connection.
    pub send_credit: u32,
    /// Bytes that the peer may still send on the connection before unread messages are taken.
    pub unread_total: u32,
}

/// One side of a connection. See the [module's page](self) for how to drive it.
///
/// There is one for a stream, and it cannot be cloned: two would use the same numbers and credit twice.
///
/// ```compile_fail,E0599
/// # fn example(connection: execnet_channel::core::Connection) {
/// let second = connection.clone();
/// # }
/// ```
#[must_use = "a connection does nothing unless it is driven"]
#[derive(Debug)]
pub struct Connection {
    side: Side,
    config: Config,
    decoder: Decoder,
    peer: Option<Hello>,
    /// The peer's limits; the least until its HELLO has come.
    peer_limits: Limits,
    // Needed for every message, so found out once.
    /// The formats that the peer reads; the least until its HELLO has come.
    peer_reads: Formats,
    /// The formats that we read.
    reads: Formats,
    /// The longest payload of a fragment of ours.
    max_fragment: usize,
    /// What the longest fragment of the peer's costs.
    longest_cost: u32,
    error: Option<ConnectionError>,
    /// Farewell follows when nothing waits to be sent any more.
    draining: bool,

    channels: FxHashMap<ChannelId, Box<Slot>>,
    /// Of channels that are gone, for those to come: taken from one thread's memory and given back to another's, each would
    /// cost both a lock.
    #[expect(clippy::vec_box, reason = "the boxes are what is kept")]
    spare: Vec<Box<Slot>>,
    next_local: Option<ChannelId>,
    next_remote: Option<ChannelId>,
    open_local: u32,
    open_remote: u32,

    out: Batch,
    send_window: SendWindow,
    /// Channels with something to send, in turn.
    schedule: VecDeque<ChannelId>,
    /// Channels inside a message, the oldest first.
    started: VecDeque<ChannelId>,

    recv_window: RecvWindow,
    /// How much all channels' windows have grown together, and how far they may.
    grown: u32,
    /// Bytes in memory whose credit went back early.
    advanced: usize,
    /// Unfinished messages and those that were, until they are taken: oldest first.
    long: VecDeque<(ChannelId, u64)>,
    next_serial: u64,

    keepalive: Keepalive,
    pings: VecDeque<(u64, Instant)>,
    pongs_owed: usize,
    questions_asked: usize,
    questions_open: usize,

    events: VecDeque<Event>,
}

impl Connection {
    /// A connection whose preamble and HELLO are ready to be sent.
    ///
    /// # Errors
    /// A field of `config` is out of its range.
    pub fn new(side: Side, config: Config, now: Instant) -> Result<Self, ConfigError> {
        config.check()?;
        let decoder = Decoder::new(config.max_frame);
        let mut connection = Self {
            side,
            decoder: if config.skip_noise { decoder.skip_noise() } else { decoder },
            peer: None,
            peer_limits: Limits::LEAST,
            peer_reads: Formats::LEAST,
            reads: config.hello.readable(),
            max_fragment: longest_fragment(&Limits::LEAST, config.max_fragment),
            longest_cost: cost_of(longest_fragment(&config.limits(), u32::MAX)),
            error: None,
            draining: false,
            channels: FxHashMap::default(),
            spare: Vec::new(),
            next_local: Some(side.first_channel()),
            next_remote: Some(side.peer().first_channel()),
            open_local: 0,
            open_remote: 0,
            out: Batch::new(),
            send_window: SendWindow::new(Limits::LEAST.connection_window),
            schedule: VecDeque::new(),
            started: VecDeque::new(),
            recv_window: RecvWindow::new(config.connection_window),
            grown: 0,
            advanced: 0,
            long: VecDeque::new(),
            next_serial: 0,
            keepalive: Keepalive::new(now, config.keepalive, config.idle_timeout),
            pings: VecDeque::new(),
            pongs_owed: 0,
            questions_asked: 0,
            questions_open: 0,
            events: VecDeque::new(),
            config,
        };
        connection.out.push_preamble();
        let hello = Hello {
            versions: VERSIONS,
            limits: connection.config.limits(),
            keepalive_ms: connection.config.keepalive.map_or(0, |time| time.as_millis() as u64),
            ..connection.config.hello.clone()
        };
        connection.out.push_urgent(&Frame::Hello(Box::new(hello)));
        Ok(connection)
    }

    // What there is to know.

    /// Which side this is.
    #[must_use]
    pub const fn side(&self) -> Side {
        self.side
    }

    /// The peer's HELLO, once it has come.
    #[must_use]
    pub const fn peer(&self) -> Option<&Hello> {
        self.peer.as_ref()
    }

    /// Why the connection has ended, if it has.
    #[must_use]
    pub const fn error(&self) -> Option<&ConnectionError> {
        self.error.as_ref()
    }

    /// What the peer sent in front of its preamble, while that has not come.
    #[must_use]
    pub fn noise(&self) -> Vec<u8> {
        self.decoder.noise()
    }

    /// Counts, and who waits for what. Takes time in proportion to the open channels.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut status = Status {
            channels: (self.open_local + self.open_remote) as usize,
            send_credit: self.send_window.available(),
            unread_total: self.recv_window.held(),
            ..Status::default()
        };
        for (&id, slot) in &self.channels {
            if slot.pending.is_some() || slot.want_writable {
                status.waiting_for_credit.push(id);
            }
            if slot.recv_window.held() > 0 {
                status.unread.push((id, slot.recv_window.held()));
            }
        }
        status.waiting_for_credit.sort_unstable();
        status.unread.sort_unstable();
        status
    }

    /// How many channels' state is kept, those included that are over but still held by the application.
    #[must_use]
    pub fn channels_kept(&self) -> usize {
        self.channels.len()
    }

    // The stream and the clock.

    /// The stream has ended: no more bytes will come.
    pub fn handle_end(&mut self) {
        let error = if self.peer.is_none() {
            ConnectionError::BrokenOff { place: "before the first frame" }
        } else if !self.decoder.at_boundary() {
            ConnectionError::BrokenOff { place: "inside a frame" }
        } else if self.channels.values().any(|slot| slot.partial.is_some()) {
            ConnectionError::BrokenOff { place: "inside a message" }
        } else {
            ConnectionError::ClosedByPeer
        };
        self.end(error);
    }

    /// Ends the connection for a reason found outside, such as a failed read. The first reason stays.
    pub fn end(&mut self, error: ConnectionError) {
        if self.error.is_some() {
            return;
        }
        if error.is_peer_fault() {
            let kind = match &error {
                ConnectionError::Frame(error) => error.fault_kind(),
                _ => "ProtocolError",
            };
            let fault = Some(Fault::new(kind, error.to_string()));
            self.out.push_ordered(&Frame::Close { channel: None, fault });
        }
        self.error = Some(error);
        self.schedule.clear();
        self.started.clear();
        for (&id, slot) in &mut self.channels {
            slot.pending = None;
            slot.partial = None;
            wake(&mut self.events, id, slot);
        }
        self.events.push_back(Event::Ended);
    }

    /// Says farewell: every channel ends, and what was accepted for sending but waits for credit is lost.
    pub fn close_connection(&mut self, fault: Option<Fault>) {
        if self.error.is_none() {
            self.out.push_ordered(&Frame::Close { channel: None, fault });
            self.end(ConnectionError::ClosedHere);
        }
    }

    /// Says farewell as soon as all that was accepted for sending has been sent.
    pub fn drain_connection(&mut self) {
        self.draining = true;
        self.finish_draining();
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called, if nothing happens before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.error.is_some() { None } else { self.keepalive.deadline() }
    }

    /// Whether the time matters now: for keepalive, or because answers are awaited whose time is told. Otherwise any
    /// earlier time will do: a look at the clock is a hundredth of a short message's round trip over TCP.
    #[cfg(feature = "tokio")]
    pub(crate) fn needs_time(&self) -> bool {
        // A HELLO may bring a promise to be heard.
        self.peer.is_none() || self.keepalive.is_on() || !self.pings.is_empty()
    }

    /// Does what is due at `now`. Calling it early, or often, does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.error.is_some() {
            return;
        }
        match self.keepalive.check(now) {
            Due::Nothing => {}
            // A peer that owes us many answers gets no further questions; the timeout decides. What is left
            // belongs to callers, who are told of their answers only.
            Due::Ping if self.pings.len() >= MAX_UNANSWERED / 2 => {}
            Due::Ping => self.push_ping(now, KEEPALIVE_TOKEN),
            Due::Dead(silence) => self.end(ConnectionError::NoAnswer(silence)),
        }
    }

    /// The next thing to tell.
    #[must_use = "an event is told once"]
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether there is something to tell.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    // The connection's own frames.

    /// Asks the peer for a sign of life. [`Event::Pong`] brings the token back. False when too many are unanswered.
    pub fn ping(&mut self, now: Instant, token: u64) -> bool {
        let room = self.pings.len() < MAX_UNANSWERED && self.error.is_none();
        if room {
            self.push_ping(now, token & !KEEPALIVE_TOKEN);
        }
        room
    }

    /// Asks the far end to stop what runs on this channel.
    pub fn interrupt(&mut self, id: ChannelId) {
        let Some(slot) = self.channels.get_mut(&id) else { return };
        if self.error.is_none() && !slot.is_closed_here() {
            slot.fault_told |= slot.fault.is_none();
            self.out.push_ordered(&Frame::Interrupt(id));
        }
    }

    /// Asks the far end to end, after what has been sent.
    pub fn terminate(&mut self, terminate: Terminate) {
        if self.error.is_none() {
            self.out.push_ordered(&Frame::Terminate(terminate));
        }
    }

    /// Asks the peer how it is. [`Event::Status`] brings the answer. False when too many questions are open.
    pub fn ask_status(&mut self) -> bool {
        let room = self.questions_asked < MAX_UNANSWERED && self.error.is_none();
        if room {
            self.questions_asked += 1;
            self.out.push_urgent(&Frame::Status(Bytes::new()));
        }
        room
    }

    /// Answers the oldest [`Event::StatusAsked`] with a CBOR map.
    pub fn answer_status(&mut self, answer: Bytes) {
        if self.questions_open > 0 && self.error.is_none() {
            self.questions_open -= 1;
            self.out.push_urgent(&Frame::Status(answer));
        }
    }

    fn finish_draining(&mut self) {
        if self.draining && self.channels.values().all(|slot| slot.pending.is_none()) {
            self.close_connection(None);
        }
    }

    fn push_ping(&mut self, now: Instant, token: u64) {
        self.pings.push_back((token, now));
        self.out.push_urgent(&Frame::Ping(token.to_be_bytes()));
    }
}

fn push_credit(out: &mut Batch, channel: Option<ChannelId>, amount: u32) {
    out.push_urgent(&Frame::Credit { channel, amount });
}

/// What a DATA frame costs.
#[inline]
pub(crate) const fn cost_of(len: usize) -> u32 {
    (HEADER_LEN + len) as u32
}

/// The longest payload of a fragment to a side with these limits, for a sender who wants `most`.
///
/// At most half of a channel's first window, so that credit for it always comes (PROTOCOL.md §5); and
/// an eighth of the connection's, half of what a sender keeps for its oldest unfinished message.
fn longest_fragment(limits: &Limits, most: u32) -> usize {
    let window = (limits.channel_window / 2).min(limits.connection_window / 8) - cost_of(0);
    limits.max_frame.min(window).min(most) as usize
}
