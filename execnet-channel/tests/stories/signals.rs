//! Pings, questions, interrupts, terminations and output.

use std::time::Duration;

use bytes::Bytes;
use execnet_channel::Message;
use execnet_channel::core::Event;
use execnet_channel::sim::Sim;
use execnet_proto::{Frame, OutputStream, Terminate};

use super::common::peer::Peer;
use super::common::{id, least, recv_all};
use super::told::{
    A, B, assert_alive, assert_nothing, blocked, costing, greeted, greeted_with, open, roomy,
};

#[test]
fn a_ping_takes_the_way_there_and_back() {
    for latency in [0, 1, 70] {
        let latency = Duration::from_millis(latency);
        let mut sim = Sim::new(least(), least()).latency(latency);
        sim.run_until_quiet();
        sim.events(A);
        sim.events(B);
        for (side, token) in [(A, 7), (B, u64::MAX >> 1), (A, 0)] {
            let now = sim.now();
            assert!(sim.side(side).ping(now, token));
            sim.run_until_quiet();
            assert_eq!(sim.events(side), [Event::Pong { token, round_trip: 2 * latency }]);
        }
    }
}

#[test]
fn answers_leave_before_the_messages_that_wait() {
    let mut peer = Peer::greeted(B, roomy());
    peer.open(id(1));
    peer.core.accept(id(1));
    for _ in 0..3 {
        peer.core.try_send(id(1), costing(1_000)).unwrap();
    }
    peer.frame(Frame::Ping([7; 8])).frame(Frame::Status(Bytes::new()));
    peer.core.answer_status(Bytes::from_static(b"\xa0"));
    let said = peer.said();
    assert_eq!(said[0], Frame::Pong([7; 8]));
    assert_eq!(said[1], Frame::Status(Bytes::from_static(b"\xa0")));
    assert_eq!(said.len(), 5, "and then three messages");
}

#[test]
fn sixty_four_pings_and_questions_may_be_open_and_not_one_more() {
    let mut sim = greeted();
    let now = sim.now();
    for token in 0..64 {
        assert!(sim.a().ping(now, token) && sim.a().ask_status());
    }
    assert!(!sim.a().ping(now, 64) && !sim.a().ask_status());
    sim.run_until_quiet();
    let pongs = sim.events(A);
    assert_eq!(pongs.len(), 64);
    assert!(sim.a().ping(now, 64), "their answers made room");
    assert_eq!(sim.events(B), vec![Event::StatusAsked; 64]);
    assert!(!sim.a().ask_status(), "these were not answered yet");
    sim.b().answer_status(Bytes::from_static(b"\xa0"));
    sim.run_until_quiet();
    assert!(sim.a().ask_status());
    assert!(!sim.a().ask_status());
    assert_alive(&mut sim);
}

#[test]
fn answers_come_in_the_order_of_the_questions() {
    let mut sim = greeted();
    for _ in 0..3 {
        sim.a().ask_status();
    }
    sim.b().ask_status();
    sim.run_until_quiet();
    for answer in [&b"\xa1\x61a\x01"[..], b"\xa1\x61a\x02", b"\xa1\x61a\x03"] {
        sim.b().answer_status(Bytes::from_static(answer));
    }
    // Without a question nothing is said.
    sim.b().answer_status(Bytes::from_static(b"\xa0"));
    sim.a().answer_status(Bytes::from_static(b"\xa0"));
    sim.run_until_quiet();
    let answers: Vec<_> = sim
        .events(A)
        .into_iter()
        .filter_map(|event| match event {
            Event::Status(answer) => Some(answer[answer.len() - 1]),
            _ => None,
        })
        .collect();
    assert_eq!(answers, [1, 2, 3]);
    assert!(sim.events(B).contains(&Event::Status(Bytes::from_static(b"\xa0"))));
    assert_alive(&mut sim);
}

#[test]
fn an_interrupt_follows_what_was_sent_and_needs_an_open_channel() {
    let mut sim = greeted();
    let id = open(&mut sim);
    assert_nothing(sim.b(), id);
    sim.a().try_send(id, Message::bytes("work")).unwrap();
    sim.a().interrupt(id);
    sim.run_until_quiet();
    assert_eq!(sim.events(B), [Event::Readable(id), Event::Interrupt(id)]);
    sim.a().finish(id);
    sim.a().interrupt(id);
    sim.run_until_quiet();
    assert_eq!(sim.events(B), [Event::Interrupt(id)], "what finished sending may still run");
    sim.a().close(id, None);
    sim.a().interrupt(id);
    sim.run_until_quiet();
    assert_eq!(sim.events(B), []);
    sim.b().forget(id);
    sim.a().forget(id);
    sim.a().interrupt(id);
    sim.run_until_quiet();
    assert_alive(&mut sim);
}

#[test]
fn terminate_follows_what_was_sent() {
    let mut sim = greeted();
    let id = sim.a().open(true).unwrap();
    sim.a().try_send(id, Message::cbor(&b"\xa0"[..])).unwrap();
    let terminate = Terminate { grace_ms: 5_000, kill_ms: 1_000 };
    sim.a().terminate(terminate);
    sim.run_until_quiet();
    let opened = Event::Opened { channel: id, exec: true };
    assert_eq!(sim.events(B), [opened, Event::Terminate(terminate)]);
    assert_eq!(recv_all(sim.b(), id).0.len(), 1);
    assert_alive(&mut sim);
}

#[test]
fn output_is_cut_into_frames_and_keeps_its_order() {
    let mut sim = greeted();
    let id = open(&mut sim);
    let bytes: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
    sim.b().output(Some(id), OutputStream::Stderr, bytes.clone().into());
    sim.b().output(None, OutputStream::Stdout, Bytes::from_static(b"x"));
    sim.b().output(None, OutputStream::Stdout, Bytes::new());
    sim.run_until_quiet();
    let mut events = sim.events(A);
    let last = Event::Output {
        channel: None,
        stream: OutputStream::Stdout,
        bytes: Bytes::from_static(b"x"),
    };
    assert_eq!(events.pop(), Some(last));
    let mut came = Vec::new();
    for event in events {
        let Event::Output { channel, stream, bytes } = event else { panic!("{event:?}") };
        assert_eq!((channel, stream), (Some(id), OutputStream::Stderr));
        // With the byte that names the stream it fits a frame.
        assert!(bytes.len() < 16 << 10);
        came.extend_from_slice(&bytes);
    }
    assert_eq!(came, bytes);
}

#[test]
fn output_needs_no_credit() {
    let mut sim = greeted_with(least(), least());
    let id = open(&mut sim);
    while sim.b().try_send(id, costing(8 << 10)).is_ok() {
        sim.run_until_quiet();
    }
    blocked(sim.b(), id, costing(8 << 10));
    assert!(sim.b().wants_output());
    sim.b().output(None, OutputStream::Stdout, Bytes::from_static(b"still here"));
    sim.run_until_quiet();
    assert!(matches!(sim.events(A)[..], [Event::Output { .. }]));
    // The send buffer holds 4 KiB: its owner stops reading the pipe.
    sim.b().output(None, OutputStream::Stdout, vec![b'x'; 5_000].into());
    assert!(!sim.b().wants_output());
    sim.run_until_quiet();
    assert!(sim.b().wants_output());
}
