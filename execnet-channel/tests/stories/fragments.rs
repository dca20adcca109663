//! Messages in pieces, and bytes in pieces.

use execnet_channel::core::Event;
use execnet_channel::sim::Sim;
use execnet_channel::{Config, Message, SendError};
use execnet_proto::{Format, Frame, Side};

use super::common::peer::Peer;
use super::common::{id, least, numbered, recv_all, recv_one};
use super::told::{A, B, assert_nothing_left, greeted, open, refused};

/// The longest fragment to a side with the least limits.
const FRAGMENT: usize = 16 << 10;

/// Around every length where something changes: packing, gathering, fragments, half of the window and all of it.
fn edges() -> impl Iterator<Item = usize> {
    let edges = [4 << 10, 8 << 10, FRAGMENT, 2 * FRAGMENT, 32 << 10, 64 << 10];
    let around = |edge: usize| [edge - 9, edge - 8, edge - 7, edge - 1, edge, edge + 1];
    (0..10).chain(edges.into_iter().flat_map(around))
}

#[test]
fn a_message_takes_as_few_fragments_as_it_can() {
    for (len, expected) in [
        (0, vec![0]),
        (1, vec![1]),
        (FRAGMENT, vec![FRAGMENT]),
        (FRAGMENT + 1, vec![FRAGMENT, 1]),
        (2 * FRAGMENT, vec![FRAGMENT, FRAGMENT]),
        (2 * FRAGMENT + 1, vec![FRAGMENT, FRAGMENT, 1]),
    ] {
        let mut peer = Peer::greeted(Side::Connector, least());
        let channel = peer.core.open(false).unwrap();
        let message = Message::cbor(vec![7; len]);
        peer.core.try_send(channel, message.clone()).unwrap();
        let mut said = peer.said().into_iter();
        assert_eq!(said.next(), Some(Frame::Open(channel)));
        let (mut lengths, mut bytes) = (Vec::new(), Vec::new());
        for (nth, frame) in said.enumerate() {
            let Frame::Data { more, format, payload, .. } = frame else { panic!("{frame:?}") };
            assert_eq!((more, format), (nth + 1 < expected.len(), Format::Cbor));
            lengths.push(payload.len());
            bytes.extend_from_slice(&payload);
        }
        assert_eq!((lengths, bytes), (expected, message.payload.to_vec()));
    }
}

#[test]
fn a_sender_may_want_shorter_fragments() {
    let short = Config { max_fragment: 1 << 10, ..least() };
    let mut peer = Peer::greeted(Side::Connector, short);
    let channel = peer.core.open(false).unwrap();
    peer.core.try_send(channel, Message::bytes(vec![7; 2_500])).unwrap();
    let lengths: Vec<_> = peer
        .said()
        .iter()
        .filter_map(|frame| match frame {
            Frame::Data { payload, .. } => Some(payload.len()),
            _ => None,
        })
        .collect();
    assert_eq!(lengths, [1_024, 1_024, 452]);
}

#[test]
fn every_length_around_an_edge_arrives_as_it_was() {
    let mut sim = greeted();
    let id = open(&mut sim);
    for (number, len) in edges().enumerate() {
        let message = numbered(number as u64, len);
        sim.a().try_send(id, message.clone()).unwrap();
        sim.run_until_quiet();
        assert!(recv_one(sim.b(), id) == message, "{len} bytes");
        sim.run_until_quiet();
    }
    assert_nothing_left(&mut sim);
}

#[test]
fn every_length_around_an_edge_arrives_byte_by_byte_and_in_other_cuts() {
    for cuts in [&[1][..], &[7, 1, 9], &[8], &[65_537, 3], &[FRAGMENT + 8]] {
        // Without the books, which are kept for each byte.
        let mut sim = Sim::new(least(), least()).cut(cuts);
        sim.run_until_quiet();
        sim.events(A);
        sim.events(B);
        let id = open(&mut sim);
        for (number, len) in edges().enumerate().filter(|(_, len)| cuts != [1] || *len < 10_000) {
            let message = numbered(number as u64, len);
            sim.a().try_send(id, message.clone()).unwrap();
            sim.run_until_quiet();
            assert!(recv_one(sim.b(), id) == message, "{len} bytes in cuts of {cuts:?}");
            sim.run_until_quiet();
        }
    }
}

