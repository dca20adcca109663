//! Channels as streams and sinks, whole and split.

use execnet_channel::{Config, Message, ReceiveError, Request, SendError};
use execnet_proto::{Fault, Format};
use futures_util::{SinkExt, StreamExt};

use super::support::{Ends, Task, message, now, poll_times, taken, zeros};

#[tokio::test]
async fn a_channel_is_a_sink_and_a_stream() {
    let mut ends = Ends::new(1 << 20);
    let (mut channel, mut far) = ends.open();
    for number in 0..10 {
        now(channel.feed(message(number))).unwrap();
    }
    now(SinkExt::<Message>::flush(&mut channel)).unwrap();
    now(SinkExt::<Message>::close(&mut channel)).unwrap();
    ends.run();
    for number in 0..10 {
        assert_eq!(now(far.next()).unwrap().unwrap(), message(number));
    }
    assert!(now(far.next()).is_none());
    // Only the sending has ended.
    now(SinkExt::send(&mut far, message(10))).unwrap();
    ends.run();
    assert_eq!(now(channel.next()).unwrap().unwrap(), message(10));
}

#[tokio::test]
async fn halves_are_a_sink_and_a_stream_in_two_tasks() {
    let mut ends = Ends::new(4 << 10);
    let (channel, far) = ends.open();
    let (mut sender, _receiver) = channel.split();
    let (_back, receiver) = far.split();
    let messages = futures_util::stream::iter((0..1_000).map(|n| Ok(message(n))));
    let mut sending = Task::new(async move { sender.send_all(&mut messages.fuse()).await });
    let mut reading = Task::new(receiver.collect::<Vec<_>>());
    while sending.poll_if_woken() | reading.poll_if_woken() | ends.step() {}
    sending.output.take().unwrap().unwrap();
    // The sender lives in the task: with it the stream ends.
    drop(sending);
    while reading.poll_if_woken() | ends.step() {}
    let received = reading.output.expect("the end has not come");
    assert_eq!(received.len(), 1_000);
    for (number, found) in received.into_iter().enumerate() {
        assert_eq!(found.unwrap(), message(number));
    }
}

#[tokio::test]
async fn a_stream_yields_the_error_once_and_then_ends() {
    let mut ends = Ends::new(1 << 20);
    let (mut channel, mut far) = ends.open();
    now(channel.send(message(0))).unwrap();
    channel.close_with_error(Fault::new("Oops", "no"));
    ends.run();
    assert_eq!(now(far.next()).unwrap().unwrap(), message(0));
    let error = now(far.next()).unwrap();
    assert!(matches!(error, Err(ReceiveError::Remote(_))), "{error:?}");
    assert!(now(far.next()).is_none());
    assert!(now(far.next()).is_none());
}

#[tokio::test]
async fn a_sink_that_took_a_message_sends_it_before_a_later_one() {
    let mut ends = Ends::new(1 << 20);
    let (mut channel, mut far) = ends.open();
    let mut sent = 0;
    while taken(channel.send(zeros(10_000))) {
        sent += 1;
        ends.run();
    }
    // Without credit the sink holds one.
    let long = |number| Message::bytes(vec![number; 10_000]);
    now(channel.feed(long(1))).unwrap();
    let mut later = Task::new(channel.send(long(2)));
    assert!(!later.poll());
    for _ in 0..sent {
        assert_eq!(now(far.recv()).unwrap().unwrap().payload.len(), 10_000);
        ends.run();
    }
    assert!(later.poll_if_woken());
    later.output.take().unwrap().unwrap();
    drop(later);
    ends.run();
    assert_eq!(now(far.recv()).unwrap(), Some(long(1)));
    assert_eq!(now(far.recv()).unwrap(), Some(long(2)));
}

