//! Gateways that belong together.

mod common;

use std::collections::HashSet;
use std::time::Duration;

use common::{bounded, group, python};
use execnet::{GatewayError, Group, Output, ReceiveError, WaitError};
use futures_util::StreamExt;

fn spec() -> Option<String> {
    Some(format!("popen//python={}", python()?.display()))
}

#[tokio::test]
async fn ids_follow_the_specifications_and_are_unique() {
    let Some(spec) = spec() else { return };
    let group = group();
    let named = format!("{spec}//id=gw1");
    let (twice, unknown) = ("popen//popen", "popen//pyhton=python3");
    // What is refused uses no id up, wherever it is found out.
    let specs = [spec.as_str(), named.as_str(), unknown, twice, spec.as_str(), named.as_str()];
    let results = bounded(group.make_gateways(specs)).await;
    let ids: Vec<_> = results.iter().map(|result| result.as_ref().ok().map(|gw| gw.id())).collect();
    assert_eq!(ids, [Some("gw0"), Some("gw1"), None, None, Some("gw2"), None]);
    assert!(matches!(results[2], Err(GatewayError::Spec(_))));
    assert!(matches!(results[3], Err(GatewayError::Spec(_))));
    assert!(matches!(&results[5], Err(GatewayError::DuplicateId(id)) if id == "gw1"));
    assert_eq!(group.len(), 3);
    assert_eq!(group.get("gw1").unwrap().id(), "gw1");
    assert!(group.get("gw9").is_none());

    let gw1 = group.get("gw1").unwrap();
    bounded(group.exit(&gw1, Duration::from_secs(5))).await;
    assert!(group.get("gw1").is_none());
    let again = bounded(group.make_gateway(named.as_str())).await.unwrap();
    assert_eq!(again.id(), "gw1", "free again");
    bounded(group.terminate(Duration::from_secs(5))).await.unwrap();
    assert!(group.is_empty());
}

#[tokio::test]
async fn many_channels_are_used_as_one() {
    let Some(spec) = spec() else { return };
    let group = group();
    for result in bounded(group.make_gateways([spec.as_str(); 3])).await {
        result.unwrap();
    }
    let source = "
        import os
        for x in channel:
            if x == 'fail' and channel.gateway.id == 'gw1': raise ValueError(x)
            channel.send((x, os.getpid()))
    ";
    let mut channels = bounded(group.remote_exec(source)).await.unwrap();
    for result in bounded(channels.send_each("hello")).await {
        result.unwrap();
    }
    let pids: HashSet<u64> = bounded(channels.receive_each::<(String, u64)>())
        .await
        .into_iter()
        .map(|item| item.unwrap().1)
        .collect();
    let told: HashSet<u64> = group.gateways().iter().map(|gw| gw.info().pid).collect();
    assert_eq!(pids, told);
    assert_eq!(pids.len(), 3);

    // One that fails does not lose the others' items.
    bounded(channels.send_each("fail")).await;
    let items = bounded(channels.receive_each::<(String, u64)>()).await;
    assert!(items[0].is_ok() && items[2].is_ok(), "{items:?}");
    assert!(matches!(&items[1], Err(ReceiveError::Remote(error)) if error.kind() == "ValueError"));
    bounded(group.terminate(Duration::from_secs(5))).await.unwrap();
}

#[tokio::test]
async fn a_queue_ends_once_for_each_channel_also_on_death() {
    let Some(spec) = spec() else { return };
    let group = group();
    for result in bounded(group.make_gateways([spec.as_str(); 2])).await {
        result.unwrap();
    }
    let source = "
        import os
        channel.send(1)
        channel.receive()
        if channel.gateway.id == 'gw0': os._exit(7)
    ";
    let channels = bounded(group.remote_exec(source)).await.unwrap();
    let (mut senders, mut queue) = channels.receive_queue();
    let mut ends = Vec::new();
    let mut items = 0;
    while let Some((index, item)) = bounded(queue.next()).await {
        match item {
            Ok(item) => {
                items += 1;
                assert_eq!(item.as_i64(), Some(1));
                senders[index].send(&()).await.unwrap();
            }
            Err(error) => ends.push((index, error)),
        }
    }
    assert_eq!(items, 2);
    ends.sort_by_key(|(index, _)| *index);
    assert!(matches!(&ends[..], [(0, ReceiveError::Lost(_)), (1, ReceiveError::End)]), "{ends:?}");
}

#[tokio::test]
async fn terminate_ends_busy_and_dead_ones_alike() {
    let Some(spec) = spec() else { return };
    let group = group();
    for result in bounded(group.make_gateways([spec.as_str(); 3])).await {
        result.unwrap();
    }
    let gateways = group.gateways();
    let mut busy = gateways[0].remote_exec("channel.send(1)\nwhile True: pass").await.unwrap();
    assert_eq!(busy.receive::<i64>().await.unwrap(), 1);
    gateways[1].kill();
    gateways[1].lost().await;
    bounded(group.terminate(Duration::from_secs(1))).await.unwrap();
    for gateway in &gateways {
        assert!(gateway.is_lost());
    }
    bounded(group.terminate(Duration::from_secs(1))).await.unwrap();
}

