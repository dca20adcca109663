//! Random operations of two applications on two simulated cores, with a model of what must come out.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use execnet_channel::core::{Event, Received, TrySendError};
use execnet_channel::sim::Sim;
use execnet_channel::{Config, Message, ReceiveError, SendError};
use execnet_proto::{ChannelId, Fault, Limits, Side};

/// More operations, channels and bytes take longer and show nothing new: what goes wrong does so among a few.
const MOST_OPS: usize = 128;
/// That an application has open at once; so many can be named by an operation.
const MOST_CHANNELS: usize = 16;
/// That both applications send: the longest message, and as much as fills all windows.
const MOST_BYTES: usize = (1 << 20) + (512 << 10);

/// Lengths of messages: around every edge of packing, fragments and windows.
const LENGTHS: [usize; 32] = [
    0,
    1,
    31,
    100,
    1_000,
    1_024,
    1_025,
    4_000,
    4_096,
    8_191,
    8_192,
    10_000,
    16_375,
    16_376,
    16_383,
    16_384,
    16_385,
    32_752,
    32_760,
    32_761,
    40_000,
    65_527,
    65_528,
    65_529,
    70_000,
    100_000,
    131_072,
    200_000,
    262_136,
    262_144,
    300_000,
    1 << 20,
];

/// Three bytes say how the link and the two sides are set up; each two behind them are an operation.
///
/// No message is lost, doubled, changed or reordered, and every byte of credit is accounted for at
/// any time. An application reads and sends again only when an event says so; with both of them
/// reading at the end, nobody waits for ever and nothing stays behind. Or one side dies at the end:
/// then all on the other are told.
pub fn core_ops(data: &[u8]) {
    let Some((&[link, a, b], ops)) = data.split_first_chunk() else { return };
    let mut world = World::new(link, config(a), config(b));
    let (ops, _) = ops.as_chunks();
    for &[op, arg] in ops.iter().take(MOST_OPS) {
        world.step(op, arg);
    }
    if link & 0x80 == 0 {
        world.settle();
        world.assert_all_arrived();
        world.assert_nothing_stays();
    } else {
        world.sim.kill(Side::Connector, usize::from(a) * 100);
        world.sim.run_until_quiet();
        world.assert_told_of_the_end(Side::FarEnd);
    }
}

/// Small limits, in many proportions to each other.
fn config(bits: u8) -> Config {
    let pick = |at: u8, of: [usize; 2]| of[usize::from(bits >> at & 1)];
    let least = Limits::LEAST;
    let channel_window = least.channel_window << (bits & 1);
    Config {
        max_frame: least.max_frame << (bits >> 1 & 1),
        max_fragment: pick(2, [16 << 10, 1 << 10]) as u32,
        channel_window,
        max_channel_window: channel_window << (bits >> 3 & 1),
        connection_window: least.connection_window + pick(4, [0, 12_345]) as u32,
        long_messages: pick(5, [0, 100 << 10]),
        send_buffer: pick(6, [4 << 10, 64 << 10]),
        max_message: 1 << 20,
        max_channels: 256,
        ..Config::compact()
    }
}

struct World {
    sim: Sim,
    connector: App,
    far_end: App,
    /// What the next message is filled with.
    next: u8,
    /// Bytes that may still be sent.
    left: usize,
}

#[derive(Default)]
struct App {
    channels: BTreeMap<ChannelId, Known>,
    /// Opened by the peer, and not taken yet.
    offered: VecDeque<ChannelId>,
    ended: bool,
}

/// What an application knows of a channel.
#[derive(Default)]
struct Known {
    /// Sent and not received on the other side: length, and what it is filled with.
    sent: VecDeque<(usize, u8)>,
    /// A message that waits, and whether it is worth another try.
    blocked: Option<Message>,
    writable: bool,
    /// Nothing was found, and no event has come since.
    waits: bool,
    /// What this application has done to it.
    finished: bool,
    closed: bool,
    deaf: bool,
    /// There is no more to read.
    ended: bool,
}

impl World {
    fn new(link: u8, a: Config, b: Config) -> Self {
        let buffer = [2_000, 20_000, 1 << 20, 1 << 20][usize::from(link & 3)];
        let sim = Sim::new(a, b).buffer(buffer);
        let sim = sim.latency(Duration::from_millis((link >> 2 & 3).into()));
        let sim = if link & 0x10 == 0 { sim } else { sim.cut_randomly(link.into()) };
        let (connector, far_end) = <(App, App)>::default();
        Self { sim, connector, far_end, next: 0, left: MOST_BYTES }
    }

