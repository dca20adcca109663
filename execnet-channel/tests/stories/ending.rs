//! How channels end: half, whole, with an error, from both sides at once.

use execnet_channel::core::Event;
use execnet_channel::sim::Sim;
use execnet_channel::{Message, OpenError, ReceiveError, SendError};
use execnet_proto::{Fault, Side};

use super::common::world::{SIDES, World};
use super::common::{least, recv_all, recv_error, recv_one};
use super::told::{
    A, B, assert_alive, assert_end, assert_nothing, assert_nothing_left, blocked, costing, greeted,
    open, refused,
};

fn fault() -> Fault {
    Fault::new("ZeroDivisionError", "by zero!")
}

#[track_caller]
fn assert_remote(error: ReceiveError, expected: &Fault) {
    assert!(matches!(&error, ReceiveError::Remote(found) if found == expected), "{error:?}");
}

/// What may happen on one side of a channel.
#[derive(Debug, Clone, Copy)]
enum Act {
    Send(Side),
    Finish(Side),
    Close(Side),
    Fail(Side),
    /// Everything on its way arrives.
    Quiet,
}

/// Every order of four of these, which are all there are up to there: the model in `World` knows which end each
/// side must see.
#[test]
fn every_order_of_half_closes_and_closes() {
    let each = |act: fn(Side) -> Act| SIDES.map(act);
    let acts: Vec<Act> = [each(Act::Send), each(Act::Finish), each(Act::Close), each(Act::Fail)]
        .concat()
        .into_iter()
        .chain([Act::Quiet])
        .collect();
    let count = acts.len();
    for nth in 0..count.pow(4) {
        let order = [0, 1, 2, 3].map(|place| acts[nth / count.pow(place) % count]);
        let mut world = World::new(Sim::new(least(), least()));
        let id = world.open(A).unwrap();
        world.settle();
        for act in order {
            match act {
                Act::Send(side) => world.send(side, id, 10),
                Act::Finish(side) => world.finish(side, id),
                Act::Close(side) => world.close(side, id, None),
                Act::Fail(side) => {
                    world.close(side, id, Some(Fault::new("Oops", format!("{side:?}"))));
                }
                Act::Quiet => world.settle(),
            }
            world.take_events();
        }
        world.settle();
        world.assert_all_arrived();
        for side in SIDES {
            let ended = world.chan(side, id).unwrap().end.is_some();
            let over = order.iter().any(|act| match act {
                Act::Finish(other) => *other != side,
                Act::Close(_) | Act::Fail(_) => true,
                _ => false,
            });
            assert_eq!(ended, over, "{order:?}: {side:?} has seen an end: {ended}");
        }
        world.assert_clean_after_closing();
    }
}

#[test]
fn the_other_direction_goes_on_after_a_half_close() {
    let mut sim = greeted();
    let id = open(&mut sim);
    sim.a().try_send(id, Message::bytes("last")).unwrap();
    sim.a().finish(id);
    assert_nothing(sim.b(), id);
    sim.run_until_quiet();
    assert_eq!(sim.events(B), [Event::Readable(id)]);
    assert_eq!(recv_one(sim.b(), id), Message::bytes("last"));
    assert_end(sim.b(), id);
    // More than a window of it: credit still comes.
    for _ in 0..100 {
        sim.b().try_send(id, costing(8 << 10)).unwrap();
        sim.run_until_quiet();
        recv_one(sim.a(), id);
        sim.run_until_quiet();
    }
    assert!(matches!(refused(sim.a(), id, Message::bytes("x")), SendError::ClosedHere));
    assert_nothing(sim.a(), id);
    sim.b().finish(id);
    sim.run_until_quiet();
    assert_end(sim.a(), id);
    // Both have finished; the channel is there until it is closed.
    assert_eq!(sim.a().status().channels, 1);
    assert_nothing_left(&mut sim);
}

