//! Random operations of two applications on two simulated cores, with a model of what must come out.

mod ending;
mod messages;
mod signals;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use execnet_channel::core::Event;
use execnet_channel::sim::Sim;
use execnet_channel::{Config, Message};
use execnet_proto::{ChannelId, Fault, Format, Limits, Side};

use self::messages::Mark;
use self::signals::Signals;

/// More operations, channels and bytes take longer and show nothing new: what goes wrong does so among a few.
const MOST_OPS: usize = 128;
/// That an application has open at once; so many can be named by an operation.
const MOST_CHANNELS: usize = 16;
/// That both applications send: the longest message, and as much as fills all windows.
const MOST_BYTES: usize = (1 << 20) + (512 << 10);

/// Lengths of messages: around every edge of packing, fragments and windows, up to one that is too long.
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
    (1 << 20) + 1,
];

const SIDES: [Side; 2] = [Side::Connector, Side::FarEnd];

/// Three bytes say how the link and the two sides are set up; each two behind them are an operation.
///
/// No message is lost, doubled, changed or reordered, no signal either, and every byte of credit is accounted for at
/// any time. An application reads and sends again only when an event says so; with both of them
/// reading at the end, nobody waits for ever and nothing stays behind. Or the connection ends in order, and all that was
/// accepted before arrives; or one side dies: then all on the other are told.
pub fn core_ops(data: &[u8]) {
    let Some((&[link, a, b], ops)) = data.split_first_chunk() else { return };
    let mut world = World::new(link, config(a), config(b));
    let (ops, _) = ops.as_chunks();
    for &[op, arg] in ops.iter().take(MOST_OPS) {
        world.step(op, arg);
    }
    if link & DEATH != 0 {
        world.sim.kill(Side::Connector, usize::from(a) * 100);
        world.sim.run_until_quiet();
        world.assert_told_of_the_end(Side::FarEnd);
    } else if link & DRAIN != 0 {
        world.drain(Side::Connector);
        world.settle();
        world.assert_drained();
    } else {
        world.settle();
        world.assert_all_arrived();
        world.assert_nothing_stays();
    }
}

// In the first byte: the far end reads marshal, the connection ends in order, the connector dies.
const MARSHAL: u8 = 0x20;
const DRAIN: u8 = 0x40;
const DEATH: u8 = 0x80;

/// Small limits, in many proportions to each other.
fn config(bits: u8) -> Config {
    let pick = |at: u8, of: [usize; 2]| of[usize::from(bits >> at & 1)];
    let least = Limits::LEAST;
    let channel_window = least.channel_window << (bits & 1);
    let kept_alive = |millis| (bits & 0x80 != 0).then_some(Duration::from_millis(millis));
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
        // Longer than a PING and its answer ever take, behind a full send buffer on the slowest link.
        keepalive: kept_alive(200),
        idle_timeout: kept_alive(600),
        ..Config::compact()
    }
}

struct World {
    sim: Sim,
    connector: App,
    far_end: App,
    /// Whether the far end reads marshal, and whether a connection may be ended.
    marshal: bool,
    may_drain: bool,
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
    signals: Signals,
    ended: bool,
}

/// What an application knows of a channel.
#[derive(Default)]
struct Known {
    /// Sent and not received on the other side.
    sent: VecDeque<Mark>,
    /// A message that waits, and whether it is worth another try.
    blocked: Option<Message>,
    writable: bool,
    /// Nothing was found, and no event has come since.
    waits: bool,
    waits_for_close: bool,
    /// What this application has done to it.
    exec: bool,
    finished: bool,
    closed: bool,
    deaf: bool,
    forgotten: bool,
    /// There is no more to read.
    ended: bool,
    /// Interrupts that the other side has not been told of.
    interrupts: usize,
}

impl World {
    fn new(link: u8, a: Config, mut b: Config) -> Self {
        let marshal = link & MARSHAL != 0;
        if marshal {
            b.hello.formats.push(Format::Marshal.name().into());
        }
        let buffer = [2_000, 20_000, 1 << 20, 1 << 20][usize::from(link & 3)];
        let sim = Sim::new(a, b).buffer(buffer);
        let sim = sim.latency(Duration::from_millis((link >> 2 & 3).into()));
        let sim = if link & 0x10 == 0 { sim } else { sim.cut_randomly(link.into()) };
        let (connector, far_end) = <(App, App)>::default();
        let may_drain = link & DRAIN != 0;
        Self { sim, connector, far_end, marshal, may_drain, next: 0, left: MOST_BYTES }
    }

    fn step(&mut self, op: u8, arg: u8) {
        let side = if op & 0x80 == 0 { Side::Connector } else { Side::FarEnd };
        let more = op >> 4 & 7;
        match op & 0x0f {
            0 => self.open(side, more & 1 != 0),
            1 => drop(self.accept(side)),
            2 => drop(self.sim.transmit(side)),
            3 => drop(self.sim.deliver(side, (usize::from(more) << 8 | usize::from(arg)) * 8 + 1)),
            4 => drop(self.sim.step()),
            5 => self.sim.advance(Duration::from_millis((arg & 7).into()) * (1 << more)),
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
            7 | 8 => {
                let format = [Format::Bytes, Format::Cbor, Format::Marshal, Format::Bytes];
                let len = LENGTHS[usize::from((more & 1) << 4 | arg)];
                self.send(side, id, format[usize::from(more >> 1)], len);
            }
            9 => self.signal(side, id, more, arg),
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

    fn has_ended(&mut self, side: Side) -> bool {
        self.sim.side(side).error().is_some()
    }

    fn ids(&mut self, side: Side) -> Vec<ChannelId> {
        self.app(side).channels.keys().copied().collect()
    }

    fn take_events(&mut self) -> bool {
        let mut any = false;
        for side in SIDES {
            for event in self.sim.events(side) {
                any = true;
                match event {
                    Event::Hello => {}
                    Event::Opened { channel, exec } => {
                        assert_eq!(exec, self.known(side.peer(), channel).exec, "{channel}");
                        self.app(side).offered.push_back(channel);
                    }
                    Event::Readable(id) => self.known(side, id).waits = false,
                    Event::Writable(id) => self.known(side, id).writable = true,
                    Event::Closed(id) => self.told_of_close(side, id),
                    Event::Ended => self.app(side).ended = true,
                    other => self.take_signal(side, other),
                }
            }
        }
        any
    }
}
