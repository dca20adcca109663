//! What an item costs in memory on its way between a program and a worker, counted by the allocator.
//!
//! The bounds are what was measured, with little room above: a change that needs more has to say so here.

mod common;

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use execnet::{Channel, Value};
use serde::{Deserialize, Serialize};

const ROUNDS: u64 = 200;
const MIB: usize = 1 << 20;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Item {
    id: u64,
    name: String,
    ok: bool,
}

/// Runs `round` until all buffers have their size, then counts what [`ROUNDS`] more take. Program, driver and
/// runtime share one thread, which is the one that is counted.
fn count(source: &str, round: impl AsyncFn(&mut Channel)) -> Option<AllocationInfo> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let group = common::group();
    let (_gateway, mut channel) = runtime.block_on(async {
        let gateway = common::popen(&group).await?;
        let channel = gateway.remote_exec(source).await.unwrap();
        Some((gateway, channel))
    })?;
    let mut rounds = || {
        runtime.block_on(common::bounded(async {
            for _ in 0..ROUNDS {
                round(&mut channel).await;
            }
        }));
    };
    rounds();
    let info = measure(&mut rounds);
    runtime.block_on(group.terminate(std::time::Duration::from_secs(5))).unwrap();
    Some(info)
}

/// Allocations for each round.
fn each(info: &AllocationInfo) -> f64 {
    info.count_total as f64 / ROUNDS as f64
}

#[test]
fn an_int_there_and_back() {
    let Some(info) = count("for x in channel: channel.send(x)", async |channel| {
        channel.send(&42).await.unwrap();
        assert_eq!(channel.receive::<i64>().await.unwrap(), 42);
    }) else {
        return;
    };
    eprintln!("{} allocations, {} bytes", each(&info), info.bytes_total / ROUNDS);
    assert!(each(&info) <= 5.0, "{} allocations", each(&info));
}

#[test]
fn a_struct_there_and_back() {
    let item = Item { id: 17, name: "worker-17".into(), ok: true };
    let Some(info) = count("for x in channel: channel.send(x)", async |channel| {
        channel.send(&item).await.unwrap();
        assert_eq!(channel.receive::<Item>().await.unwrap(), item);
    }) else {
        return;
    };
    eprintln!("{} allocations, {} bytes", each(&info), info.bytes_total / ROUNDS);
    // One more than an int: its text.
    assert!(each(&info) <= 6.0, "{} allocations", each(&info));
}

#[test]
fn bytes_are_not_copied_on_their_way_out() {
    let bytes = Bytes::from(vec![7; MIB]);
    let source = "for x in channel: channel.send(len(x))";
    let Some(info) = count(source, async |channel| {
        channel.send_bytes(bytes.clone()).await.unwrap();
        assert_eq!(channel.receive::<usize>().await.unwrap(), MIB);
    }) else {
        return;
    };
    eprintln!("{} allocations, {} bytes", each(&info), info.bytes_total / ROUNDS);
    assert!(info.bytes_total / ROUNDS < MIB as u64 / 4, "{} bytes", info.bytes_total / ROUNDS);
}

#[test]
fn bytes_are_joined_once_on_their_way_in() {
    // As a value, and as a type that takes the message's memory over.
    let source = "item = b'x' * (1 << 20)\nfor x in channel: channel.send(item)";
    let Some(value) = count(source, async |channel| {
        channel.send(&1).await.unwrap();
        let Value::Bytes(bytes) = channel.receive_value().await.unwrap() else { panic!("bytes") };
        assert_eq!(bytes.len(), MIB);
    }) else {
        return;
    };
    let Some(typed) = count(source, async |channel| {
        channel.send(&1).await.unwrap();
        assert_eq!(channel.receive::<Bytes>().await.unwrap().len(), MIB);
    }) else {
        return;
    };
    for info in [value, typed] {
        eprintln!("{} allocations, {} bytes", each(&info), info.bytes_total / ROUNDS);
        // Fragments as they arrive, and the whole of them.
        assert!(info.bytes_total / ROUNDS < 3 * MIB as u64, "{} bytes", info.bytes_total / ROUNDS);
    }
}