    fn step(&mut self, op: u8, arg: u8) {
        let side = if op & 0x80 == 0 { Side::Connector } else { Side::FarEnd };
        let more = op >> 4 & 7;
        match op & 0x0f {
            0 => self.open(side),
            1 => drop(self.accept(side)),
            2 => drop(self.sim.transmit(side)),
            3 => drop(self.sim.deliver(side, (usize::from(more) << 8 | usize::from(arg)) * 8 + 1)),
            4 => drop(self.sim.step()),
            5 => self.sim.advance(Duration::from_millis((arg & 7).into())),
            6 => self.sim.run_until_quiet(),
            on_channel => {
                let app = self.app(side);
                let nth = usize::from(arg & 0x0f) % app.channels.len().max(1);
                if let Some(&id) = app.channels.keys().rev().nth(nth) {
                    self.step_on(side, id, on_channel, more, arg >> 4);
                }
            }
        }
        self.take_events();
        self.assert_in_order();
    }

    fn step_on(&mut self, side: Side, id: ChannelId, op: u8, more: u8, arg: u8) {
        match op {
            7..=9 => self.send(side, id, LENGTHS[usize::from((more & 1) << 4 | arg)]),
            10 => drop(self.retry(side, id)),
            11 => drop(self.receive(side, id, usize::from(more) + 1)),
            12 => self.finish(side, id),
            13 => self.close(side, id, (more & 1 != 0).then(|| Fault::new("E", "on purpose"))),
            14 => self.discard(side, id),
            _ => self.forget(side, id),
        }
    }

    fn app(&mut self, side: Side) -> &mut App {
        match side {
            Side::Connector => &mut self.connector,
            Side::FarEnd => &mut self.far_end,
        }
    }

    fn known(&mut self, side: Side, id: ChannelId) -> &mut Known {
        self.app(side).channels.get_mut(&id).expect("only channels that it has are chosen")
    }

    /// Whether nothing more can come from this side: it has closed the channel.
    fn has_closed(&mut self, side: Side, id: ChannelId) -> bool {
        self.app(side).channels.get(&id).is_some_and(|known| known.closed)
    }

    fn ids(&mut self, side: Side) -> Vec<ChannelId> {
        self.app(side).channels.keys().copied().collect()
    }

    fn open(&mut self, side: Side) {
        let open = self.app(side).channels.values().filter(|known| !known.ended).count();
        if open < MOST_CHANNELS
            && let Ok(id) = self.sim.side(side).open(false)
        {
            self.app(side).channels.insert(id, Known::default());
        }
    }

    fn accept(&mut self, side: Side) -> bool {
        let Some(id) = self.app(side).offered.pop_front() else { return false };
        self.sim.side(side).accept(id);
        self.app(side).channels.insert(id, Known::default());
        true
    }

    fn send(&mut self, side: Side, id: ChannelId, len: usize) {
        if self.known(side, id).blocked.is_none() && len <= self.left {
            self.left -= len;
            self.next = self.next.wrapping_add(1);
            self.try_send(side, id, Message::bytes(vec![self.next; len]));
        }
    }

    /// Offers a message again that was blocked, once an event has said that it is worth it.
    fn retry(&mut self, side: Side, id: ChannelId) -> bool {
        let known = self.known(side, id);
        if !known.writable {
            return false;
        }
        let Some(message) = known.blocked.take() else { return false };
        self.try_send(side, id, message);
        true
    }

    fn try_send(&mut self, side: Side, id: ChannelId, message: Message) {
        let mark = mark(&message);
        let over = self.known(side, id).finished || self.known(side, id).closed;
        match self.sim.side(side).try_send(id, message) {
            Ok(()) => {
                assert!(!over, "channel {id}: sent after the end");
                self.known(side, id).sent.push_back(mark);
            }
            Err(TrySendError::Blocked(message)) => {
                let known = self.known(side, id);
                (known.blocked, known.writable) = (Some(message), false);
            }
            Err(TrySendError::Failed(SendError::ClosedHere)) => assert!(over, "channel {id}"),
            Err(TrySendError::Failed(SendError::ClosedByPeer)) => {
                assert!(self.has_closed(side.peer(), id), "channel {id}");
            }
            Err(TrySendError::Failed(other)) => panic!("channel {id}: {other}"),
        }
    }

    /// Receives as long as there is something, and gives how many messages that were.
    fn receive(&mut self, side: Side, id: ChannelId, most: usize) -> usize {
        for count in 0..most {
            let known = self.known(side, id);
            if known.waits || known.ended {
                return count;
            }
            match self.sim.side(side).recv(id) {
                Ok(Received::Message(message)) => {
                    assert!(!self.known(side, id).deaf, "channel {id}: a message after discard");
                    let expected = self.known(side.peer(), id).sent.pop_front();
                    assert_eq!(expected, Some(mark(&message)), "channel {id}: lost or reordered");
                }
                Ok(Received::Nothing) => self.known(side, id).waits = true,
                Ok(Received::End) => self.end(side, id),
                Err(ReceiveError::Remote(_)) => {
                    assert!(self.has_closed(side.peer(), id), "channel {id}: nobody's error");
                    self.end(side, id);
                }
                Err(error) => {
                    assert!(self.sim.side(side).error().is_some(), "channel {id}: {error}");
                    self.known(side, id).ended = true;
                }
            }
        }
        most
    }

