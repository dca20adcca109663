//! How connections and channels end: by dropping, by closing, by dying.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use execnet_channel::{Config, ConnectionError, Message, Mux, ReceiveError, SendError};
use execnet_proto::{Fault, Frame, Hello, Limits, MAGIC, Side, Terminate};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, duplex};
use tokio::time::advance;

use super::support::{End, Ends, Task, message, now, poll_times, zeros};

#[tokio::test]
async fn dropping_a_channel_closes_it_behind_what_was_sent() {
    let mut ends = Ends::new(1 << 20);
    let (mut channel, mut far) = ends.open();
    now(channel.send(message(0))).unwrap();
    drop(channel);
    ends.run();
    assert_eq!(now(far.recv()).unwrap(), Some(message(0)));
    assert_eq!(now(far.recv()).unwrap(), None);
    assert_eq!(now(far.recv()).unwrap(), None);
    let failed = now(far.send(message(1)));
    assert!(matches!(failed, Err(SendError::ClosedByPeer)), "{failed:?}");
    drop(far);
    ends.run();
    assert_eq!((ends.a.mux.status().channels, ends.b.mux.status().channels), (0, 0));
}

#[tokio::test]
async fn a_long_message_is_sent_to_its_end_before_the_close() {
    let mut ends = Ends::new(1 << 10);
    let (mut channel, mut far) = ends.open();
    now(channel.send(zeros(1 << 20))).unwrap();
    drop(channel);
    ends.run();
    assert_eq!(now(far.recv()).unwrap().map(|m| m.payload.len()), Some(1 << 20));
    assert_eq!(now(far.recv()).unwrap(), None);
}

#[tokio::test]
async fn a_reader_hears_the_error_behind_the_messages_for_ever() {
    let mut ends = Ends::new(1 << 20);
    let (mut channel, mut far) = ends.open();
    let fault = Fault::new("ZeroDivisionError", "by zero!");
    now(channel.send(message(0))).unwrap();
    channel.close_with_error(fault.clone());
    ends.run();
    assert_eq!(now(far.recv()).unwrap(), Some(message(0)));
    for _ in 0..3 {
        let result = now(far.recv());
        assert!(matches!(&result, Err(ReceiveError::Remote(f)) if *f == fault), "{result:?}");
        let result = now(far.wait_close());
        assert!(matches!(&result, Err(ReceiveError::Remote(f)) if *f == fault), "{result:?}");
    }
}

#[tokio::test]
async fn dropping_one_half_ends_one_direction() {
    let mut ends = Ends::new(1 << 20);
    let (channel, mut far) = ends.open();
    let (mut sender, mut receiver) = channel.split();
    now(sender.send(message(0))).unwrap();
    drop(sender);
    ends.run();
    assert_eq!(now(far.recv()).unwrap(), Some(message(0)));
    assert_eq!(now(far.recv()).unwrap(), None);
    now(far.send(message(1))).unwrap();
    ends.run();
    assert_eq!(now(receiver.recv()).unwrap(), Some(message(1)));
    drop(receiver);
    ends.run();
    assert!(now(far.wait_close()).is_ok());
}

#[tokio::test]
async fn whatever_is_dropped_first_unread_messages_are_given_back_once() {
    for order in 0..3 {
        for read in 0..3 {
            let mut ends = Ends::new(1 << 20);
            let (mut channel, mut far) = ends.open();
            let mut sending = Task::new(async move {
                for len in [100, 20_000, 1 << 20, 100] {
                    let _ = channel.send(zeros(len)).await;
                }
                channel
            });
            while sending.poll_if_woken() | ends.step() {}
            // What is read first brings the others along into the handle.
            for _ in 0..read {
                now(far.recv()).unwrap().unwrap();
                while sending.poll_if_woken() | ends.step() {}
            }
            assert!(ends.b.mux.status().unread_total > 0);
            let (sender, receiver) = match order {
                0 => {
                    drop(far);
                    (None, None)
                }
                1 => {
                    let (sender, receiver) = far.split();
                    drop(receiver);
                    (Some(sender), None)
                }
                _ => {
                    let (sender, receiver) = far.split();
                    drop(sender);
                    (None, Some(receiver))
                }
            };
            while sending.poll_if_woken() | ends.step() {}
            drop((sender, receiver));
            while sending.poll_if_woken() | ends.step() {}
            let status = ends.b.mux.status();
            assert_eq!((status.unread_total, status.unread), (0, vec![]), "{order}, {read}");
            let kept = format!("{:?}", ends.b.mux);
            assert!(kept.contains(" advanced: 0,"), "{order}, {read}: {kept}");
            drop(sending);
            ends.run();
            let kept = format!("{:?}", ends.b.mux);
            assert!(kept.contains("channels: {}"), "{order}, {read}: {kept}");
        }
    }
}

