//! Credit at every edge: the last byte of it is used, and not one more.

use execnet_channel::Config;
use execnet_channel::core::Event;

use super::common::{recv_all, recv_one};
use super::told::{A, B, assert_alive, assert_nothing_left, blocked, costing, greeted, open};

/// What a channel starts with.
const WINDOW: usize = 64 << 10;
/// Fits into a single frame.
const PART: usize = 8 << 10;

#[test]
fn the_last_byte_of_a_channels_window_is_used() {
    for off in [-1isize, 0, 1] {
        let mut sim = greeted();
        let id = open(&mut sim);
        for _ in 0..7 {
            sim.a().try_send(id, costing(PART)).unwrap();
        }
        let last = PART.strict_add_signed(off);
        if off <= 0 {
            sim.a().try_send(id, costing(last)).unwrap();
        } else {
            blocked(sim.a(), id, costing(last));
        }
        sim.run_until_quiet();
        let left = sim.a().diagnostics().channels[&id].send as isize;
        assert_eq!(left, if off <= 0 { -off } else { PART as isize });
        let came = recv_all(sim.b(), id).0.len();
        assert_eq!(came, if off <= 0 { 8 } else { 7 });
        assert_nothing_left(&mut sim);
    }
}

#[test]
fn an_empty_message_costs_its_header() {
    let mut sim = greeted();
    let id = open(&mut sim);
    for nth in 0..WINDOW / 8 {
        assert!(sim.a().try_send(id, costing(8)).is_ok(), "message {nth}");
    }
    blocked(sim.a(), id, costing(8));
    sim.run_until_quiet();
    assert_eq!(recv_all(sim.b(), id).0.len(), WINDOW / 8);
    sim.run_until_quiet();
    assert_eq!(sim.events(A), [Event::Writable(id)]);
    sim.a().try_send(id, costing(8)).unwrap();
    assert_nothing_left(&mut sim);
}

#[test]
fn credit_comes_back_when_half_of_the_window_was_read_and_not_a_byte_before() {
    for off in [-1isize, 0, 1] {
        let mut sim = greeted();
        let id = open(&mut sim);
        for _ in 0..3 {
            sim.a().try_send(id, costing(PART)).unwrap();
        }
        let last = PART.strict_add_signed(off);
        sim.a().try_send(id, costing(last)).unwrap();
        sim.run_until_quiet();
        assert_eq!(recv_all(sim.b(), id).0.len(), 4);
        sim.run_until_quiet();
        let read = 3 * PART + last;
        let windows = sim.b().diagnostics().channels[&id];
        assert_eq!(windows.unreturned() as usize, if off < 0 { read } else { 0 });
        let credit = sim.a().diagnostics().channels[&id].send as usize;
        assert_eq!(credit, if off < 0 { WINDOW - read } else { WINDOW });
        assert_nothing_left(&mut sim);
    }
}

#[test]
fn a_sender_is_told_when_it_can_send_and_not_before() {
    let mut sim = greeted();
    let id = open(&mut sim);
    let (mut sent, mut received, mut told) = (0, 0, 0);
    for _ in 0..50 {
        while sim.a().try_send(id, costing(1_000)).is_ok() {
            sent += 1;
        }
        sim.run_until_quiet();
        assert_eq!(sim.events(A), []);
        // Message by message, until there is credit for more.
        while sim.events(A).is_empty() {
            recv_one(sim.b(), id);
            received += 1;
            assert!(received <= sent, "everything was read, and nobody told the sender");
            sim.run_until_quiet();
        }
        told += 1;
        assert!(sim.a().try_send(id, costing(1_000)).is_ok(), "told, and still blocked");
        sent += 1;
    }
    assert_eq!(told, 50);
    sim.run_until_quiet();
    assert_eq!(recv_all(sim.b(), id).0.len(), sent - received);
    assert_nothing_left(&mut sim);
}