#[tokio::test]
async fn a_slow_member_does_not_lose_the_items_of_the_others() {
    let (Some(spec), group) = (spec(), group()) else { return };
    for result in group.make_gateways([spec.as_str(), spec.as_str()]).await {
        result.unwrap();
    }
    let source =
        "if channel.gateway.id == 'gw1': channel.receive()\nchannel.send(channel.gateway.id)";
    let mut channels = group.remote_exec(source).await.unwrap();
    let received = channels.receive_each_within::<String>(Duration::from_millis(300)).await;
    // The first has long had the time; were it slow as well, its item would be the next one.
    let mut first = received.into_iter().next().unwrap();
    if matches!(first, Err(ReceiveError::TimedOut)) {
        first = channels.channels_mut()[0].receive().await;
    }
    assert_eq!(first.unwrap(), "gw0");
    channels.channels_mut()[1].send(&()).await.unwrap();
    let received = bounded(channels.receive_each_within::<String>(common::WATCHDOG)).await;
    assert!(matches!(received[0], Err(ReceiveError::End)), "{received:?}");
    assert_eq!(received[1].as_deref().unwrap(), "gw1");
    group.terminate(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn interrupts_reach_every_member() {
    let (Some(spec), group) = (spec(), group()) else { return };
    group.make_all([spec.as_str(), spec.as_str()]).await.unwrap();
    let mut channels = group.remote_exec("channel.send(1)\nwhile True: pass").await.unwrap();
    for item in bounded(channels.receive_each::<i64>()).await {
        item.unwrap();
    }
    channels.interrupt();
    for result in bounded(channels.wait_close()).await {
        let Err(WaitError::Remote(error)) = result else { panic!("{result:?}") };
        assert_eq!(error.kind(), "KeyboardInterrupt");
    }
    group.terminate(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn all_or_none() {
    let (Some(spec), group) = (spec(), group()) else { return };
    let bad = "popen//python=/nonexistent/python";
    let errors = group.make_all([spec.as_str(), bad, spec.as_str(), "popen//pyhton=3"]).await;
    let errors: Vec<_> = errors.unwrap_err().iter().map(ToString::to_string).collect();
    assert!(errors.len() == 2 && errors[0].contains("/nonexistent/python"), "{errors:?}");
    assert!(errors[1].contains("pyhton"), "{errors:?}");
    assert!(group.is_empty());

    let group = Group::builder().default_spec(spec).output(Output::discard()).build();
    assert_eq!(group.make_default_gateway().await.unwrap().id(), "gw0");
    group.terminate(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn what_is_to_run_leaves_with_the_worker() {
    let Some(spec) = spec() else { return };
    let group = group();
    // Short, and longer than a far end takes before it has spoken.
    for length in [0, 200_000] {
        let source =
            format!("for x in channel: channel.send(x + {length})\n#{}", "x".repeat(length));
        let mut channel = bounded(group.remote_exec_at(spec.as_str(), source)).await.unwrap();
        channel.send(&1).await.unwrap();
        assert_eq!(bounded(channel.receive::<usize>()).await.unwrap(), length + 1);
        assert!(group.get(channel.gateway().id()).unwrap().is_same(channel.gateway()));
    }
    let mut channel = bounded(group.remote_exec_at(spec.as_str(), "1 / 0")).await.unwrap();
    let Err(ReceiveError::Remote(error)) = bounded(channel.receive_value()).await else { panic!() };
    assert_eq!(error.kind(), "ZeroDivisionError");

    let nowhere = format!("{spec}//chdir=/dev/null/x");
    let touched = tempfile::tempdir().unwrap();
    let file = touched.path().join("ran");
    let touch = format!("open({:?}, 'w')", file.display().to_string());
    let missing = execnet::Source::file("/no/such/file.py");
    for (spec, source, words) in [
        (spec.as_str(), missing, "/no/such/file.py"),
        ("popen//python=/nonexistent/python", touch.as_str().into(), "/nonexistent/python"),
        (nowhere.as_str(), touch.as_str().into(), "/dev/null/x"),
        ("popen//pyhton=3", touch.as_str().into(), "pyhton"),
    ] {
        let error = bounded(group.remote_exec_at(spec, source)).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(!file.exists(), "what could not be set up was no place to run in");
    assert_eq!(group.len(), 3);
    bounded(group.terminate(Duration::from_secs(5))).await.unwrap();
}

#[tokio::test]
async fn the_whole_process_shares_a_group() {
    let Some(spec) = spec() else { return };
    let gw = bounded(execnet::make_gateway(spec.as_str())).await.unwrap();
    assert!(execnet::default_group().get(gw.id()).unwrap().is_same(&gw));
    // From a thread without a runtime it is the same group, and the gateway can be used there.
    let id = gw.id().to_owned();
    let there = tokio::task::spawn_blocking(move || {
        let gw = execnet::blocking::make_gateway(spec.as_str()).unwrap();
        assert_eq!(execnet::blocking::default_group().len(), 2);
        let first = execnet::blocking::default_group().get(&id).unwrap();
        let mut channel = first.remote_exec("channel.send(6 * 7)").unwrap();
        assert_eq!(channel.receive::<i64>().unwrap(), 42);
        gw.id().to_owned()
    });
    let id = bounded(there).await.unwrap();
    assert!(execnet::default_group().get(&id).is_some());
    bounded(execnet::default_group().terminate(Duration::from_secs(5))).await.unwrap();
    assert!(execnet::default_group().is_empty());
}