#[test]
fn an_eof_follows_the_message_that_still_waits() {
    let mut sim = greeted();
    let id = open(&mut sim);
    // Far more than the window.
    sim.a().try_send(id, Message::bytes(vec![7; 1 << 20])).unwrap();
    sim.a().finish(id);
    sim.a().finish(id);
    sim.run_until_quiet();
    let (messages, ended) = recv_all(sim.b(), id);
    assert_eq!((messages[0].payload.len(), ended), (1 << 20, true));
    assert_nothing_left(&mut sim);
}

#[test]
fn a_close_follows_the_message_that_still_waits() {
    let mut sim = greeted();
    let id = open(&mut sim);
    sim.a().try_send(id, Message::bytes(vec![7; 1 << 20])).unwrap();
    sim.a().close(id, Some(fault()));
    assert!(matches!(refused(sim.a(), id, Message::bytes("x")), SendError::ClosedHere));
    sim.run_until_quiet();
    assert_eq!(recv_one(sim.b(), id).payload.len(), 1 << 20);
    assert_remote(recv_error(sim.b(), id), &fault());
    assert_nothing_left(&mut sim);
}

#[test]
fn an_error_reaches_every_reader_for_ever_and_waiting_senders_fail() {
    let mut sim = greeted();
    let id = open(&mut sim);
    sim.a().try_send(id, Message::bytes("before")).unwrap();
    sim.run_until_quiet();
    recv_one(sim.b(), id);
    // It waits to read, to write, and for the close.
    while sim.b().try_send(id, costing(8 << 10)).is_ok() {}
    let message = blocked(sim.b(), id, costing(8 << 10));
    assert_nothing(sim.b(), id);
    assert!(sim.b().closed(id).is_none());
    sim.run_until_quiet();
    sim.events(B);
    sim.a().close(id, Some(fault()));
    sim.run_until_quiet();
    assert_eq!(sim.events(B), [Event::Readable(id), Event::Writable(id), Event::Closed(id)]);
    for _ in 0..3 {
        assert_remote(recv_error(sim.b(), id), &fault());
        assert_remote(sim.b().closed(id).unwrap().unwrap_err(), &fault());
    }
    assert!(matches!(refused(sim.b(), id, message), SendError::ClosedByPeer));
    // Here it ends cleanly, behind what had arrived.
    assert_eq!(recv_all(sim.a(), id), (vec![costing(8 << 10); 8], true));
    assert!(matches!(sim.a().closed(id), Some(Ok(()))), "the answer is no error");
    assert_nothing_left(&mut sim);
}

#[test]
fn a_long_message_that_waits_is_dropped_by_the_peers_close() {
    let mut sim = greeted();
    let id = open(&mut sim);
    let other = open(&mut sim);
    // Begun, and stopped by a reader who reads something else first.
    sim.a().try_send(id, Message::bytes("first")).unwrap();
    sim.a().try_send(id, Message::bytes(vec![7; 1 << 20])).unwrap();
    sim.run_until_quiet();
    assert!(sim.a().diagnostics().unsent > 0);
    sim.b().close(id, None);
    sim.run_until_quiet();
    assert_eq!(sim.a().diagnostics().unsent, 0);
    assert_eq!(recv_all(sim.b(), id), (vec![Message::bytes("first")], true));
    // Its place as the oldest unfinished one is free for the next.
    sim.a().try_send(other, Message::bytes(vec![7; 1 << 20])).unwrap();
    sim.run_until_quiet();
    assert_eq!(recv_one(sim.b(), other).payload.len(), 1 << 20);
    assert_nothing_left(&mut sim);
}

#[test]
fn closes_that_cross_each_tell_their_own_error() {
    let mut sim = greeted();
    let id = open(&mut sim);
    let theirs = Fault::new("KeyboardInterrupt", "");
    sim.a().try_send(id, Message::bytes("a")).unwrap();
    sim.b().try_send(id, Message::bytes("b")).unwrap();
    sim.a().close(id, Some(fault()));
    sim.b().close(id, Some(theirs.clone()));
    sim.run_until_quiet();
    // What came after the own close was dropped.
    assert_remote(recv_error(sim.a(), id), &theirs);
    assert_remote(recv_error(sim.b(), id), &fault());
    assert_eq!((sim.a().status().channels, sim.b().status().channels), (0, 0));
    assert_nothing_left(&mut sim);
}