#[tokio::test]
async fn a_receiver_that_is_dropped_does_not_hold_the_sender_up() {
    let mut ends = Ends::new(1 << 20);
    let (mut channel, far) = ends.open();
    let (mut back, receiver) = far.split();
    now(channel.send(zeros(100_000))).unwrap();
    ends.run();
    drop(receiver);
    for _ in 0..100 {
        let mut sending = Task::new(channel.send(zeros(100_000)));
        while sending.poll_if_woken() | ends.step() {}
        sending.output.expect("it waits for credit").unwrap();
    }
    now(back.send(message(0))).unwrap();
    ends.run();
    assert_eq!(now(channel.recv()).unwrap(), Some(message(0)));
    assert_eq!(ends.b.mux.status().unread_total, 0);
}

#[tokio::test]
async fn dropping_the_mux_leaves_its_channels_alive_and_the_last_one_says_farewell() {
    let mut ends = Ends::new(1 << 20);
    let (mut channel, mut far) = ends.open();
    let End { mux, incoming, mut driver, .. } = ends.a;
    drop((mux, incoming));
    now(channel.send(message(0))).unwrap();
    while driver.poll_if_woken() | ends.b.driver.poll_if_woken() {}
    assert_eq!(now(far.recv()).unwrap(), Some(message(0)));
    assert!(ends.b.mux.error().is_none());
    now(channel.send(message(1))).unwrap();
    drop(channel);
    while driver.poll_if_woken() | ends.b.driver.poll_if_woken() {}
    assert_eq!(now(far.recv()).unwrap(), Some(message(1)));
    assert_eq!(now(far.recv()).unwrap(), None);
    assert!(matches!(ends.b.mux.error(), Some(ConnectionError::ClosedByPeer)));
    assert!(matches!(driver.output, Some(Ok(()))));
    assert!(matches!(ends.b.result(), Some(Ok(()))));
}

#[tokio::test]
async fn what_was_sent_before_the_last_handle_was_dropped_arrives() {
    // More than the link, the send buffer and the first windows hold together.
    let mut ends = Ends::new(1 << 10);
    let (mut channel, mut far) = ends.open();
    now(channel.send(zeros(4 << 20))).unwrap();
    let End { mux, incoming, mut driver, .. } = ends.a;
    drop((mux, incoming, channel));
    while driver.poll_if_woken() | ends.b.driver.poll_if_woken() {}
    assert_eq!(now(far.recv()).unwrap().map(|m| m.payload.len()), Some(4 << 20));
    assert_eq!(now(far.recv()).unwrap(), None);
}

#[tokio::test]
async fn dropping_the_driver_breaks_the_connection_off_on_both_sides() {
    let mut ends = Ends::new(1 << 20);
    let (mut channel, mut far) = ends.open();
    let mut reader = Task::new(channel.recv());
    assert!(!reader.poll());
    drop(ends.a.driver);
    assert!(reader.poll_if_woken(), "its reader was not told");
    let result = reader.output.unwrap();
    let here = ConnectionError::ClosedHere.to_string();
    assert!(matches!(&result, Err(error) if error.to_string() == here), "{result:?}");
    while ends.b.driver.poll_if_woken() {}
    let result = now(far.recv());
    assert!(matches!(result, Err(ReceiveError::Connection(_))), "{result:?}");
}

#[tokio::test]
async fn a_farewell_with_an_error_is_told_to_the_peer() {
    let mut ends = Ends::new(1 << 20);
    let (_channel, mut far) = ends.open();
    ends.a.mux.close(Some(Fault::new("SettingFailed", "chdir: no such folder")));
    ends.run();
    let result = now(far.recv());
    let refused = matches!(
        &result,
        Err(ReceiveError::Connection(ConnectionError::Refused(fault))) if fault.kind == "SettingFailed"
    );
    assert!(refused, "{result:?}");
    assert!(matches!(ends.b.result(), Some(Err(ConnectionError::Refused(_)))));
    assert!(matches!(ends.a.result(), Some(Ok(()))));
}

/// All bytes that a side says: HELLO, OPEN, one short message and a long one, CLOSE.
async fn spoken() -> Vec<u8> {
    let (here, mut there) = duplex(1 << 20);
    let (mux, incoming, driver) = Mux::over(here, Side::Connector, Config::default()).unwrap();
    let mut channel = mux.open().unwrap();
    now(channel.send(message(0))).unwrap();
    now(channel.send(zeros(40_000))).unwrap();
    let mut driver = Task::new(driver);
    driver.poll();
    drop((channel, mux, incoming));
    drop(driver);
    let mut bytes = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut there, &mut bytes).await.unwrap();
    bytes
}

