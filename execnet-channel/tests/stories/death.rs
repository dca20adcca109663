//! Sudden death at every point: what arrived whole is read, then comes the reason, for ever.

use execnet_channel::core::{Event, Received};
use execnet_channel::sim::Sim;
use execnet_channel::{ConnectionError, Message, ReceiveError, SendError};
use execnet_proto::{Fault, HEADER_LEN};

use super::common::{least, numbered};
use super::told::{A, B, assert_nothing, greeted, open, refused};

const LENGTHS: [usize; 5] = [0, 5, 300, 1, 40];

#[test]
fn after_every_single_byte() {
    let total: usize = LENGTHS.iter().map(|len| HEADER_LEN + len).sum();
    // Then an EOF and a CLOSE.
    for keep in 0..=total + 2 * HEADER_LEN {
        let mut sim = greeted();
        let id = open(&mut sim);
        assert_nothing(sim.b(), id);
        for (number, len) in LENGTHS.into_iter().enumerate() {
            sim.a().try_send(id, numbered(number as u64, len)).unwrap();
        }
        sim.a().finish(id);
        sim.a().close(id, Some(Fault::new("Oops", "")));
        sim.transmit(A);
        sim.kill(A, keep);
        sim.run_until_quiet();
        let mut left = keep;
        let whole = LENGTHS
            .iter()
            .take_while(|len| {
                let fits = left >= HEADER_LEN + **len;
                left = left.saturating_sub(HEADER_LEN + **len);
                fits
            })
            .count();
        for (number, len) in LENGTHS.into_iter().enumerate().take(whole) {
            let found = sim.b().recv(id);
            let expected = numbered(number as u64, len);
            assert!(matches!(found, Ok(Received::Message(m)) if m == expected), "{keep} bytes");
        }
        let finished = keep >= total + HEADER_LEN;
        for _ in 0..2 {
            match sim.b().recv(id) {
                Ok(Received::End) => assert!(finished, "{keep} bytes: a clean end"),
                Err(ReceiveError::Connection(_)) => assert!(!finished, "{keep} bytes"),
                other => panic!("{keep} bytes: {other:?}"),
            }
        }
        let events = sim.events(B);
        assert_eq!(events.last(), Some(&Event::Ended), "{keep} bytes");
        assert!(events.contains(&Event::Readable(id)), "{keep} bytes: its reader was not told");
        let error = sim.b().error().unwrap().clone();
        assert!(error.is_clean() || error.is_link_fault(), "{keep} bytes: {error}");
    }
}

#[test]
fn between_and_inside_frames_are_told_apart() {
    for (keep, inside) in [(0, false), (1, true), (7, true), (8, true), (12, true), (13, false)] {
        let mut sim = greeted();
        let id = open(&mut sim);
        sim.a().try_send(id, Message::bytes("hello")).unwrap();
        sim.transmit(A);
        sim.kill(A, keep);
        sim.run_until_quiet();
        match sim.b().error() {
            Some(ConnectionError::BrokenOff { place: "inside a frame" }) => assert!(inside),
            Some(ConnectionError::ClosedByPeer) => assert!(!inside, "{keep} bytes"),
            other => panic!("{keep} bytes: {other:?}"),
        }
    }
}

#[test]
fn between_two_fragments_is_inside_a_message() {
    let fragment = HEADER_LEN + (16 << 10);
    for (keep, place) in [
        (fragment - 1, "inside a frame"),
        (fragment, "inside a message"),
        (fragment + 1, "inside a frame"),
        (2 * fragment, "inside a message"),
    ] {
        let mut sim = greeted();
        let id = open(&mut sim);
        sim.a().try_send(id, Message::bytes(vec![7; 40_000])).unwrap();
        sim.transmit(A);
        sim.kill(A, keep);
        sim.run_until_quiet();
        let error = sim.b().error().unwrap();
        let broken =
            matches!(error, ConnectionError::BrokenOff { place: found } if *found == place);
        assert!(broken, "{keep} bytes: {error}");
        assert!(matches!(sim.b().recv(id), Err(ReceiveError::Connection(_))));
    }
}

#[test]
fn before_hello() {
    for keep in 0..20 {
        let mut sim = Sim::new(least(), least());
        sim.transmit(A);
        sim.kill(A, keep);
        sim.run_until_quiet();
        let error = sim.b().error().unwrap().clone();
        let expected = "the connection broke off before the first frame";
        assert_eq!(error.to_string(), expected, "{keep} bytes");
    }
}

#[test]
fn everybody_who_waits_is_told() {
    let mut sim = greeted();
    let ids: Vec<_> = (0..3).map(|_| open(&mut sim)).collect();
    for id in &ids {
        assert_nothing(sim.a(), *id);
        assert!(sim.a().closed(*id).is_none());
        while sim.a().try_send(*id, super::told::costing(8_000)).is_ok() {}
    }
    sim.run_until_quiet();
    sim.events(A);
    sim.kill(B, 0);
    sim.run_until_quiet();
    let events = sim.events(A);
    for id in ids {
        for event in [Event::Readable(id), Event::Writable(id), Event::Closed(id)] {
            let times = events.iter().filter(|told| **told == event).count();
            assert_eq!(times, 1, "{event:?}");
        }
        let error = refused(sim.a(), id, Message::bytes("x"));
        assert!(matches!(error, SendError::Connection(_)), "{error:?}");
        assert!(matches!(sim.a().closed(id), Some(Err(ReceiveError::Connection(_)))));
    }
    assert_eq!(events.last(), Some(&Event::Ended));
}

#[test]
fn a_channel_that_had_closed_cleanly_stays_clean() {
    let mut sim = greeted();
    let (clean, failed, open_still) = (open(&mut sim), open(&mut sim), open(&mut sim));
    sim.a().try_send(clean, Message::bytes("kept")).unwrap();
    sim.a().close(clean, None);
    let fault = Fault::new("Oops", "");
    sim.a().close(failed, Some(fault.clone()));
    sim.run_until_quiet();
    sim.kill(A, 0);
    sim.run_until_quiet();
    assert!(sim.b().error().is_some());
    assert!(matches!(sim.b().recv(clean), Ok(Received::Message(_))));
    assert!(matches!(sim.b().recv(clean), Ok(Received::End)));
    assert!(matches!(sim.b().closed(clean), Some(Ok(()))));
    assert!(matches!(sim.b().recv(failed), Err(ReceiveError::Remote(f)) if f == fault));
    assert!(matches!(sim.b().recv(open_still), Err(ReceiveError::Connection(_))));
}
