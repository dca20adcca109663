//! One huge sender and many small ones: everybody comes on, and nobody waits for long.

use std::time::Duration;

use execnet_channel::core::Event;
use execnet_channel::sim::Sim;
use execnet_channel::{Config, Message};
use execnet_proto::Frame;

use super::common::peer::Peer;
use super::common::world::World;
use super::common::{least, recv_all};
use super::told::{A, B, open};

const BUFFER: usize = 16 << 10;
const FRAGMENT: usize = 16 << 10;

fn config() -> Config {
    Config {
        max_message: 64 << 20,
        long_messages: 64 << 20,
        send_buffer: BUFFER,
        connection_window: 4 << 20,
        channel_window: 256 << 10,
        max_channel_window: 256 << 10,
        ..least()
    }
}

/// Over a link that holds little, so that bytes wait where turns are taken.
fn narrow() -> Sim {
    let mut sim = Sim::new(config(), config()).buffer(BUFFER);
    sim.run_until_quiet();
    sim.events(A);
    sim.events(B);
    sim
}

#[test]
fn a_small_message_waits_for_a_bounded_number_of_bytes() {
    // On the link, in the driver's batch, in the send buffer, and one fragment of each other sender.
    for huge in [1, 4] {
        let most = BUFFER + 2 * (BUFFER + FRAGMENT) + (huge + 1) * FRAGMENT;
        let mut sim = narrow();
        let many: Vec<_> = (0..huge).map(|_| open(&mut sim)).collect();
        let small = open(&mut sim);
        for id in &many {
            sim.a().try_send(*id, Message::bytes(vec![0; 8 << 20])).unwrap();
        }
        let mut worst = 0;
        for _ in 0..50 {
            // Into the middle of it.
            for _ in 0..7 {
                sim.transmit(A);
                sim.deliver(B, 5_000);
                sim.transmit(B);
                sim.deliver(A, usize::MAX);
            }
            sim.a().try_send(small, Message::bytes("now")).unwrap();
            let mut waited = 0;
            while recv_all(sim.b(), small).0.is_empty() {
                sim.transmit(A);
                let read = sim.deliver(B, 100);
                assert!(read > 0, "nothing moves");
                waited += read;
                sim.transmit(B);
                sim.deliver(A, usize::MAX);
            }
            worst = worst.max(waited);
        }
        assert!(worst <= most, "{huge} huge senders: it waited for {worst} bytes, not {most}");
        assert!(worst > BUFFER, "{worst}: nobody was in its way, which shows nothing");
    }
}

#[test]
fn a_ping_and_its_answer_pass_everything_but_what_a_driver_has_taken() {
    let mut sim = narrow();
    let id = open(&mut sim);
    // Both ways are full: the PING stands behind one of them, the PONG behind the other.
    for side in [A, B] {
        sim.side(side).try_send(id, Message::bytes(vec![0; 8 << 20])).unwrap();
    }
    for _ in 0..20 {
        for side in [A, B] {
            sim.transmit(side);
            sim.deliver(side.peer(), 5_000);
        }
        let now = sim.now();
        assert!(sim.a().ping(now, 1));
        let (mut there, mut back) = (0, 0);
        while !sim.events(A).iter().any(|event| matches!(event, Event::Pong { .. })) {
            sim.transmit(A);
            sim.transmit(B);
            there += sim.deliver(B, 100);
            back += sim.deliver(A, 100);
        }
        // On the link, and in the driver's batch; both ways move at the same pace.
        let most = 2 * (BUFFER + BUFFER + FRAGMENT + 200);
        assert!(there.max(back) <= most, "it waited for {there} and {back} bytes, not {most}");
    }
}