#[test]
fn the_last_byte_of_the_connections_window_is_used() {
    // Four channels with 64 KiB each are its 256 KiB.
    for off in [-1isize, 0, 1] {
        let mut sim = greeted();
        let ids: Vec<_> = (0..5).map(|_| open(&mut sim)).collect();
        for id in &ids[..4] {
            let parts = if *id == ids[3] { 7 } else { 8 };
            for _ in 0..parts {
                sim.a().try_send(*id, costing(PART)).unwrap();
                sim.run_until_quiet();
            }
        }
        assert_eq!(sim.a().status().send_credit, PART as u32);
        sim.a().try_send(ids[4], costing(PART.strict_add_signed(off))).unwrap();
        sim.run_until_quiet();
        let waits = sim.a().status().waiting_for_credit;
        assert_eq!(waits, if off <= 0 { vec![] } else { vec![ids[4]] });
        assert_eq!(recv_all(sim.b(), ids[4]).0.len(), usize::from(off <= 0));
        // It waits for anybody's reading, not for its own channel's alone.
        for id in &ids {
            recv_all(sim.b(), *id);
        }
        sim.run_until_quiet();
        assert_eq!(recv_all(sim.b(), ids[4]).0.len(), usize::from(off > 0));
        assert_nothing_left(&mut sim);
    }
}

#[test]
fn before_hello_only_what_everybody_allows_is_spent() {
    let wide = Config { channel_window: 1 << 20, max_channel_window: 1 << 20, ..Config::default() };
    let mut sim = execnet_channel::sim::Sim::new(wide.clone(), wide).checked();
    let id = sim.a().open(false).unwrap();
    let mut sent = 0;
    while sim.a().try_send(id, costing(1_024)).is_ok() {
        sent += 1;
    }
    assert_eq!(sent, 64, "a channel begins with 64 KiB");
    sim.run_until_quiet();
    // With the HELLO comes the difference.
    assert_eq!(sim.events(A), [Event::Writable(id), Event::Hello]);
    assert_eq!(sim.a().diagnostics().channels[&id].send, (1 << 20) - (64 << 10));
    while sim.a().try_send(id, costing(1_024)).is_ok() {
        sent += 1;
        sim.run_until_quiet();
    }
    assert_eq!(sent, 1_024);
    assert_alive(&mut sim);
}

#[test]
fn what_is_dropped_unread_gives_its_credit_back() {
    let mut sim = greeted();
    let id = open(&mut sim);
    let other = open(&mut sim);
    for _ in 0..8 {
        sim.a().try_send(id, costing(PART)).unwrap();
    }
    sim.run_until_quiet();
    assert_eq!(sim.b().diagnostics().connection.held, WINDOW as u32);
    sim.b().discard(id);
    sim.run_until_quiet();
    assert_eq!(sim.b().diagnostics().connection.held, 0);
    // And so does what comes later: the sender never waits.
    for _ in 0..100 {
        sim.a().try_send(id, costing(PART)).unwrap();
        sim.run_until_quiet();
    }
    sim.a().try_send(other, costing(PART)).unwrap();
    sim.run_until_quiet();
    assert_eq!(recv_all(sim.b(), other).0.len(), 1);
    assert_nothing_left(&mut sim);
}

#[test]
fn what_comes_after_our_close_gives_its_credit_back_to_the_connection() {
    let mut sim = greeted();
    for _ in 0..40 {
        let id = open(&mut sim);
        for _ in 0..8 {
            sim.a().try_send(id, costing(PART)).unwrap();
        }
        // Crosses the messages.
        sim.b().close(id, None);
        sim.run_until_quiet();
        sim.a().forget(id);
        sim.b().forget(id);
        sim.run_until_quiet();
        sim.events(A);
        sim.events(B);
    }
    assert_nothing_left(&mut sim);
    let windows = sim.b().diagnostics().connection;
    assert_eq!(windows.receive + windows.unreturned(), windows.window);
}

#[test]
fn unread_channels_that_hold_the_whole_connection_are_named() {
    let mut sim = greeted();
    let ids: Vec<_> = (0..5).map(|_| open(&mut sim)).collect();
    for id in &ids[..4] {
        for _ in 0..8 {
            sim.a().try_send(*id, costing(PART)).unwrap();
        }
    }
    sim.a().try_send(ids[4], costing(PART)).unwrap();
    sim.run_until_quiet();
    let status = sim.b().status();
    let full = |id: &_| (*id, WINDOW as u32);
    assert_eq!(status.unread, ids[..4].iter().map(full).collect::<Vec<_>>());
    assert_eq!(status.unread_total, 4 * WINDOW as u32);
    let status = sim.a().status();
    assert_eq!((status.send_credit, status.waiting_for_credit), (0, vec![ids[4]]));
    // A single reader that goes on sets the fifth free.
    recv_all(sim.b(), ids[0]);
    sim.run_until_quiet();
    assert_eq!(recv_all(sim.b(), ids[4]).0.len(), 1);
}