#[tokio::test]
async fn closing_here_keeps_what_was_received_and_refuses_what_is_to_be_sent() {
    let mut ends = Ends::new(1 << 20);
    let (mut channel, mut far) = ends.open();
    now(far.send(message(0))).unwrap();
    ends.run();
    channel.close();
    assert!(channel.is_closed());
    let failed = now(channel.send(message(1)));
    assert!(matches!(failed, Err(SendError::ClosedHere)), "{failed:?}");
    assert_eq!(now(channel.recv()).unwrap(), Some(message(0)));
    assert_eq!(now(channel.recv()).unwrap(), None);
    ends.run();
    assert!(far.is_closed());
    now(channel.wait_close()).unwrap();
}

#[tokio::test]
async fn values_that_are_not_of_the_type_asked_for_cost_only_themselves() {
    let mut ends = Ends::new(1 << 20);
    let (mut channel, mut far) = ends.open();
    now(channel.send_value("text")).unwrap();
    now(channel.send_value(&7)).unwrap();
    ends.run();
    let wrong = now(far.recv_value::<u32>());
    assert!(matches!(wrong, Err(ReceiveError::Decode(_))), "{wrong:?}");
    assert_eq!(now(far.recv_value::<u32>()).unwrap(), Some(7));
}

#[tokio::test]
async fn readable_tells_when_there_is_something_and_takes_nothing() {
    let mut ends = Ends::new(1 << 20);
    let (mut channel, mut far) = ends.open();
    assert!(far.try_recv().is_none());
    let mut waiting = Task::new(far.readable());
    assert!(!waiting.poll());
    now(channel.send(message(0))).unwrap();
    now(channel.send(message(1))).unwrap();
    ends.run();
    assert!(waiting.poll_if_woken());
    drop(waiting);
    now(far.readable()).unwrap();
    assert_eq!(far.try_recv().unwrap().unwrap(), Some(message(0)));
    assert_eq!(now(far.recv()).unwrap(), Some(message(1)));
    assert!(far.try_recv().is_none());
    channel.close_with_error(Fault::new("Oops", "no"));
    ends.run();
    for _ in 0..2 {
        let error = now(far.readable());
        assert!(matches!(error, Err(ReceiveError::Remote(_))), "{error:?}");
        let error = far.try_recv();
        assert!(matches!(error, Some(Err(ReceiveError::Remote(_)))), "{error:?}");
    }
    channel = ends.open().0;
    ends.run();
    // Its other end is gone.
    now(channel.readable()).unwrap();
    assert_eq!(channel.try_recv().unwrap().unwrap(), None);
}

#[tokio::test]
async fn an_error_that_goes_with_its_channel_unread_is_reported() {
    let mut ends = Ends::new(1 << 20);
    let (tell, told) = std::sync::mpsc::channel();
    ends.b.mux.on_unread_error(move |id, fault| tell.send((id, fault.kind)).unwrap());
    let mut fail = |interrupt: bool| {
        let (mut channel, far) = ends.open();
        now(channel.send(message(0))).unwrap();
        if interrupt {
            far.interrupt();
        }
        channel.close_with_error(Fault::new("Oops", "no"));
        ends.run();
        far
    };
    let unread = fail(false);
    let id = unread.id();
    let (sender, receiver) = unread.split();
    drop(receiver);
    assert!(told.try_recv().is_err(), "a half of it is left");
    drop(sender);
    assert_eq!(told.try_recv().unwrap(), (id, "Oops".to_owned()));

    // Whoever has received it, waited for it or asked for it knows.
    let mut received = fail(false);
    assert!(now(received.recv()).is_ok() && now(received.recv()).is_err());
    let waited = fail(false);
    assert!(now(waited.wait_close()).is_err());
    drop((received, waited, fail(true)));
    assert!(told.try_recv().is_err());
}

