//! Who writes: the sender that answers a message that came alone, with a single one; the driver in all other cases.

use execnet_channel::Channel;

use super::support::{Ends, SHORT, message, now, poll_times};

/// Each far end has answered often enough, and waits for the next message.
fn talk(ends: &mut Ends, pairs: &mut [(Channel, Channel)]) {
    for (near, far) in pairs.iter_mut() {
        for round in 0..5 {
            assert!(poll_times(1, far.recv()).is_none());
            now(near.send(message(round))).unwrap();
            ends.run();
            assert_eq!(now(far.recv()).unwrap(), Some(message(round)));
            now(far.send(message(round))).unwrap();
            ends.run();
            assert_eq!(now(near.recv()).unwrap(), Some(message(round)));
        }
        assert!(poll_times(1, far.recv()).is_none());
    }
    ends.b.writes.take();
}

/// A dialogue whose far end has received a message that came alone.
fn asked() -> (Ends, Channel, Channel) {
    let mut ends = Ends::new(1 << 20);
    let mut pairs = [ends.open()];
    talk(&mut ends, &mut pairs);
    let [(mut near, mut far)] = pairs;
    now(near.send(message(1))).unwrap();
    ends.run();
    now(far.recv()).unwrap();
    (ends, near, far)
}

#[tokio::test]
async fn the_answer_to_a_lone_message_is_written_by_its_sender_and_what_follows_is_not() {
    let (mut ends, _near, mut far) = asked();
    now(far.send(message(1))).unwrap();
    assert_eq!(ends.b.writes.take(), (1, SHORT));
    assert_eq!(ends.b.driver.wakes(), 0);
    for number in 2..10 {
        now(far.send(message(number))).unwrap();
    }
    assert_eq!(ends.b.writes.take(), (0, 0));
    ends.b.driver.poll_if_woken();
    assert_eq!(ends.b.writes.take(), (1, 8 * SHORT));
}

#[tokio::test]
async fn the_end_behind_the_answer_goes_along() {
    let (mut ends, mut near, mut far) = asked();
    now(far.send_last(message(1))).unwrap();
    assert_eq!(ends.b.writes.take(), (1, SHORT + 8));
    ends.a.driver.poll_if_woken();
    assert_eq!(now(near.recv()).unwrap(), Some(message(1)));
    assert_eq!(now(near.recv()).unwrap(), None);
}

#[tokio::test]
async fn answers_to_messages_that_came_together_share_a_write() {
    let mut ends = Ends::new(1 << 20);
    let mut pairs: Vec<_> = (0..10).map(|_| ends.open()).collect();
    talk(&mut ends, &mut pairs);
    for (near, _) in &mut pairs {
        now(near.send(message(1))).unwrap();
    }
    ends.run();
    for (_, far) in &mut pairs {
        now(far.recv()).unwrap();
        now(far.send(message(1))).unwrap();
    }
    assert_eq!(ends.b.writes.take(), (0, 0));
    ends.run();
    assert_eq!(ends.b.writes.take(), (1, 10 * SHORT));
}

/// The last one came alone, but others that were woken before have not had their turn.
#[tokio::test]
async fn a_straggler_does_not_make_all_write_one_by_one() {
    let mut ends = Ends::new(1 << 20);
    let mut pairs: Vec<_> = (0..10).map(|_| ends.open()).collect();
    talk(&mut ends, &mut pairs);
    let (straggler, others) = pairs.split_last_mut().unwrap();
    for (near, _) in others {
        now(near.send(message(1))).unwrap();
    }
    ends.run();
    now(straggler.0.send(message(1))).unwrap();
    ends.run();
    for (_, far) in &mut pairs {
        now(far.recv()).unwrap();
        now(far.send(message(1))).unwrap();
    }
    assert!(ends.b.writes.take().0 <= 1);
    ends.run();
    assert_eq!(ends.b.writes.take().0, 1);
}

/// A message that came alone and has not been taken says nothing of those that come together afterwards.
#[tokio::test]
async fn one_that_came_before_does_not_make_all_write_one_by_one() {
    let mut ends = Ends::new(1 << 20);
    let mut pairs: Vec<_> = (0..10).map(|_| ends.open()).collect();
    talk(&mut ends, &mut pairs);
    for (nth, (near, _)) in pairs.iter_mut().enumerate() {
        now(near.send(message(1))).unwrap();
        if nth == 0 {
            ends.run();
        }
    }
    ends.run();
    for (_, far) in &mut pairs {
        now(far.recv()).unwrap();
        now(far.send(message(1))).unwrap();
    }
    assert_eq!(ends.b.writes.take(), (0, 0));
}

/// In turn, a question on a channel and the channels on which the answer's messages go: how many writes they take.
fn writes(turns: &[(usize, &[usize])]) -> usize {
    const ROUNDS: usize = 20;
    let mut ends = Ends::new(1 << 20);
    let mut pairs = [ends.open(), ends.open()];
    talk(&mut ends, &mut pairs);
    for round in 0..ROUNDS {
        for (asked, answers) in turns {
            let (near, far) = &mut pairs[*asked];
            assert!(poll_times(1, far.recv()).is_none());
            now(near.send(message(round))).unwrap();
            ends.run();
            assert_eq!(now(far.recv()).unwrap(), Some(message(round)));
            for channel in *answers {
                now(pairs[*channel].1.send(message(round))).unwrap();
            }
            ends.run();
            for channel in *answers {
                assert_eq!(now(pairs[*channel].0.recv()).unwrap(), Some(message(round)));
            }
        }
    }
    // The first answer of two messages is a surprise.
    ends.b.writes.take().0 - ROUNDS * turns.len()
}

/// Such as a header and a body.
#[tokio::test]
async fn answers_of_several_messages_are_written_together() {
    assert_eq!(writes(&[(0, &[0])]), 0);
    assert_eq!(writes(&[(0, &[0, 0])]), 1);
    assert_eq!(writes(&[(0, &[0]), (0, &[0, 0])]), 1);
    assert_eq!(writes(&[(0, &[0]), (1, &[1, 1])]), 1);
    assert_eq!(writes(&[(0, &[1, 0])]), 0);
}