#[tokio::test]
async fn a_peer_that_disappears_after_any_byte_is_never_a_clean_end_of_a_message() {
    let bytes = spoken().await;
    assert!(bytes.len() > 32_000);
    let all: Vec<usize> = (0..400).chain((400..bytes.len()).step_by(997)).collect();
    for keep in all {
        let (mut peer, here) = duplex(1 << 20);
        let mut end = End::new(here, Side::FarEnd, Config::default());
        peer.write_all(&bytes[..keep]).await.unwrap();
        while end.driver.poll_if_woken() {}
        let channel = poll_times(1, end.incoming.next()).flatten();
        drop(peer);
        while end.driver.poll_if_woken() {}
        let error = end.mux.error().expect("the end was seen");
        let clean = error.is_clean();
        assert!(clean || error.is_link_fault(), "after {keep} bytes: {error}");
        let result = end.result().expect("the driver has ended");
        assert_eq!(result.is_ok(), clean, "after {keep} bytes: {result:?}");
        assert!(now(end.incoming.next()).is_none());
        let Some(execnet_channel::Request::Opened { mut channel, .. }) = channel else { continue };
        // What arrived whole is read; what did not is an error, for ever.
        loop {
            match now(channel.recv()) {
                Ok(Some(found)) => assert!([32, 40_000].contains(&found.payload.len())),
                Ok(None) => panic!("after {keep} bytes: a clean end"),
                Err(ReceiveError::Connection(_)) => break,
                Err(other) => panic!("after {keep} bytes: {other}"),
            }
        }
        let failed = now(channel.send(Message::bytes("x")));
        assert!(matches!(failed, Err(SendError::Connection(_))));
    }
}

#[tokio::test]
async fn a_link_that_fails_says_how() {
    struct Failing;
    impl AsyncRead for Failing {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::Error::other("the cable was cut")))
        }
    }
    let (mux, _incoming, driver) =
        Mux::new(Failing, tokio::io::sink(), Side::Connector, Config::default()).unwrap();
    let error = now(driver).unwrap_err();
    assert!(error.is_link_fault());
    assert_eq!(error.to_string(), "the link failed: the cable was cut");
    assert_eq!(now(mux.closed()).to_string(), error.to_string());
}

#[tokio::test]
async fn ten_thousand_channels_leave_nothing_behind() {
    let mut ends = Ends::new(1 << 20);
    for round in 0..100 {
        let mut channels: Vec<_> = (0..100).map(|_| ends.a.mux.open().unwrap()).collect();
        for (nth, channel) in channels.iter_mut().enumerate() {
            now(channel.send(message(nth))).unwrap();
            poll_times(1, channel.recv());
            poll_times(1, channel.wait_close());
        }
        ends.run();
        for nth in 0..100 {
            let mut far = ends.b.accept();
            assert_eq!(now(far.recv()).unwrap(), Some(message(nth)));
            match (round + nth) % 3 {
                0 => now(far.send(message(0))).unwrap(),
                1 => far.finish(),
                _ => far.close_with_error(Fault::new("Oops", "")),
            }
        }
        drop(channels);
        ends.run();
        assert_eq!((ends.a.mux.status().channels, ends.b.mux.status().channels), (0, 0));
    }
    for end in [&ends.a, &ends.b] {
        let status = end.mux.status();
        assert_eq!((status.unread_total, status.unread.len()), (0, 0));
        assert_eq!(status.waiting_for_credit, []);
        // The tables of channels and of wakers: their text names whatever is kept.
        let kept = format!("{:?}", end.mux);
        assert!(kept.contains("channels: {}"), "{kept}");
        for table in ["readers", "writers", "closers"] {
            assert!(kept.contains(&format!("{table}: {{}}")), "{table} in {kept}");
        }
    }
}

#[tokio::test]
async fn no_waiting_future_stays_behind_when_it_is_dropped() {
    let mut ends = Ends::new(1 << 20);
    let mux = ends.a.mux.clone();
    let text = || format!("{:?}", mux).matches("Waker").count();
    ends.run();
    let before = text();
    for _ in 0..100 {
        assert!(poll_times(3, mux.closed()).is_none());
        assert!(poll_times(3, mux.ping()).is_none());
        ends.run();
    }
    assert_eq!(text(), before, "wakers of futures that are gone: {mux:?}");
}