#[test]
fn many_small_senders_come_on_together_beside_a_huge_one() {
    const EACH: usize = 20;
    let mut sim = narrow();
    let huge = open(&mut sim);
    let small: Vec<_> = (0..50).map(|_| open(&mut sim)).collect();
    sim.a().try_send(huge, Message::bytes(vec![0; 8 << 20])).unwrap();
    let (mut sent, mut received) = ([0; 50], [0; 50]);
    while received.iter().sum::<usize>() < 50 * EACH {
        for (nth, id) in small.iter().enumerate() {
            while sent[nth] < EACH && sim.a().try_send(*id, Message::bytes(vec![1; 3_000])).is_ok()
            {
                sent[nth] += 1;
            }
        }
        sim.transmit(A);
        assert!(sim.deliver(B, 1_000) > 0, "nothing moves");
        sim.transmit(B);
        sim.deliver(A, usize::MAX);
        for (nth, id) in small.iter().enumerate() {
            received[nth] += recv_all(sim.b(), *id).0.len();
        }
        let (first, last) = (received.iter().max().unwrap(), received.iter().min().unwrap());
        // Those who came first found the send buffer empty; from there on it is one each in turn.
        assert!(first - last <= 8, "{received:?}");
        assert!(recv_all(sim.b(), huge).0.is_empty(), "the huge one came first");
    }
    sim.run_until_quiet();
    assert_eq!(recv_all(sim.b(), huge).0[0].payload.len(), 8 << 20);
}

#[test]
fn huge_messages_beside_each_other_come_on_together() {
    let mut sim = narrow();
    let ids: Vec<_> = (0..4).map(|_| open(&mut sim)).collect();
    for id in &ids {
        sim.a().try_send(*id, Message::bytes(vec![0; 4 << 20])).unwrap();
    }
    let total = 16 << 20;
    let mut read = 0;
    while read < total - (1 << 20) {
        sim.transmit(A);
        read += sim.deliver(B, 50_000);
        sim.transmit(B);
        sim.deliver(A, usize::MAX);
    }
    // Near the end all four are near their ends.
    for id in &ids {
        assert!(recv_all(sim.b(), *id).0.is_empty(), "channel {id} has overtaken the others");
    }
    sim.run_until_quiet();
    for id in &ids {
        assert_eq!(recv_all(sim.b(), *id).0.len(), 1);
    }
}

#[test]
fn a_reader_that_stalls_stops_only_its_own_sender() {
    let slow = Sim::new(config(), config()).latency(Duration::from_millis(5)).checked();
    let mut world = World::new(slow);
    for _ in 0..10 {
        world.open(A);
    }
    world.settle();
    let ids: Vec<_> = world.app(A).channels.keys().copied().collect();
    world.chan(B, ids[0]).unwrap().stalled = true;
    world.chan(A, ids[0]).unwrap().to_send.extend([10_000; 100]);
    for id in &ids[1..] {
        world.chan(A, *id).unwrap().to_send.extend([10_000; 100]);
    }
    world.settle();
    world.assert_all_arrived();
    assert_eq!(world.chan(B, ids[0]).unwrap().received, 0);
    for id in &ids[1..] {
        assert_eq!(world.chan(B, *id).unwrap().received, 100);
    }
    world.chan(B, ids[0]).unwrap().stalled = false;
    world.settle();
    assert_eq!(world.chan(B, ids[0]).unwrap().received, 100);
    world.assert_clean_after_closing();
}

#[test]
fn each_takes_a_fragment_in_turn() {
    let mut peer = Peer::greeted(A, config());
    let ids = [1, 3, 5].map(|number| {
        let id = peer.core.open(false).unwrap();
        assert_eq!(id.get(), number);
        id
    });
    for id in ids {
        peer.core.try_send(id, Message::bytes(vec![0; 3 * FRAGMENT])).unwrap();
    }
    // Short ones take their turn as well, in the order in which they came.
    let late = peer.core.open(false).unwrap();
    peer.core.try_send(late, Message::bytes("short")).unwrap();
    let turns: Vec<_> = peer
        .said()
        .into_iter()
        .filter_map(|frame| match frame {
            Frame::Data { channel, .. } => Some(channel.get()),
            _ => None,
        })
        .collect();
    assert_eq!(turns, [1, 3, 5, 7, 1, 3, 5, 1, 3, 5]);
}
