//! Futures dropped after any number of polls: nothing is lost or doubled, nothing stays behind.

use std::future::pending;

use execnet_channel::{Config, Message, Request};
use execnet_proto::OutputStream;
use futures_util::future::{Either, select};

use super::support::{Ends, Task, message, now, poll_times, taken, zeros};

/// So narrow that a message takes many polls, each of which something is dropped between.
const NARROW: usize = 24;

#[tokio::test]
async fn a_dropped_send_has_sent_all_or_nothing() {
    for times in 1..4 {
        let window =
            Config { channel_window: 64 << 10, max_channel_window: 64 << 10, ..Config::default() };
        let mut ends = Ends::with(1 << 20, window.clone(), window);
        let (mut channel, mut far) = ends.open();
        let (mut sent, mut dropped, mut received) = (0, 0, 0);
        while sent < 500 {
            // Lengths that fill the window at another place each time.
            let mut payload = vec![0; 500 + 7 * (sent % 13)];
            payload[..8].copy_from_slice(&(sent as u64).to_be_bytes());
            match poll_times(times, channel.send(Message::bytes(payload))) {
                Some(result) => {
                    result.unwrap();
                    sent += 1;
                }
                None => {
                    dropped += 1;
                    assert!(dropped < 5_000, "it waits for credit for ever");
                    ends.run();
                    for _ in 0..11 {
                        let Some(message) = poll_times(times, far.recv()) else { break };
                        let message = message.unwrap().unwrap();
                        assert_eq!(message.payload[..8], (received as u64).to_be_bytes());
                        received += 1;
                    }
                    ends.run();
                }
            }
        }
        assert!(dropped > 10, "{dropped} were dropped: too few to show anything");
        channel.finish();
        ends.run();
        while let Some(message) = now(far.recv()).unwrap() {
            assert_eq!(message.payload[..8], (received as u64).to_be_bytes());
            received += 1;
            ends.run();
        }
        assert_eq!(received, sent);
    }
}

#[tokio::test]
async fn a_dropped_recv_has_taken_nothing() {
    for times in 1..4 {
        let mut ends = Ends::with(NARROW, Config::default(), Config::default());
        let (mut channel, mut far) = ends.open();
        for number in 0..50 {
            now(channel.send(message(number))).unwrap();
        }
        channel.finish();
        let (mut received, mut dropped) = (0, 0);
        loop {
            match poll_times(times, far.recv()) {
                None => {
                    dropped += 1;
                    assert!(ends.step(), "{received} received; nothing moves any more");
                }
                Some(result) => match result.unwrap() {
                    Some(found) => {
                        assert_eq!(found, message(received));
                        received += 1;
                    }
                    None => break,
                },
            }
        }
        assert_eq!(received, 50);
        assert!(dropped >= 50, "{dropped} were dropped");
    }
}

#[tokio::test]
async fn dropped_between_two_polls_and_woken_all_the_same() {
    // The one that was dropped took its wakeup along: the next one must look for itself.
    let mut ends = Ends::new(1 << 20);
    let (mut channel, mut far) = ends.open();
    let mut first = Task::new(far.recv());
    assert!(!first.poll());
    now(channel.send(message(0))).unwrap();
    ends.run();
    drop(first);
    assert_eq!(now(far.recv()).unwrap(), Some(message(0)));
    let mut second = Task::new(far.recv());
    assert!(!second.poll());
    now(channel.send(message(1))).unwrap();
    ends.run();
    assert!(second.poll_if_woken());
    assert_eq!(second.output.unwrap().unwrap(), Some(message(1)));
}

#[tokio::test]
async fn values_sent_and_received_with_interruptions() {
    let mut ends = Ends::new(NARROW);
    let (mut channel, mut far) = ends.open();
    for number in 0..20u32 {
        while poll_times(1, channel.send_value(&(number, "x"))).is_none() {
            assert!(ends.step());
        }
        let value = loop {
            match poll_times(2, far.recv_value::<(u32, String)>()) {
                Some(value) => break value.unwrap().unwrap(),
                None => assert!(ends.step()),
            }
        };
        assert_eq!(value, (number, "x".to_owned()));
    }
}

#[tokio::test]
async fn a_dropped_next_has_taken_no_request() {
    let mut ends = Ends::new(NARROW);
    for _ in 0..20 {
        drop(ends.a.mux.exec().unwrap());
        ends.a.mux.terminate(execnet_proto::Terminate { grace_ms: 1, kill_ms: 2 });
    }
    let mut requests = Vec::new();
    while requests.len() < 40 {
        match poll_times(1, ends.b.incoming.next()) {
            Some(request) => requests.push(request.unwrap()),
            None => assert!(ends.step(), "{} requests came", requests.len()),
        }
    }
    for pair in requests.chunks(2) {
        assert!(matches!(pair[0], Request::Opened { exec: true, .. }), "{pair:?}");
        assert!(matches!(pair[1], Request::Terminate(_)), "{pair:?}");
    }
}

