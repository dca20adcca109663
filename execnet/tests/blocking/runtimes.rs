//! Inside of asynchronous programs.

use std::time::Duration;

use execnet::ReceiveError;

use super::SHORT;
use super::common::threads::{group, spec, watched};
use super::common::{self, bounded};

/// What would panic, starve or hang if waiting were done by a runtime's own means.
fn use_all(spec: &str) {
    let group = group();
    group.make_all([spec, spec]).unwrap();
    let gw = group.get("gw0").unwrap();
    let mut channel = gw.remote_exec("for x in channel: channel.send(x)").unwrap();
    let timed_out = channel.receive_timeout::<i64>(SHORT);
    assert!(matches!(timed_out, Err(ReceiveError::TimedOut)), "{timed_out:?}");
    channel.send(&1).unwrap();
    assert_eq!(channel.receive::<i64>().unwrap(), 1);
    drop(channel);
    // More than a task's budget.
    let many = gw.remote_exec("for n in range(5000): channel.send(n)").unwrap();
    assert_eq!(many.map(Result::unwrap).count(), 5_000);
    let mut many = gw.remote_exec("for n in range(5000): channel.receive()").unwrap();
    (0..5_000).for_each(|n| many.send(&n).unwrap());
    many.wait_close().unwrap();

    let (_sender, receiver) = gw.remote_exec("channel.send(1)").unwrap().split();
    receiver.set_callback(|_| Ok(())).join();
    for item in group.remote_exec("channel.send(1)").unwrap().receive_each::<i64>() {
        item.unwrap();
    }
    group.exit(&gw, Duration::from_secs(5));
    group.terminate(Duration::from_secs(5)).unwrap();
}

#[test]
fn inside_of_a_current_thread_runtime() {
    let Some(spec) = spec() else { return };
    watched(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            use_all(&spec);
            let other = spec.clone();
            tokio::spawn(async move { use_all(&other) }).await.unwrap();
            let other = spec.clone();
            tokio::task::spawn_blocking(move || use_all(&other)).await.unwrap();
            let local = tokio::task::LocalSet::new();
            local.run_until(async move { use_all(&spec) }).await;
        });
    });
}

#[test]
fn inside_of_a_multi_thread_runtime() {
    let Some(spec) = spec() else { return };
    watched(|| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.unwrap().block_on(async move {
            let other = spec.clone();
            tokio::spawn(async move { use_all(&other) }).await.unwrap();
            tokio::task::spawn_blocking(move || use_all(&spec)).await.unwrap();
        });
    });
}

#[tokio::test]
async fn both_apis_in_one_program() {
    let Some(spec) = spec() else { return };
    let there = common::group();
    let gw = there.make_gateway(spec.as_str()).await.unwrap();
    let mut one = gw.remote_exec("channel.send(1)").await.unwrap();
    let two = tokio::task::spawn_blocking(move || {
        let group = group();
        let gw = group.make_gateway(spec.as_str()).unwrap();
        gw.remote_exec("channel.send(2)").unwrap().receive::<i64>().unwrap()
    });
    assert_eq!((bounded(one.receive::<i64>()).await.unwrap(), bounded(two).await.unwrap()), (1, 2));
}