    /// The end comes after everything that was sent, and not out of nothing.
    fn end(&mut self, side: Side, id: ChannelId) {
        let Known { closed, deaf, .. } = *self.known(side, id);
        self.known(side, id).ended = true;
        if !closed {
            let peer = self.known(side.peer(), id);
            assert!(peer.finished || peer.closed, "channel {id}: an end that nobody sent");
            assert!(deaf || peer.sent.is_empty(), "channel {id}: messages lost before the end");
        }
    }

    fn finish(&mut self, side: Side, id: ChannelId) {
        let known = self.known(side, id);
        (known.finished, known.blocked) = (true, None);
        self.sim.side(side).finish(id);
    }

    fn close(&mut self, side: Side, id: ChannelId, fault: Option<Fault>) {
        let known = self.known(side, id);
        (known.closed, known.blocked) = (true, None);
        self.sim.side(side).close(id, fault);
    }

    fn discard(&mut self, side: Side, id: ChannelId) {
        self.known(side, id).deaf = true;
        self.sim.side(side).discard(id);
    }

    fn forget(&mut self, side: Side, id: ChannelId) {
        let known = self.known(side, id);
        (known.closed, known.deaf, known.ended, known.blocked) = (true, true, true, None);
        self.sim.side(side).forget(id);
    }

    fn take_events(&mut self) -> bool {
        let mut any = false;
        for side in [Side::Connector, Side::FarEnd] {
            for event in self.sim.events(side) {
                any = true;
                match event {
                    Event::Hello => {}
                    Event::Opened { channel, .. } => self.app(side).offered.push_back(channel),
                    Event::Readable(id) => self.known(side, id).waits = false,
                    Event::Writable(id) => self.known(side, id).writable = true,
                    Event::Ended => self.app(side).ended = true,
                    other => panic!("{other:?}"),
                }
            }
        }
        any
    }

    /// Both applications take, read and send again, until nothing moves any more.
    fn settle(&mut self) {
        let mut moved = true;
        while moved {
            self.sim.run_until_quiet();
            moved = self.take_events();
            for side in [Side::Connector, Side::FarEnd] {
                while self.accept(side) {
                    moved = true;
                }
                for id in self.ids(side) {
                    moved |= self.receive(side, id, usize::MAX) > 0;
                    moved |= self.retry(side, id);
                }
            }
            self.assert_in_order();
        }
    }

    /// Behind each operation, not each step of a long one: looking takes longer than stepping, and what is wrong only
    /// on the way shows behind an operation that goes just so far.
    fn assert_in_order(&self) {
        if let Err(wrong) = self.sim.check() {
            panic!("{wrong}");
        }
    }

    fn assert_all_arrived(&mut self) {
        for side in [Side::Connector, Side::FarEnd] {
            assert!(!self.app(side).ended, "{:?}", self.sim.side(side).error());
            for id in self.ids(side) {
                let Known { closed, deaf, .. } = *self.known(side.peer(), id);
                let known = self.known(side, id);
                let heard = !closed && !deaf;
                assert!(!heard || known.sent.is_empty(), "channel {id}: stuck {:?}", known.sent);
                assert!(known.blocked.is_none(), "channel {id}: {side:?} is blocked for ever");
            }
        }
    }

    fn assert_nothing_stays(&mut self) {
        for side in [Side::Connector, Side::FarEnd] {
            for id in self.ids(side) {
                self.forget(side, id);
            }
        }
        self.settle();
        for side in [Side::Connector, Side::FarEnd] {
            let core = self.sim.side(side);
            assert_eq!((core.channels_kept(), core.status().channels), (0, 0), "{side:?}");
            let left = core.diagnostics();
            assert_eq!((left.unread, left.unsent, left.advanced, left.grown), (0, 0, 0, 0));
            assert_eq!(left.connection.held, 0);
        }
    }

    fn assert_told_of_the_end(&mut self, side: Side) {
        self.take_events();
        assert!(self.app(side).ended, "{side:?} was not told");
        while self.accept(side) {}
        for id in self.ids(side) {
            self.receive(side, id, usize::MAX);
            let known = self.known(side, id);
            assert!(known.ended, "channel {id}: its reader waits for ever");
            assert!(known.blocked.is_none() || known.writable, "channel {id}: its sender waits");
        }
    }
}

/// What tells a message from others: its length, and the byte that it is full of.
fn mark(message: &Message) -> (usize, u8) {
    let payload = &message.payload[..];
    let Some((&first, rest)) = payload.split_first() else { return (0, 0) };
    assert_eq!(&payload[..rest.len()], rest, "a message has changed");
    (payload.len(), first)
}
