//! Random operations on two cores joined back to back, with a model of what must come out.

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::time::{Duration, Instant};

use execnet_channel::core::{Batch, Connection, Event, Received, TrySendError};
use execnet_channel::{Config, Message, ReceiveError};
use execnet_proto::{ChannelId, Fault, Limits, Side};

/// Each pair of bytes is an operation. No message is lost, doubled or reordered; at the end, with both sides
/// reading, everything that was sent arrives, and nothing stays behind.
pub fn core_ops(data: &[u8]) {
    let mut pair = Pair::new();
    for op in data.chunks_exact(2).take(2_000) {
        pair.step(op[0], op[1]);
    }
    pair.settle();
}

struct Pair {
    now: Instant,
    ends: [End; 2],
    next_seed: u8,
}

struct End {
    core: Connection,
    /// Bytes on their way to the other end.
    wire: VecDeque<u8>,
    batch: Batch,
    channels: BTreeMap<ChannelId, Known>,
}

/// One end's view of a channel, and what the other end must still receive from it.
#[derive(Default)]
struct Known {
    sent: VecDeque<(usize, u8)>,
    /// A message that was blocked; it is offered again before any other.
    blocked: Option<Message>,
    finished: bool,
    closed: bool,
    /// Unread messages were thrown away on purpose.
    discarded: bool,
    forgotten: bool,
}

const SIZES: [usize; 10] = [0, 1, 31, 5_000, 16_383, 16_384, 16_385, 65_528, 70_000, 300_000];

impl Pair {
    fn new() -> Self {
        let now = Instant::now();
        let end = |side| {
            let least = Limits::LEAST;
            let config = Config {
                channel_window: least.channel_window,
                connection_window: least.connection_window,
                max_channel_window: 2 * least.channel_window,
                long_messages: 64 << 10,
                send_buffer: 8 << 10,
                ..Config::compact()
            };
            End {
                core: Connection::new(side, config, now).expect("a good config"),
                wire: VecDeque::new(),
                batch: Batch::new(),
                channels: BTreeMap::new(),
            }
        };
        Self { now, ends: [end(Side::Connector), end(Side::FarEnd)], next_seed: 0 }
    }

    fn step(&mut self, op: u8, arg: u8) {
        let at = usize::from(op >> 7);
        let end = &mut self.ends[at];
        let id = {
            let known: Vec<_> = end.channels.keys().copied().collect();
            known.get(usize::from(arg & 0x0f) % known.len().max(1)).copied()
        };
        match (op & 0x0f, id) {
            (0, _) => {
                if let Ok(id) = end.core.open(false) {
                    end.channels.insert(id, Known::default());
                }
            }
            (1..=4, Some(id)) => {
                let size = SIZES[usize::from(arg >> 4) % SIZES.len()];
                self.next_seed = self.next_seed.wrapping_add(1);
                let seed = self.next_seed;
                self.send(at, id, Message::bytes(vec![seed; size]));
            }
            (5, Some(id)) => self.receive(at, id, 1),
            (6, Some(id)) => self.receive(at, id, usize::MAX),
            (7, Some(id)) if self.may_end(at, id) => {
                self.ends[at].core.finish(id);
                self.known(at, id).finished = true;
            }
            (8, Some(id)) if self.may_end(at, id) => {
                let fault = (arg & 0x80 != 0).then(|| Fault::new("E", "closed on purpose"));
                self.ends[at].core.close(id, fault);
                self.known(at, id).closed = true;
            }
            (9, Some(id)) if arg & 0xe0 == 0 => {
                self.ends[at].core.forget(id);
                let known = self.known(at, id);
                (known.closed, known.discarded, known.forgotten) = (true, true, true);
            }
            (10, Some(id)) if arg & 0xe0 == 0 => {
                self.ends[at].core.discard(id);
                self.known(at, id).discarded = true;
            }
            (11..=13, _) => {
                self.carry(at, usize::from(arg) * 97 + 1);
            }
            (14, _) => {
                self.now += Duration::from_secs(arg.into());
                self.ends[at].core.handle_timeout(self.now);
            }
            (15, _) => self.exchange(),
            _ => {}
        }
        self.collect(at);
    }

    fn known(&mut self, at: usize, id: ChannelId) -> &mut Known {
        self.ends[at].channels.entry(id).or_default()
    }

    /// How many messages this end has still to receive.
    fn expected(&self, at: usize, id: ChannelId) -> usize {
        self.ends[1 - at].channels.get(&id).map_or(0, |other| other.sent.len())
    }

    /// A message that is blocked was promised: no ending before it.
    fn may_end(&mut self, at: usize, id: ChannelId) -> bool {
        let known = self.known(at, id);
        known.blocked.is_none() && !known.closed
    }