#[test]
fn what_was_received_before_the_own_close_stays_readable() {
    let mut sim = greeted();
    let id = open(&mut sim);
    sim.a().try_send(id, Message::bytes("in time")).unwrap();
    sim.run_until_quiet();
    sim.b().close(id, None);
    sim.a().try_send(id, Message::bytes("too late")).unwrap();
    sim.run_until_quiet();
    assert_eq!(recv_one(sim.b(), id), Message::bytes("in time"));
    assert_end(sim.b(), id);
    assert_nothing_left(&mut sim);
}

#[test]
fn a_reader_that_waits_is_told_of_its_own_sides_close() {
    let mut sim = greeted();
    let id = open(&mut sim);
    assert_nothing(sim.a(), id);
    sim.a().close(id, None);
    assert_eq!(sim.events(A), [Event::Readable(id)]);
    assert_end(sim.a(), id);
    assert_nothing_left(&mut sim);
}

#[test]
fn the_first_close_counts() {
    let mut sim = greeted();
    let id = open(&mut sim);
    sim.a().close(id, Some(fault()));
    sim.a().close(id, Some(Fault::new("Later", "")));
    sim.a().finish(id);
    sim.run_until_quiet();
    assert_remote(recv_error(sim.b(), id), &fault());
    assert_alive(&mut sim);
}

#[test]
fn a_close_is_answered_at_once_and_makes_room_for_a_new_channel() {
    let mut sim = greeted();
    let ids: Vec<_> = (0..256).map(|_| open(&mut sim)).collect();
    assert!(matches!(sim.a().open(false), Err(OpenError::TooMany(256))));
    sim.a().close(ids[7], None);
    assert!(matches!(sim.a().open(false), Err(OpenError::TooMany(256))), "not before the answer");
    sim.run_until_quiet();
    assert_eq!((sim.a().status().channels, sim.b().status().channels), (255, 255));
    open(&mut sim);
    assert!(matches!(sim.a().open(false), Err(OpenError::TooMany(256))));
    assert_nothing_left(&mut sim);
}

#[test]
fn a_channel_nobody_accepts_is_answered_when_somebody_does() {
    let mut sim = greeted();
    let id = sim.a().open(false).unwrap();
    sim.a().try_send(id, Message::bytes("x")).unwrap();
    sim.a().close(id, None);
    sim.run_until_quiet();
    assert!(sim.a().closed(id).is_none());
    sim.b().accept(id);
    sim.run_until_quiet();
    assert!(matches!(sim.a().closed(id), Some(Ok(()))));
    assert_eq!(recv_all(sim.b(), id), (vec![Message::bytes("x")], true));
    assert_nothing_left(&mut sim);
}

#[test]
fn a_farewell_ends_all_channels_and_drains_first_when_asked_to() {
    for drain in [false, true] {
        let mut sim = greeted();
        let id = open(&mut sim);
        sim.a().try_send(id, Message::bytes(vec![7; 1 << 20])).unwrap();
        if drain {
            sim.a().drain_connection();
        } else {
            sim.a().close_connection(None);
        }
        sim.run_until_quiet();
        let error = sim.b().error().expect("it has ended").clone();
        assert!(error.is_clean(), "{error}");
        let mut received = 0;
        let end = loop {
            match sim.b().recv(id) {
                Ok(execnet_channel::core::Received::Message(_)) => received += 1,
                end => break end,
            }
        };
        assert_eq!(received, usize::from(drain));
        assert!(matches!(end, Err(ReceiveError::Connection(_))), "{end:?}");
        assert_eq!(sim.events(B).last(), Some(&Event::Ended));
    }
}
