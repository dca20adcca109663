//! Keepalive and deadlines, on tokio's paused clock.

use std::future::Future;
use std::task::Poll;
use std::time::Duration;

use execnet_channel::{Config, ConnectionError};
use tokio::io::AsyncWriteExt;
use tokio::task::coop;
use tokio::time::{Instant, advance};

use super::support::{End, Ends, Task, message, now, poll_times, watched, zeros};

const SECOND: Duration = Duration::from_secs(1);

fn keepalive() -> Config {
    Config { keepalive: Some(10 * SECOND), idle_timeout: Some(30 * SECOND), ..Config::default() }
}

#[tokio::test(start_paused = true)]
async fn two_idle_sides_keep_each_other_alive() {
    let mut ends = Ends::with(1 << 20, keepalive(), keepalive());
    for _ in 0..600 {
        advance(SECOND).await;
        ends.run();
    }
    assert!(ends.a.result().is_none() && ends.b.result().is_none());
    // A PING and a PONG every ten seconds, and not more.
    let (calls, _) = ends.a.writes.take();
    assert!((60..=130).contains(&calls), "{calls} writes in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_dead_at_its_time_and_everybody_hears_it() {
    let mut ends = Ends::with(1 << 20, keepalive(), Config::default());
    let (mut channel, _far) = ends.open();
    let mux = ends.a.mux.clone();
    let mut reader = Task::new(channel.recv());
    let mut closed = Task::new(mux.closed());
    assert!(!reader.poll() && !closed.poll());
    ends.run();
    // From here on the peer is not polled any more.
    for _ in 0..29 {
        advance(SECOND).await;
        while ends.a.driver.poll_if_woken() {}
        assert!(ends.a.mux.error().is_none());
    }
    advance(SECOND - Duration::from_millis(1)).await;
    while ends.a.driver.poll_if_woken() {}
    assert!(ends.a.mux.error().is_none());
    advance(Duration::from_millis(2)).await;
    while ends.a.driver.poll_if_woken() {}
    match ends.a.mux.error() {
        Some(ConnectionError::NoAnswer(silence)) => assert_eq!(silence.as_secs(), 30),
        other => panic!("{other:?}"),
    }
    assert!(reader.poll_if_woken() && reader.output.unwrap().is_err());
    assert!(closed.poll_if_woken() && closed.output.is_some());
    // The driver does not wait for ever for a peer that is gone.
    advance(2 * SECOND).await;
    while ends.a.driver.poll_if_woken() {}
    assert!(matches!(ends.a.result(), Some(Err(ConnectionError::NoAnswer(_)))));
}

#[tokio::test(start_paused = true)]
async fn a_spawned_driver_finds_a_silent_peer_dead_by_itself() {
    let (here, there) = tokio::io::duplex(1 << 20);
    let (mux, _incoming, driver) =
        execnet_channel::Mux::over(here, execnet_proto::Side::Connector, keepalive()).unwrap();
    let start = Instant::now();
    let (result, error) = tokio::join!(driver, mux.closed());
    assert!(matches!(error, ConnectionError::NoAnswer(_)), "{error}");
    assert!(result.is_err());
    let took = start.elapsed();
    assert!(took >= 30 * SECOND && took < 32 * SECOND, "{took:?}");
    drop(there);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_traffic_put_off_again_and_again_is_kept_to_the_millisecond() {
    let mut ends = Ends::with(1 << 20, keepalive(), Config::default());
    let (mut channel, mut far) = ends.open();
    // For two minutes: longer than any timer that was set in the beginning.
    for number in 0..40 {
        now(channel.send(message(number))).unwrap();
        now(far.send(message(number))).unwrap();
        ends.run();
        assert!(now(channel.recv()).is_ok() && now(far.recv()).is_ok());
        for _ in 0..3 {
            advance(SECOND).await;
            ends.run();
        }
    }
    now(channel.send(message(0))).unwrap();
    now(far.send(message(0))).unwrap();
    ends.run();
    ends.a.writes.take();
    // Silence; the peer is not polled any more.
    let at = async |ends: &mut Ends, time: Duration| {
        advance(time).await;
        while ends.a.driver.poll_if_woken() {}
        (ends.a.writes.take().0, ends.a.mux.error().is_some())
    };
    let (almost, little) = (10 * SECOND - Duration::from_millis(2), Duration::from_millis(4));
    assert_eq!(at(&mut ends, almost).await, (0, false));
    assert_eq!(at(&mut ends, little).await, (1, false), "a PING after ten seconds");
    assert!(!at(&mut ends, 20 * SECOND - little).await.1);
    assert!(at(&mut ends, little).await.1, "dead after thirty");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_kept_though_the_task_had_no_budget_left_when_it_was_set() {
    let (here, _there) = tokio::io::duplex(1 << 20);
    let (mux, _incoming, driver) =
        execnet_channel::Mux::over(here, execnet_proto::Side::Connector, keepalive()).unwrap();
    let mut driver = std::pin::pin!(driver);
    let first = std::future::poll_fn(|cx| {
        while let Poll::Ready(unit) = coop::poll_proceed(cx) {
            unit.made_progress();
        }
        Poll::Ready(driver.as_mut().poll(cx).is_pending())
    });
    assert!(first.await);
    let (_, error) = watched(async { tokio::join!(driver, mux.closed()) }).await;
    assert!(matches!(error, ConnectionError::NoAnswer(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_wakes_the_task_that_polls_now_and_not_the_one_that_did() {
    let ends = Ends::with(1 << 20, keepalive(), Config::default());
    let End { mux, incoming: _incoming, driver, .. } = ends.a;
    // As in a `select!` of one task, and then in another one.
    let mut before = driver;
    assert!(!before.poll());
    let mut now_polls = Task::new(before.into_future());
    assert!(!now_polls.poll());
    for _ in 0..31 {
        advance(SECOND).await;
        while now_polls.poll_if_woken() {}
    }
    assert!(matches!(mux.error(), Some(ConnectionError::NoAnswer(_))));
    ends.b.driver.wakes();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_found_dead_all_the_same() {
    let mut ends = Ends::with(1 << 10, keepalive(), Config::default());
    let (mut channel, _far) = ends.open();
    now(channel.send(zeros(100_000))).unwrap();
    while ends.a.driver.poll_if_woken() {}
    for _ in 0..33 {
        advance(SECOND).await;
        while ends.a.driver.poll_if_woken() {}
    }
    assert!(matches!(ends.a.result(), Some(Err(ConnectionError::NoAnswer(_)))));
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_a_peer_that_does_not_read() {
    let mut ends = Ends::new(1 << 10);
    let (mut channel, _far) = ends.open();
    now(channel.send(zeros(100_000))).unwrap();
    while ends.a.driver.poll_if_woken() {}
    ends.a.mux.close(None);
    while ends.a.driver.poll_if_woken() {}
    assert!(ends.a.result().is_none(), "the peer has a second to take the rest");
    advance(Duration::from_millis(1_002)).await;
    while ends.a.driver.poll_if_woken() {}
    assert!(matches!(ends.a.result(), Some(Ok(()))), "{:?}", ends.a.result());
}

/// A socket that is closed before all has been read is reset, and a reset destroys what is still on its way to the peer.
#[tokio::test(start_paused = true)]
async fn closing_reads_what_the_peer_still_sends() {
    for ends_its_side in [true, false] {
        let (here, mut there) = tokio::io::duplex(64 << 10);
        let (mux, _incoming, driver) =
            execnet_channel::Mux::over(here, execnet_proto::Side::Connector, Config::default())
                .unwrap();
        let mut driver = Task::new(driver);
        mux.close(None);
        while driver.poll_if_woken() {}
        assert!(driver.output.is_none(), "the peer has not ended its side");

        let mut peer = Task::new(async move {
            there.write_all(&vec![0; 1 << 20]).await.unwrap();
            if ends_its_side {
                there.shutdown().await.unwrap();
            }
            there
        });
        while peer.poll_if_woken() | driver.poll_if_woken() {}
        assert!(peer.output.is_some(), "all of it was read");
        assert_eq!(driver.output.is_some(), ends_its_side);
        advance(Duration::from_millis(1_002)).await;
        while driver.poll_if_woken() {}
        assert!(matches!(driver.output, Some(Ok(()))), "{:?}", driver.output);
    }
}

#[tokio::test(start_paused = true)]
async fn the_round_trip_of_a_ping_is_measured() {
    let mut ends = Ends::new(1 << 20);
    let mux = ends.a.mux.clone();
    let mut ping = Task::new(mux.ping());
    assert!(!ping.poll());
    ends.a.driver.poll();
    advance(Duration::from_millis(70)).await;
    ends.run();
    ping.poll();
    assert_eq!(ping.output.unwrap().unwrap(), Duration::from_millis(70));
    assert!(poll_times(1, mux.ping()).is_none());
}