/// A waker keeps its task's memory: it goes with the half that it was for, though the other half stays.
#[tokio::test]
async fn a_receiver_that_is_dropped_takes_its_waker_along() {
    let mut ends = Ends::new(1 << 20);
    let (mut channel, far) = ends.open();
    let (_back, mut receiver) = far.split();
    let mut reading = Task::new(async move {
        while let Some(message) = receiver.recv().await.unwrap() {
            assert_eq!(message.payload.len(), 32);
        }
    });
    for number in 0..3 {
        assert!(!reading.poll());
        now(channel.send(message(number))).unwrap();
        ends.run();
    }
    drop(reading);
    let kept = format!("{:?}", ends.b.mux);
    assert!(kept.contains("readers: {}"), "{kept}");
}

/// Takes so many writes and flushes, then fails.
struct FailingWriter {
    writes: usize,
    flushes: usize,
    error: fn() -> io::Error,
}

fn one_less(left: &mut usize, error: fn() -> io::Error) -> Poll<io::Result<()>> {
    let less = left.checked_sub(1).ok_or_else(error);
    Poll::Ready(less.map(|less| *left = less))
}

impl AsyncWrite for FailingWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let error = self.error;
        one_less(&mut self.writes, error).map_ok(|()| bytes.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let error = self.error;
        one_less(&mut self.flushes, error)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn everybody_is_told_of_a_write_that_fails_though_nothing_else_happens() {
    for (writes, flushes) in [(0, 9), (1, 9), (2, 9), (9, 0), (9, 1)] {
        let (reader, peer) = duplex(64);
        let error = || io::Error::other("the cable was cut");
        let writer = FailingWriter { writes, flushes, error };
        let (mux, _incoming, driver) =
            Mux::new(reader, writer, Side::Connector, Config::default()).unwrap();
        let mut driver = Task::new(driver);
        let mut channel = mux.open().unwrap();
        let mut reading = Task::new(channel.recv());
        let mut closed = Task::new(mux.closed());
        assert!(!reading.poll() && !closed.poll());
        for _ in 0..4 {
            if mux.error().is_none() {
                mux.terminate(Terminate { grace_ms: 1, kill_ms: 2 });
                while driver.poll_if_woken() {}
            }
        }
        assert!(reading.poll_if_woken(), "{writes}, {flushes}: its reader was not told");
        assert!(closed.poll_if_woken());
        let text = "the link failed: the cable was cut";
        assert_eq!(closed.output.unwrap().to_string(), text);
        assert_eq!(reading.output.unwrap().unwrap_err().to_string(), text);
        drop(peer);
        while driver.poll_if_woken() {}
        assert_eq!(driver.output.unwrap().unwrap_err().to_string(), text);
    }
}

/// What the peer still says is read; when it says nothing more, the failed write is the reason.
#[tokio::test(start_paused = true)]
async fn whoever_cannot_be_written_to_may_speak_and_not_be_silent() {
    for says_why in [false, true] {
        let (reader, mut peer) = duplex(1 << 10);
        let writer =
            FailingWriter { writes: 0, flushes: 0, error: || io::ErrorKind::BrokenPipe.into() };
        let (mux, _incoming, driver) =
            Mux::new(reader, writer, Side::Connector, Config::default()).unwrap();
        let mut driver = Task::new(driver);
        let mut closed = Task::new(mux.closed());
        assert!(!closed.poll());
        let mut stream = BytesMut::from(&MAGIC[..]);
        Frame::Hello(Box::new(Hello::new(Limits::LEAST))).encode(&mut stream);
        for byte in stream {
            while driver.poll_if_woken() {}
            assert!(mux.error().is_none());
            peer.write_all(&[byte]).await.unwrap();
            advance(Duration::from_millis(900)).await;
        }
        if says_why {
            let mut farewell = BytesMut::new();
            let fault = Some(Fault::new("Enough", "of this"));
            Frame::Close { channel: None, fault }.encode(&mut farewell);
            peer.write_all(&farewell).await.unwrap();
        }
        while driver.poll_if_woken() {}
        assert_eq!(mux.error().is_some(), says_why);
        advance(Duration::from_millis(1_100)).await;
        while driver.poll_if_woken() {}
        assert!(closed.poll_if_woken(), "nobody is told");
        match closed.output.unwrap() {
            ConnectionError::Refused(fault) if says_why => assert_eq!(fault.kind, "Enough"),
            ConnectionError::Link(error) if !says_why => {
                assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
            }
            other => panic!("{other:?}"),
        }
    }
}