#[test]
fn short_and_long_messages_keep_their_order() {
    let mut sim = greeted();
    let id = open(&mut sim);
    let lengths = [3, 50_000, 0, 9_000, 8_191, 8_192, 100_000, 1];
    let (mut sent, mut received) = (0, 0);
    while received < 80 {
        let message = |number: usize| numbered(number as u64, lengths[number % lengths.len()]);
        if sent < 80 && sim.a().try_send(id, message(sent)).is_ok() {
            sent += 1;
            continue;
        }
        sim.run_until_quiet();
        let (messages, _) = recv_all(sim.b(), id);
        assert!(!messages.is_empty(), "nothing moves");
        for found in messages {
            assert!(found == message(received), "message {received}");
            received += 1;
        }
        sim.run_until_quiet();
    }
    assert_nothing_left(&mut sim);
}

#[test]
fn the_longest_message_and_one_byte_more() {
    let mut sim = greeted();
    let id = open(&mut sim);
    let most = 1 << 20;
    let error = refused(sim.a(), id, Message::bytes(vec![7; most + 1]));
    let len = most as u64 + 1;
    assert!(
        matches!(error, SendError::TooLong { len: l, most: m } if (l, m) == (len, len - 1)),
        "{error:?}"
    );
    // Sixteen times its channel's window, four times the connection's: credit comes back on the way.
    let message = numbered(1, most);
    sim.a().try_send(id, message.clone()).unwrap();
    sim.run_until_quiet();
    assert!(recv_one(sim.b(), id) == message);
    assert_nothing_left(&mut sim);
}

#[test]
fn a_message_that_may_be_too_long_waits_for_the_peers_hello() {
    let large = Config { max_message: 4 << 20, ..least() };
    for (accepted, config) in [(true, large), (false, least())] {
        let mut sim = Sim::new(least(), config).checked();
        let id = sim.a().open(false).unwrap();
        let message = super::told::blocked(sim.a(), id, Message::bytes(vec![7; 2 << 20]));
        sim.run_until_quiet();
        assert_eq!(sim.events(A), [Event::Writable(id), Event::Hello]);
        if accepted {
            sim.a().try_send(id, message).unwrap();
            sim.run_until_quiet();
            assert_eq!(recv_one(sim.b(), id).payload.len(), 2 << 20);
        } else {
            assert!(matches!(refused(sim.a(), id, message), SendError::TooLong { .. }));
        }
    }
}

#[test]
fn long_messages_on_many_channels_are_finished_one_after_the_other_when_there_is_no_room() {
    // No room beyond the windows, and those do not hold one of them.
    let mut sim = greeted();
    let ids: Vec<_> = (0..10).map(|_| open(&mut sim)).collect();
    for (number, id) in ids.iter().enumerate() {
        sim.a().try_send(*id, numbered(number as u64, 1 << 20)).unwrap();
    }
    let mut left = ids.len();
    while left > 0 {
        sim.run_until_quiet();
        let before = left;
        for (number, id) in ids.iter().enumerate() {
            for message in recv_all(sim.b(), *id).0 {
                assert!(message == numbered(number as u64, 1 << 20));
                left -= 1;
            }
        }
        assert!(left < before, "they wait for each other");
        // The oldest, and what the window holds of the others.
        assert!(sim.b().diagnostics().unread <= (1 << 20) + (256 << 10));
    }
    assert_nothing_left(&mut sim);
}

#[test]
fn an_unfinished_message_holds_no_more_than_has_arrived() {
    let mut peer = Peer::greeted(Side::FarEnd, least());
    peer.open(id(1));
    peer.core.accept(id(1));
    peer.data(id(1), true, 1_008);
    assert_eq!(peer.core.diagnostics().unread, 1_000);
    peer.data(id(1), true, 1_008).assert_alive();
    assert_eq!(peer.core.diagnostics().unread, 2_000);
}

#[test]
fn when_the_oldest_unfinished_message_is_given_up_the_next_one_gets_its_room() {
    // By its sender, by its reader, and by whoever closes.
    let give_up: [fn(&mut Peer); 3] = [
        |peer| {
            peer.close(id(1));
        },
        |peer| peer.core.discard(id(1)),
        |peer| peer.core.close(id(1), None),
    ];
    for give_up in give_up {
        let mut peer = Peer::greeted(Side::FarEnd, least());
        for number in [1, 3] {
            peer.open(id(number));
            peer.core.accept(id(number));
        }
        peer.data(id(1), true, 8 << 10);
        for _ in 0..8 {
            peer.data(id(3), true, 8 << 10);
        }
        peer.assert_alive();
        assert_eq!(peer.said(), [], "there is room for the oldest one only");
        give_up(&mut peer);
        peer.assert_alive();
        let credit = Frame::Credit { channel: Some(id(3)), amount: 64 << 10 };
        let said = peer.said();
        assert!(said.contains(&credit), "its sender waits for ever: {said:?}");
    }
}