    fn send(&mut self, at: usize, id: ChannelId, message: Message) {
        let known = self.known(at, id);
        if known.finished || known.closed {
            return;
        }
        let message = known.blocked.take().unwrap_or(message);
        let mark = (message.payload.len(), message.payload.first().copied().unwrap_or(0));
        match self.ends[at].core.try_send(id, message) {
            Ok(()) => self.known(at, id).sent.push_back(mark),
            Err(TrySendError::Blocked(message)) => self.known(at, id).blocked = Some(message),
            Err(TrySendError::Failed(error)) => {
                let closed = self.ends[1 - at].channels.get(&id).is_none_or(|other| other.closed);
                assert!(closed, "channel {id}: {error}");
            }
        }
    }

    fn receive(&mut self, at: usize, id: ChannelId, most: usize) {
        if self.known(at, id).forgotten {
            return;
        }
        for _ in 0..most {
            let result = self.ends[at].core.recv(id);
            let discarded = self.known(at, id).discarded;
            let closed = self.known(at, id).closed;
            // The other end may not have heard of the channel yet.
            let mut unknown = Known::default();
            let other = self.ends[1 - at].channels.get_mut(&id).unwrap_or(&mut unknown);
            match result {
                Ok(Received::Message(message)) => {
                    assert!(!discarded, "a message after discard");
                    let mark =
                        (message.payload.len(), message.payload.first().copied().unwrap_or(0));
                    assert!(message.payload.iter().all(|&byte| byte == mark.1));
                    assert_eq!(
                        other.sent.pop_front(),
                        Some(mark),
                        "channel {id}: lost or reordered"
                    );
                }
                Ok(Received::Nothing) => return,
                Ok(Received::End) | Err(ReceiveError::Remote(_)) => {
                    assert!(other.finished || other.closed || closed, "an end out of nothing");
                    if !closed && !discarded {
                        assert!(
                            other.sent.is_empty(),
                            "channel {id}: messages lost before the end"
                        );
                    }
                    return;
                }
                Err(error) => panic!("channel {id}: {error}"),
            }
        }
    }

    /// Takes notice of what happened at one end.
    fn collect(&mut self, at: usize) {
        while let Some(event) = self.ends[at].core.poll_event() {
            match event {
                Event::Opened { channel, .. } => {
                    self.ends[at].core.accept(channel);
                    self.ends[at].channels.entry(channel).or_default();
                }
                Event::Ended => panic!("ended: {:?}", self.ends[at].core.error()),
                _ => {}
            }
        }
    }

    /// Moves up to `most` bytes from one end to the other.
    fn carry(&mut self, at: usize, most: usize) -> bool {
        let now = self.now;
        let end = &mut self.ends[at];
        while end.wire.len() < most && end.core.poll_transmit(now, &mut end.batch) {
            while !end.batch.is_empty() {
                let mut slices = [IoSlice::new(&[]); 16];
                let count = end.batch.slices(&mut slices);
                let mut written = 0;
                for slice in &slices[..count] {
                    end.wire.extend(slice.iter());
                    written += slice.len();
                }
                end.batch.advance(written);
            }
        }
        let bytes: Vec<u8> = end.wire.drain(..most.min(end.wire.len())).collect();
        self.ends[1 - at].core.handle_input(now, &bytes);
        self.collect(at);
        self.collect(1 - at);
        !bytes.is_empty()
    }

    fn exchange(&mut self) {
        loop {
            let there = self.carry(0, 1 << 20);
            let back = self.carry(1, 1 << 20);
            if !there && !back {
                return;
            }
        }
    }

    /// Both sides read until nothing moves any more; then everything is closed.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            self.exchange();
            let mut moved = false;
            for at in 0..2 {
                let ids: Vec<_> = self.ends[at].channels.keys().copied().collect();
                for id in ids {
                    let before = self.expected(at, id);
                    self.receive(at, id, usize::MAX);
                    moved |= self.expected(at, id) != before;
                    if let Some(message) = self.known(at, id).blocked.clone() {
                        self.send(at, id, message);
                        moved |= self.known(at, id).blocked.is_none();
                    }
                }
            }
            if !moved {
                break;
            }
        }
        for at in 0..2 {
            for (id, known) in &self.ends[at].channels {
                let other = self.ends[1 - at].channels.get(id);
                let read = other.is_some_and(|other| !other.closed && !other.discarded);
                assert!(!read || known.sent.is_empty(), "channel {id}: {:?} stuck", known.sent);
                let blocked = known.blocked.is_some() && !known.closed;
                assert!(!read || !blocked, "channel {id}: blocked for ever");
            }
        }
        for at in 0..2 {
            let ids: Vec<_> = self.ends[at].channels.keys().copied().collect();
            for id in ids {
                self.ends[at].core.forget(id);
                let known = self.known(at, id);
                (known.closed, known.discarded, known.forgotten) = (true, true, true);
            }
        }
        self.exchange();
        for end in &self.ends {
            assert_eq!(end.core.channels_kept(), 0, "state stays behind");
            let status = end.core.status();
            assert_eq!((status.channels, status.unread_total), (0, 0));
        }
    }
}
