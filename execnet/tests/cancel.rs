//! Futures of the facade dropped after any number of polls: no item is lost, doubled or out of order, and nothing stays behind.

mod common;

use std::future::poll_fn;
use std::net::TcpListener;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use common::{Life, bounded, group, popen, python};
use execnet::{Channel, Ending, MultiChannel, ReceiveError, Value, XSpec};
use tokio::io::AsyncWriteExt;
use tokio::task::yield_now;

/// Whatever a gateway is asked to end within.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a future gives within so many polls; `None` when it was dropped after them.
async fn polls<F: Future>(times: usize, future: F) -> Option<F::Output> {
    dropped_after(times, true, future).await
}

/// The same for one that is sure to be woken: each poll comes when it has something to do.
async fn steps<F: Future>(times: usize, future: F) -> Option<F::Output> {
    bounded(dropped_after(times, false, future)).await
}

async fn dropped_after<F: Future>(times: usize, at_once: bool, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        if at_once {
            cx.waker().wake_by_ref();
        }
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

/// Makes a future anew after so many polls, until one gives something.
macro_rules! again {
    ($times:expr, $future:expr) => {
        bounded(async {
            loop {
                if let Some(output) = polls($times, $future).await {
                    break output;
                }
                yield_now().await;
            }
        })
        .await
    };
}

#[tokio::test]
async fn items_there_and_back() {
    let group = group();
    let Some(gw) = popen(&group).await else { return };
    for times in 1..4 {
        let mut channel = gw.remote_exec("for x in channel: channel.send(x)").await.unwrap();
        for number in 0..100 {
            again!(times, channel.send(&number)).unwrap();
            if number % 2 == 0 {
                assert_eq!(again!(times, channel.receive::<i64>()).unwrap(), number);
            } else {
                let value = again!(times, channel.receive_value()).unwrap();
                assert_eq!(value.as_i64(), Some(number));
            }
        }
        assert!(polls(times, channel.wait_close()).await.is_none());
        channel.finish_sending();
        again!(times, channel.wait_close()).unwrap();
        let end = again!(times, channel.receive::<i64>());
        assert!(matches!(end, Err(ReceiveError::End)), "{end:?}");
    }
}

#[tokio::test]
async fn sends_that_wait_for_a_reader() {
    let group = group();
    let Some(gw) = popen(&group).await else { return };
    let source = "go = channel.receive()\ngo.receive()\nfor x in channel: channel.send(x[:8])";
    let item = |number: u64| [&number.to_be_bytes()[..], &[0; 10_000]].concat();
    for times in 1..4 {
        let mut go = gw.new_channel().unwrap();
        let mut channel = gw.remote_exec(source).await.unwrap();
        channel.send(&go).await.unwrap();
        let (mut sent, mut dropped) = (0, 0);
        while dropped < 100 {
            match polls(times, channel.send_bytes(item(sent))).await {
                Some(result) => {
                    result.unwrap();
                    sent += 1;
                }
                None => dropped += 1,
            }
        }
        go.send(&()).await.unwrap();
        for number in 0..sent + 50 {
            if number >= 50 {
                let seen = again!(times, channel.receive_value()).unwrap();
                assert_eq!(seen, Value::from(&(number - 50).to_be_bytes()[..]));
            }
            if number >= sent {
                again!(times, channel.send_bytes(item(number))).unwrap();
            }
        }
        channel.finish_sending();
        for number in sent..sent + 50 {
            let seen = again!(times, channel.receive_value()).unwrap();
            assert_eq!(seen, Value::from(&number.to_be_bytes()[..]));
        }
        bounded(channel.wait_close()).await.unwrap();
    }
}

/// What a write has taken arrives, although nobody flushes, shuts down or even reads yet.
#[tokio::test]
async fn a_writer_is_dropped_with_all_that_it_took_sent() {
    let group = group();
    let Some(gw) = popen(&group).await else { return };
    let source = "go = channel.receive()\ngo.receive()\nchannel.send(sum(map(len, channel)))";
    let mut go = gw.new_channel().unwrap();
    let mut channel = gw.remote_exec(source).await.unwrap();
    channel.send(&go).await.unwrap();
    let (sender, mut receiver) = channel.split();
    let mut writer = sender.into_writer();
    let (mut taken, mut dropped) = (0, 0);
    while dropped < 100 {
        match polls(1, writer.write(&[0; 50_000])).await {
            Some(amount) => taken += amount.unwrap(),
            None => dropped += 1,
        }
        yield_now().await;
    }
    drop(writer);
    go.send(&()).await.unwrap();
    assert_eq!(bounded(receiver.receive::<usize>()).await.unwrap(), taken);
}

#[tokio::test]
async fn questions_to_a_gateway_and_its_end() {
    let group = group();
    let Some(gw) = popen(&group).await else { return };
    for times in 0..3 {
        for _ in 0..200 {
            drop(polls(times, gw.ping()).await);
            drop(polls(times, gw.status()).await);
            assert!(polls(times, gw.lost()).await.is_none());
        }
    }
    assert!(polls(0, gw.remote_exec("import os; os._exit(1)")).await.is_none());
    bounded(gw.ping()).await.unwrap();
    let status = bounded(gw.status()).await.unwrap();
    assert_eq!(status.get("channels").and_then(|n| n.as_i64()), Some(0), "{status}");

    // The request is not taken back, and all hear the same.
    let mut waiting = gw.remote_exec("channel.send(1)\nchannel.receive()").await.unwrap();
    assert_eq!(bounded(waiting.receive::<i64>()).await.unwrap(), 1);
    assert!(polls(1, gw.exit(PATIENCE)).await.is_none());
    let lost = again!(1, gw.lost());
    assert_eq!(lost.ending(), Some(Ending::Exited(0)), "{lost}");
    let failed = again!(1, gw.remote_exec("channel.send(1)"));
    assert!(failed.is_err(), "{failed:?}");
    let end = again!(1, waiting.receive::<i64>());
    assert!(matches!(end, Err(ReceiveError::End)), "{end:?}");
}

/// Processes that tell of their lives: each is connected from its start on.
struct Watched(TcpListener);

impl Watched {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn spec(&self, id: &str) -> Option<XSpec> {
        let port = self.0.local_addr().unwrap().port();
        let launcher = format!(
            "import os, socket, sys; life = socket.create_connection(('127.0.0.1', {port})); \
             life.set_inheritable(True); os.execv(sys.executable, [sys.executable] + sys.argv[1:])"
        );
        let words = [python()?.to_str().unwrap().to_owned(), "-ISc".to_owned(), launcher];
        Some(XSpec::builder().words("command", words).set("id", id).build().unwrap())
    }

    /// Waits until all are gone that ever started.
    fn wait_for_deaths(&self) -> usize {
        let lives = std::iter::from_fn(|| self.0.accept().ok());
        lives
            .map(|(life, _)| {
                life.set_nonblocking(false).unwrap();
                Life::from(life).wait_for_death();
            })
            .count()
    }
}

#[tokio::test]
async fn a_start_leaves_nothing_behind() {
    let watched = Watched::new();
    let Some(spec) = watched.spec("one") else { return };
    let group = group();
    let mut times = 0;
    let gw = loop {
        match steps(times, group.make_gateway(spec.clone())).await {
            Some(gw) => break gw.expect("its id is free"),
            None => assert!(group.is_empty()),
        }
        times += 1;
    };
    // Once at least it was dropped while its process ran.
    assert!(times > 1, "{times} polls: too few to show anything");
    bounded(gw.ping()).await.unwrap();
    assert_eq!(group.len(), 1);
    bounded(group.terminate(PATIENCE)).await.unwrap();
    assert!(watched.wait_for_deaths() >= 1);
}

#[tokio::test]
async fn starts_of_several_leave_those_that_have_started_or_none() {
    let watched = Watched::new();
    let (Some(one), Some(two)) = (watched.spec("one"), watched.spec("two")) else { return };
    let specs = [one, two];
    for all in [false, true] {
        for times in 0.. {
            let group = group();
            let done = if all {
                let made = steps(times, group.make_all(specs.clone())).await;
                assert_eq!(group.len(), if made.is_some() { 2 } else { 0 });
                made.map(Result::unwrap).is_some()
            } else {
                let made = steps(times, group.make_gateways(specs.clone())).await;
                made.map(|made| assert!(made.iter().all(Result::is_ok))).is_some()
            };
            for gw in group.gateways() {
                bounded(gw.ping()).await.unwrap();
            }
            if !done {
                // Ids of those that have not started are free again.
                for (spec, id) in specs.iter().zip(["one", "two"]) {
                    if group.get(id).is_none() && times % 4 == 0 {
                        bounded(group.make_gateway(spec.clone())).await.unwrap();
                    }
                }
            }
            bounded(group.terminate(PATIENCE)).await.unwrap();
            if done {
                assert!(times > 1, "{times} polls: too few to show anything");
                break;
            }
        }
    }
    watched.wait_for_deaths();
}

#[tokio::test]
async fn a_termination_may_be_begun_again() {
    let watched = Watched::new();
    let (Some(one), Some(two)) = (watched.spec("one"), watched.spec("two")) else { return };
    for times in 0..4 {
        let group = group();
        for gw in bounded(group.make_gateways([one.clone(), two.clone()])).await {
            let mut channel =
                gw.unwrap().remote_exec("channel.send(1)\nchannel.receive()").await.unwrap();
            bounded(channel.receive::<i64>()).await.unwrap();
        }
        if steps(times, group.terminate(PATIENCE)).await.is_none() {
            assert!(!group.is_empty(), "they have not ended");
            bounded(group.terminate(PATIENCE)).await.unwrap();
        }
        assert!(group.is_empty());
    }
    assert_eq!(watched.wait_for_deaths(), 8);
}

#[tokio::test]
async fn one_item_of_each_channel() {
    let group = group();
    let Some(gw) = popen(&group).await else { return };
    let (fast, slow) =
        ("for n in range(100): channel.send(n)", "for n in channel: channel.send(n)");
    for times in 1..4 {
        let channels = [gw.remote_exec(fast).await.unwrap(), gw.remote_exec(slow).await.unwrap()];
        let mut channels = MultiChannel::new(channels.into());
        for number in 0..100 {
            assert!(
                polls(times, channels.receive_each::<i64>()).await.is_none(),
                "one has nothing"
            );
            let limit = Duration::ZERO;
            if number % 10 == 9 {
                // Who is asked with a limit gives what there is.
                let each = bounded(channels.receive_each_within::<i64>(limit)).await;
                assert!(matches!(each[1], Err(ReceiveError::TimedOut)), "{each:?}");
                match &each[0] {
                    Ok(seen) => assert_eq!(*seen, number),
                    Err(error) => assert!(matches!(error, ReceiveError::TimedOut), "{error}"),
                }
                if each[0].is_err() {
                    assert_eq!(receive(&mut channels.channels_mut()[0]).await, number);
                }
                again!(times, channels.channels_mut()[1].send(&number)).unwrap();
                assert_eq!(receive(&mut channels.channels_mut()[1]).await, number);
                continue;
            }
            again!(times, channels.channels_mut()[1].send(&number)).unwrap();
            let each = again!(times, channels.receive_each::<i64>());
            let each: Vec<_> = each.into_iter().map(Result::unwrap).collect();
            assert_eq!(each, [number, number]);
        }
        channels.channels_mut()[1].finish_sending();
        for closed in again!(times, channels.wait_close()) {
            closed.unwrap();
        }
        for end in again!(times, channels.receive_each::<i64>()) {
            assert!(matches!(end, Err(ReceiveError::End)), "{end:?}");
        }
    }
}

#[tokio::test]
async fn an_item_sent_on_each_channel_is_whole_or_not_there() {
    let group = group();
    let Some(gw) = popen(&group).await else { return };
    for times in 0..3 {
        let mut channels = Vec::new();
        for _ in 0..3 {
            channels.push(gw.remote_exec("channel.send(list(channel))").await.unwrap());
        }
        let mut channels = MultiChannel::new(channels);
        let sent = polls(times, channels.send_each(&("a", 1))).await;
        for channel in channels.channels_mut() {
            channel.finish_sending();
            let items = bounded(channel.receive::<Vec<(String, i64)>>()).await.unwrap();
            let expected: &[_] = if sent.is_some() { &[("a".to_owned(), 1)] } else { &[] };
            assert_eq!(items, expected);
        }
    }
}

/// A gateway that dies while somebody finds out how.
#[tokio::test]
async fn how_a_gateway_died_can_be_asked_again() {
    let group = group();
    let Some(gw) = popen(&group).await else { return };
    let mut channel = gw.remote_exec("import os; channel.receive(); os._exit(3)").await.unwrap();
    let mut other = gw.new_channel().unwrap();
    channel.send(&()).await.unwrap();
    for _ in 0..3 {
        let lost = |error: ReceiveError| matches!(error, ReceiveError::Lost(lost) if lost.ending() == Some(Ending::Exited(3)));
        assert!(lost(again!(1, channel.receive::<i64>()).unwrap_err()));
        assert!(again!(1, channel.wait_close()).is_err());
        assert!(again!(1, other.send(&1)).is_err());
    }
    let mut both = MultiChannel::new(vec![channel, other]);
    for result in again!(2, both.receive_each::<i64>()) {
        assert!(matches!(result, Err(ReceiveError::Lost(_))), "{result:?}");
    }
    assert!(gw.is_lost());
}

async fn receive(channel: &mut Channel) -> i64 {
    bounded(channel.receive()).await.unwrap()
}
