//! Keepalive and deadlines, on tokio's paused clock.

use std::time::Duration;

use execnet_channel::{Config, ConnectionError};
use tokio::time::{Instant, advance};

use super::support::{Ends, Task, now, poll_times, zeros};

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
