//! Signs of life and death, on a clock moved by hand.

use std::time::Duration;

use execnet_channel::core::Event;
use execnet_channel::sim::Sim;
use execnet_channel::{Config, ConnectionError};
use execnet_proto::{Frame, Hello, Limits, Side};

use super::common::least;
use super::common::peer::Peer;
use super::told::{A, B, assert_alive, open};

const SECOND: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);

fn config() -> Config {
    Config { keepalive: Some(10 * SECOND), idle_timeout: Some(30 * SECOND), ..least() }
}

fn silence(peer: &Peer) -> Duration {
    match peer.core.error() {
        Some(ConnectionError::NoAnswer(silence)) => *silence,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_silent_peer_is_asked_and_dies_to_the_nanosecond() {
    let mut peer = Peer::greeted(Side::Connector, config());
    let start = peer.now;
    for second in [10, 20] {
        let due = start + second * SECOND;
        assert_eq!(peer.core.next_deadline(), Some(due));
        peer.core.handle_timeout(due - NANO);
        assert_eq!(peer.said(), []);
        peer.now = due;
        peer.core.handle_timeout(due);
        let said = peer.said();
        assert!(matches!(said[..], [Frame::Ping(_)]), "{said:?}");
    }
    let due = start + 30 * SECOND;
    assert_eq!(peer.core.next_deadline(), Some(due));
    peer.core.handle_timeout(due - NANO);
    peer.assert_alive();
    peer.core.handle_timeout(due);
    assert_eq!(silence(&peer), 30 * SECOND);
    assert_eq!(peer.core.next_deadline(), None);
    assert_eq!(peer.events().last(), Some(&Event::Ended));
}

#[test]
fn every_byte_is_a_sign_of_life() {
    let mut peer = Peer::greeted(Side::Connector, config());
    // Of a frame that takes for ever.
    for byte in [0x10, 0, 1, 0] {
        peer.now += 29 * SECOND;
        peer.core.handle_timeout(peer.now);
        peer.raw(&[byte]).assert_alive();
    }
    peer.now += 30 * SECOND;
    peer.core.handle_timeout(peer.now);
    assert_eq!(silence(&peer), 30 * SECOND);
}

#[test]
fn a_promise_of_the_peer_counts_three_times() {
    let hello = Hello { keepalive_ms: 2_000, ..Hello::new(Limits::LEAST) };
    for config in [least(), config()] {
        let mut peer = Peer::greeted_with(Side::Connector, config, hello.clone());
        peer.core.handle_timeout(peer.now + 6 * SECOND - NANO);
        peer.assert_alive();
        peer.core.handle_timeout(peer.now + 6 * SECOND);
        assert_eq!(silence(&peer), 6 * SECOND);
    }
}

#[test]
fn two_idle_sides_live_on_for_a_day() {
    for latency in [Duration::ZERO, 14 * SECOND] {
        let mut sim = Sim::new(config(), config()).latency(latency);
        sim.advance(24 * 60 * 60 * SECOND);
        assert_alive(&mut sim);
        // Nobody is told of our own pings.
        assert_eq!((sim.events(A), sim.events(B)), (vec![Event::Hello], vec![Event::Hello]));
    }
}

#[test]
fn one_side_alone_keeps_both_alive() {
    // The other one never sends by itself, but answers.
    let mut sim = Sim::new(config(), Config { idle_timeout: Some(30 * SECOND), ..least() });
    sim.advance(60 * 60 * SECOND);
    assert_alive(&mut sim);
}

#[test]
fn a_link_slower_than_the_limit_is_a_dead_one() {
    let mut sim = Sim::new(config(), config()).latency(30 * SECOND + NANO);
    let start = sim.now();
    sim.advance(30 * SECOND - NANO);
    assert_alive(&mut sim);
    sim.advance(NANO);
    assert_eq!(sim.now() - start, 30 * SECOND);
    for side in [A, B] {
        let error = sim.side(side).error();
        assert!(matches!(error, Some(ConnectionError::NoAnswer(s)) if *s == 30 * SECOND));
    }
}

#[test]
fn without_settings_nothing_is_ever_due() {
    let mut sim = Sim::new(least(), least());
    sim.run_until_quiet();
    assert_eq!((sim.a().next_deadline(), sim.b().next_deadline()), (None, None));
    sim.advance(365 * 24 * 60 * 60 * SECOND);
    sim.events(B);
    open(&mut sim);
    assert_alive(&mut sim);
}

#[test]
fn our_own_pings_leave_room_for_those_of_callers() {
    // Whose answers wake a caller that found no room; those to our own wake nobody.
    let mut peer = Peer::greeted(Side::Connector, Config { keepalive: Some(SECOND), ..least() });
    for _ in 0..100 {
        peer.now += SECOND;
        peer.core.handle_timeout(peer.now);
    }
    assert_eq!(peer.said().len(), 32);
    let now = peer.now;
    assert_eq!((0..100).filter(|token| peer.core.ping(now, *token)).count(), 32);
    peer.assert_alive();
}