#[tokio::test]
async fn the_last_message_and_the_end_leave_together_or_not_at_all() {
    let mut ends = Ends::new(1 << 20);
    let (mut channel, mut far) = ends.open();
    ends.a.writes.take();
    now(channel.send_last(message(0))).unwrap();
    ends.run();
    assert_eq!(ends.a.writes.take(), (1, 8 + 32 + 8), "DATA and EOF");
    assert_eq!(now(far.recv()).unwrap(), Some(message(0)));
    assert_eq!(now(far.recv()).unwrap(), None);
    assert!(matches!(now(channel.send(message(1))), Err(SendError::ClosedHere)));

    // One that has to wait and is given up has finished nothing.
    let (mut channel, mut far) = ends.open();
    let mut sent = 0;
    while taken(channel.send(zeros(10_000))) {
        sent += 1;
        ends.run();
    }
    assert!(poll_times(3, channel.send_last(zeros(10_000))).is_none());
    for _ in 0..sent {
        assert!(now(far.recv()).unwrap().is_some());
    }
    ends.run();
    assert!(poll_times(1, far.recv()).is_none(), "neither a message nor the end");
    now(channel.send_last(message(2))).unwrap();
    ends.run();
    assert_eq!(now(far.recv()).unwrap(), Some(message(2)));
    assert_eq!(now(far.recv()).unwrap(), None);
}

#[tokio::test]
async fn a_channel_after_others_knows_nothing_of_them() {
    let mut ends = Ends::new(1 << 20);
    for round in 0..200 {
        let (mut channel, mut far) = ends.open();
        now(channel.send(message(round))).unwrap();
        ends.run();
        if round % 2 == 0 {
            // Unread, and ended with an error.
            far.close_with_error(Fault::new("E", "of this one"));
            ends.run();
        } else {
            assert_eq!(now(far.recv()).unwrap(), Some(message(round)));
            assert!(poll_times(1, far.recv()).is_none());
            assert!(!channel.is_closed() && !far.is_closed());
            now(far.send(message(round))).unwrap();
            ends.run();
            assert_eq!(now(channel.recv()).unwrap(), Some(message(round)));
        }
        drop((channel, far));
        ends.run();
    }
    assert_eq!(ends.b.mux.status().channels, 0);
    assert_eq!(ends.b.mux.status().unread_total, 0);
}

#[tokio::test]
async fn what_comes_in_is_a_stream_that_ends_with_the_connection() {
    let mut ends = Ends::new(1 << 20);
    let channels: Vec<_> = (0..3).map(|_| ends.a.mux.open().unwrap()).collect();
    channels[1].interrupt();
    ends.run();
    let mut kinds = Vec::new();
    while let Some(request) = poll_times(1, StreamExt::next(&mut ends.b.incoming)).flatten() {
        kinds.push(match request {
            Request::Opened { channel, exec: false } => channel.id().get(),
            Request::Interrupt(channel) => 100 + channel.get(),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(kinds, [1, 3, 5, 103]);
    let mut waiting = Task::new(StreamExt::next(&mut ends.b.incoming));
    assert!(!waiting.poll());
    ends.a.mux.close(None);
    while ends.a.driver.poll_if_woken() | ends.b.driver.poll_if_woken() | waiting.poll_if_woken() {}
    assert!(waiting.output.take().expect("the connection has ended").is_none());
}

#[tokio::test]
async fn a_format_that_the_peer_does_not_read_is_named_and_costs_nothing() {
    let mut far = Config::default();
    far.hello.formats.retain(|format| format != "marshal");
    let mut ends = Ends::with(1 << 20, Config::default(), far);
    let (mut channel, mut far) = ends.open();
    let refused = now(channel.send(Message::marshal(&b"N"[..]))).unwrap_err();
    assert!(matches!(refused, SendError::Format(Format::Marshal)), "{refused:?}");
    assert!(refused.to_string().contains("marshal"), "{refused}");
    now(channel.send(message(1))).unwrap();
    ends.run();
    assert_eq!(now(far.recv()).unwrap(), Some(message(1)));
}