#[tokio::test]
async fn waits_for_the_connection_or_the_close_can_be_dropped_and_begun_again() {
    let mut ends = Ends::silent(NARROW, Config::default(), Config::default());
    let mux = ends.a.mux.clone();
    let mut polls = 0;
    while poll_times(2, mux.peer()).is_none() {
        assert!(ends.step());
        polls += 1;
    }
    assert!(polls > 2);
    let (channel, mut far) = {
        let here = mux.open().unwrap();
        ends.run();
        (here, ends.b.accept())
    };
    far.close();
    while poll_times(2, channel.wait_close()).is_none() {
        assert!(ends.step());
    }
    ends.b.mux.close(None);
    while poll_times(2, mux.closed()).is_none() {
        assert!(ends.step());
    }
}

#[tokio::test]
async fn a_dropped_ping_takes_no_other_ones_answer() {
    let mut ends = Ends::new(1 << 20);
    let mux = ends.a.mux.clone();
    // More than may be unanswered at once, and then many more over time.
    for _ in 0..20 {
        for _ in 0..70 {
            assert!(poll_times(1, mux.ping()).is_none());
        }
        ends.run();
        let mut ping = Task::new(mux.ping());
        assert!(!ping.poll());
        ends.run();
        assert!(ping.poll_if_woken());
        ping.output.unwrap().unwrap();
    }
}

#[tokio::test]
async fn more_pings_at_once_than_may_be_unanswered() {
    let mut ends = Ends::new(1 << 20);
    let mux = ends.a.mux.clone();
    let mut pings: Vec<_> = (0..200).map(|_| Task::new(mux.ping())).collect();
    loop {
        let mut any = false;
        for ping in &mut pings {
            any |= ping.poll_if_woken();
        }
        if !(any | ends.step()) {
            break;
        }
    }
    for ping in pings {
        ping.output.expect("a ping that waits for ever").unwrap();
    }
}

#[tokio::test]
async fn the_answer_to_a_dropped_question_is_given_to_nobody_else() {
    let mut ends = Ends::new(1 << 20);
    let (mux, far) = (ends.a.mux.clone(), ends.b.mux.clone());
    assert!(poll_times(1, mux.peer_status()).is_none());
    ends.run();
    far.answer_status(b"\xa1\x61a\x01"[..].into());
    ends.run();
    let mut ask = Task::new(mux.peer_status());
    assert!(!ask.poll(), "a stale answer");
    ends.run();
    far.answer_status(b"\xa1\x61a\x02"[..].into());
    ends.run();
    assert!(ask.poll_if_woken());
    assert_eq!(ask.output.unwrap().unwrap(), b"\xa1\x61a\x02"[..]);
}

#[tokio::test]
async fn dropped_output_is_sent_whole_or_not_at_all() {
    let mut ends = Ends::new(NARROW);
    let far = ends.b.mux.clone();
    let (mut sent, mut dropped) = (0, 0);
    while sent < 100 {
        let bytes = vec![b'x'; 3_000];
        match poll_times(1, far.output(None, OutputStream::Stderr, bytes.into())) {
            Some(result) => {
                result.unwrap();
                sent += 1;
            }
            None => {
                dropped += 1;
                assert!(ends.step());
                while poll_times(1, ends.a.incoming.next()).is_some() {}
            }
        }
    }
    assert!(dropped > 0);
    // Counted on a second connection, from its beginning.
    let mut ends = Ends::new(NARROW);
    let far = ends.b.mux.clone();
    let (mut sent, mut came) = (0, 0);
    while sent < 60 {
        let bytes = vec![b'x'; 3_000];
        if poll_times(1, far.output(None, OutputStream::Stderr, bytes.into())).is_some() {
            sent += 1;
        } else {
            ends.step();
        }
    }
    loop {
        let moved = ends.step();
        while let Some(request) = poll_times(1, ends.a.incoming.next()) {
            let Some(Request::Output { bytes, .. }) = request else { panic!("{request:?}") };
            came += bytes.len();
        }
        if !moved {
            break;
        }
    }
    assert_eq!(came, 60 * 3_000);
}

#[tokio::test]
async fn in_a_select_loop_every_message_arrives() {
    let mut ends = Ends::new(NARROW);
    let (mut channel, mut far) = ends.open();
    let mux = ends.b.mux.clone();
    let mut reading = Task::new(async {
        for number in 0..100 {
            let closed = std::pin::pin!(mux.closed());
            let next = std::pin::pin!(far.recv());
            let found = match select(next, closed).await {
                Either::Left((found, _)) => found,
                Either::Right((error, _)) => panic!("{error}"),
            };
            assert_eq!(found.unwrap(), Some(message(number)));
        }
        pending::<()>().await;
    });
    for number in 0..100 {
        now(channel.send(message(number))).unwrap();
        ends.step();
        reading.poll_if_woken();
    }
    while ends.step() | reading.poll_if_woken() {}
    assert!(reading.output.is_none());
    drop(reading);
    assert!(poll_times(1, far.recv()).is_none());
}

#[tokio::test]
async fn asking_often_without_waiting_is_harmless() {
    // No task of tokio's around it: here the cooperative budget counts.
    let mut ends = Ends::new(1 << 20);
    let (mut channel, mut far) = ends.open();
    for _ in 0..10_000 {
        assert!(futures_util::FutureExt::now_or_never(far.recv()).is_none());
    }
    while taken(channel.send(zeros(10_000))) {}
    for _ in 0..10_000 {
        assert!(futures_util::FutureExt::now_or_never(channel.send(zeros(10_000))).is_none());
    }
}
