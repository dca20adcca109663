//! Much data between real processes in little memory. Alone in its program: it measures this process too.

mod common;

use std::time::Duration;

use common::{bounded, popen, resident};
use execnet::{Config, Group, Output, Value};

const MIB: usize = 1 << 20;

/// A reader slower than its worker: memory of both stays near what it was when nothing happened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_makes_the_worker_wait() {
    let group = common::group();
    let Some(gw) = popen(&group).await else { return };
    let worker = gw.info().pid;
    let here = u64::from(std::process::id());
    for (size, count) in [(MIB, 2048), (64, 16 * 1024 * 1024 / 64), (300_000, 1024 * MIB / 300_000)]
    {
        // Everything is warm, nothing is held.
        let source = format!(
            "item = bytes({size})\nchannel.send(item)\nchannel.receive()\n\
             for n in range({count}): channel.send(item)"
        );
        let mut channel = gw.remote_exec(source).await.unwrap();
        channel.receive_value().await.unwrap();
        let idle = (resident(worker), resident(here));
        channel.send(&()).await.unwrap();

        let mut most = (0, 0);
        for n in 0..count {
            if n % (MIB / size.min(MIB)).max(1) == 0 {
                // Each sample is a pause in which the worker would run ahead if it could.
                gw.ping().await.unwrap();
                most.0 = most.0.max(resident(worker));
                most.1 = most.1.max(resident(here));
            }
            let Value::Bytes(item) = bounded(channel.receive_value()).await.unwrap() else {
                panic!("not bytes")
            };
            assert_eq!(item.len(), size);
        }
        eprintln!("{count} x {size} bytes: idle {idle:?} MiB, most {most:?} MiB (worker, here)");
        assert!(most.0 <= idle.0 + 32, "the worker grew from {} to {} MiB", idle.0, most.0);
        assert!(most.1 <= idle.1 + 32, "we grew from {} to {} MiB", idle.1, most.1);
        channel.wait_close().await.unwrap();
    }
    group.terminate(Duration::from_secs(5)).await.unwrap();

    a_huge_item_lets_others_pass().await;
}

/// Called after the other, in the same test: two at once would measure each other.
async fn a_huge_item_lets_others_pass() {
    let config = Config { max_message: 1 << 30, ..Config::default() };
    let group = Group::builder().config(config).output(Output::discard()).build();
    let Some(gw) = popen(&group).await else { return };
    let mut echo = gw.remote_exec("for x in channel: channel.send(x)").await.unwrap();
    echo.send(&0).await.unwrap();
    echo.receive::<i64>().await.unwrap();
    let mut huge = gw.remote_exec("channel.send(b'x' * (512 << 20))").await.unwrap();

    let mut rounds = 0;
    let receive = huge.receive_value();
    tokio::pin!(receive);
    let item = loop {
        tokio::select! {
            biased;
            item = &mut receive => break item.unwrap(),
            result = async {
                echo.send(&rounds).await?;
                Ok::<_, Box<dyn std::error::Error>>(echo.receive::<i64>().await?)
            } => {
                assert_eq!(result.unwrap(), rounds);
                rounds += 1;
            }
        }
    };
    let Value::Bytes(item) = item else { panic!("not bytes") };
    assert_eq!(item.len(), 512 << 20);
    assert!(item.iter().all(|&byte| byte == b'x'));
    eprintln!("{rounds} rounds of ping-pong while 512 MiB passed");
    // Were the item in one piece, there would be none.
    assert!(rounds >= 5, "{rounds} rounds only");

    // One that is longer than the limit is refused where it is sent.
    let mut channel = gw.remote_exec("channel.send(b'x' * ((1 << 30) + 1))").await.unwrap();
    let error = bounded(channel.receive_value()).await.unwrap_err().to_string();
    assert!(error.contains("1073741824"), "{error}");
    group.terminate(Duration::from_secs(5)).await.unwrap();
}
