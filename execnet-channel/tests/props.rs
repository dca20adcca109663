//! Random operations of two applications on a random link: nothing is lost, doubled or reordered,
//! every byte of credit is accounted for after each step, nobody waits for ever, nothing is left.

mod common;

use std::time::Duration;

use common::least;
use common::world::{SIDES, World};
use execnet_channel::Config;
use execnet_channel::sim::Sim;
use execnet_proto::{Fault, Side};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Op {
    Open(Side),
    Accept(Side),
    Send(Side, usize, usize),
    Retry(Side, usize),
    Recv(Side, usize, usize),
    Finish(Side, usize),
    Close(Side, usize, bool),
    Forget(Side, usize),
    Discard(Side, usize),
    WaitClose(Side, usize),
    Ping(Side),
    Transmit(Side),
    Deliver(Side, usize),
    Step,
    Advance(u64),
    Quiet,
}

fn side() -> impl Strategy<Value = Side> {
    prop::sample::select(SIDES.to_vec())
}

/// Around every edge: packing, fragments, windows, the longest message.
fn length() -> impl Strategy<Value = usize> {
    let edges = [0, 1_024, 4_096, 8_192, 16_384, 32_760, 65_536, 131_072, 262_144, 1 << 20];
    prop_oneof![
        6 => 0..200usize,
        4 => 0..40_000usize,
        6 => (prop::sample::select(edges.to_vec()), -20..20isize)
            .prop_map(|(edge, off): (usize, isize)| edge.saturating_add_signed(off)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let channel = || 0..12usize;
    prop_oneof![
        6 => side().prop_map(Op::Open),
        5 => side().prop_map(Op::Accept),
        24 => (side(), channel(), length()).prop_map(|(s, c, l)| Op::Send(s, c, l)),
        5 => (side(), channel()).prop_map(|(s, c)| Op::Retry(s, c)),
        10 => (side(), channel(), 1..5usize).prop_map(|(s, c, n)| Op::Recv(s, c, n)),
        2 => (side(), channel()).prop_map(|(s, c)| Op::Finish(s, c)),
        2 => (side(), channel(), any::<bool>()).prop_map(|(s, c, f)| Op::Close(s, c, f)),
        1 => (side(), channel()).prop_map(|(s, c)| Op::Forget(s, c)),
        1 => (side(), channel()).prop_map(|(s, c)| Op::Discard(s, c)),
        2 => (side(), channel()).prop_map(|(s, c)| Op::WaitClose(s, c)),
        1 => side().prop_map(Op::Ping),
        6 => side().prop_map(Op::Transmit),
        8 => (side(), prop_oneof![0..40usize, 0..70_000usize])
            .prop_map(|(s, n)| Op::Deliver(s, n)),
        4 => Just(Op::Step),
        3 => (0..30u64).prop_map(Op::Advance),
        1 => Just(Op::Quiet),
    ]
}

/// Small limits, in all proportions to each other; in KiB.
#[derive(Debug, Clone)]
struct Limits {
    frame: u32,
    fragment: u32,
    window: u32,
    growth: u32,
    connection: u32,
    long: usize,
    buffer: usize,
}

fn limits() -> impl Strategy<Value = Limits> {
    let kib = |sizes: &'static [u32]| prop::sample::select(sizes);
    (
        (kib(&[16, 33, 64, 1024]), kib(&[1, 16, 1024])),
        (kib(&[64, 65, 256, 1024]), 1..5u32, kib(&[256, 257, 400, 1024])),
        (kib(&[0, 100, 1024]), kib(&[4, 20, 128])),
    )
        .prop_map(|((frame, fragment), (window, growth, connection), (long, buffer))| Limits {
            frame,
            fragment,
            window,
            growth,
            connection,
            long: long as usize,
            buffer: buffer as usize,
        })
}

impl Limits {
    fn config(&self) -> Config {
        Config {
            max_frame: self.frame << 10,
            max_fragment: self.fragment << 10,
            channel_window: self.window << 10,
            max_channel_window: (self.window * self.growth) << 10,
            connection_window: self.connection << 10,
            long_messages: self.long << 10,
            send_buffer: self.buffer << 10,
            ..least()
        }
    }
}

/// How the link is.
#[derive(Debug, Clone)]
struct Link {
    buffer: usize,
    latency: u64,
    cuts: Option<u64>,
}

fn link() -> impl Strategy<Value = Link> {
    (
        prop::sample::select(vec![2_000usize, 20_000, 1 << 20]),
        0..20u64,
        prop::option::of(any::<u64>()),
    )
        .prop_map(|(buffer, latency, cuts)| Link { buffer, latency, cuts })
}

/// The link cuts writes and reads as well, if it has a seed.
fn world(link: &Link, a: &Limits, b: &Limits) -> World {
    let latency = Duration::from_millis(link.latency);
    let sim = Sim::new(a.config(), b.config()).buffer(link.buffer).latency(latency);
    World::new(match link.cuts {
        Some(seed) => sim.cut_randomly(seed),
        None => sim,
    })
}

fn apply(world: &mut World, op: Op) {
    match op {
        Op::Open(side) => {
            world.open(side);
        }
        Op::Accept(side) => {
            world.accept(side);
        }
        Op::Ping(side) => {
            let now = world.sim.now();
            world.sim.side(side).ping(now, 7);
        }
        Op::Transmit(side) => {
            world.sim.transmit(side);
        }
        Op::Deliver(side, most) => {
            world.sim.deliver(side, most);
        }
        Op::Step => {
            world.sim.step();
        }
        Op::Advance(time) => world.sim.advance(Duration::from_millis(time)),
        Op::Quiet => world.sim.run_until_quiet(),
        Op::Send(side, nth, _)
        | Op::Retry(side, nth)
        | Op::Recv(side, nth, _)
        | Op::Finish(side, nth)
        | Op::Close(side, nth, _)
        | Op::Forget(side, nth)
        | Op::Discard(side, nth)
        | Op::WaitClose(side, nth) => {
            let Some(id) = world.pick(side, nth) else { return };
            match op {
                Op::Send(_, _, len) => world.send(side, id, len),
                Op::Retry(..) => drop(world.retry(side, id)),
                Op::Recv(_, _, most) => drop(world.recv(side, id, most)),
                Op::Finish(..) => world.finish(side, id),
                Op::Close(_, _, fault) => {
                    world.close(side, id, fault.then(|| Fault::new("Oops", format!("{side:?}"))));
                }
                Op::Forget(..) => world.forget(side, id),
                Op::Discard(..) => world.discard(side, id),
                _ => world.wait_close(side, id),
            }
        }
    }
    world.take_events();
    world.sim.check().unwrap();
}

/// 128 of each, or half of what `PROPTEST_CASES` says.
fn cases() -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = default.cases / 2;
    ProptestConfig { cases, max_shrink_iters: 4_000, failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn everything_arrives_once_and_in_order(
        (link, a, b) in (link(), limits(), limits()),
        ops in prop::collection::vec(op(), 1..150),
    ) {
        let mut world = world(&link, &a, &b);
        world.sim = world.sim.checked();
        for op in ops {
            apply(&mut world, op);
        }
        world.settle();
        world.assert_all_arrived();
        world.assert_clean_after_closing();
    }

    #[test]
    fn a_sudden_death_loses_only_what_had_not_arrived_and_everybody_is_told(
        (link, a, b) in (link(), limits(), limits()),
        ops in prop::collection::vec(op(), 1..80),
        victim in side(),
        keep in 0..2_000usize,
    ) {
        let mut world = world(&link, &a, &b);
        world.sim = world.sim.checked();
        for op in ops {
            apply(&mut world, op);
        }
        world.sim.kill(victim, keep);
        world.sim.run_until_quiet();
        world.assert_told_of_the_end(victim.peer());
    }

    #[test]
    fn a_crowd_of_senders_is_never_stuck(
        (link, a, b) in (link(), limits(), limits()),
        lengths in prop::collection::vec((side(), 0..40usize, length()), 1..200),
    ) {
        let mut world = world(&link, &a, &b);
        for _ in 0..20 {
            let _ = SIDES.map(|side| world.open(side));
        }
        world.settle();
        for (side, nth, length) in lengths {
            let id = world.pick(side, nth).unwrap();
            world.chan(side, id).unwrap().to_send.push_back(length);
        }
        world.settle();
        world.assert_all_arrived();
        world.assert_clean_after_closing();
    }

    #[test]
    fn stalled_readers_do_not_stop_the_others(
        (link, a, b) in (link(), limits(), limits()),
        stalled in prop::collection::vec(0..40usize, 0..3),
        lengths in prop::collection::vec((0..40usize, length()), 1..100),
    ) {
        // What the stalled ones hold leaves half of the connection's window to the others.
        let b = Limits { window: 64, growth: 1, connection: b.connection.max(384), ..b };
        let mut world = world(&link, &a, &b);
        for _ in 0..40 {
            world.open(Side::Connector);
        }
        world.settle();
        for nth in stalled {
            let id = world.pick(Side::Connector, nth).unwrap();
            world.chan(Side::FarEnd, id).unwrap().stalled = true;
            world.chan(Side::Connector, id).unwrap().to_send.extend([5_000; 30]);
        }
        world.settle();
        for (nth, length) in lengths {
            let id = world.pick(Side::Connector, nth).unwrap();
            world.chan(Side::Connector, id).unwrap().to_send.push_back(length);
        }
        world.settle();
        world.assert_all_arrived();
        for chan in world.app(Side::FarEnd).channels.values_mut() {
            chan.stalled = false;
        }
        world.settle();
        world.assert_all_arrived();
        world.assert_clean_after_closing();
    }
}
