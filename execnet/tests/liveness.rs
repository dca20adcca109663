//! A side that falls silent while the link stays up.

mod common;

use std::process::Command;
use std::time::Duration;

use common::bounded;
use execnet::{Config, Gateway, Group, Output, ReceiveError};

/// A gateway both sides of which are to be heard each second. The worker gives a silent controller three of them: a busy
/// machine may stop this process for almost as long.
async fn gateway() -> Option<(Group, Gateway)> {
    let every = Duration::from_secs(1);
    let config =
        Config { keepalive: Some(every), idle_timeout: Some(5 * every), ..Config::default() };
    let group = Group::builder().output(Output::discard()).config(config).build();
    let gateway = common::popen(&group).await?;
    Some((group, gateway))
}

#[tokio::test]
async fn a_far_end_that_is_stopped_fails_every_channel() {
    let Some((_group, gateway)) = gateway().await else { return };
    let mut idle = bounded(gateway.remote_exec("channel.receive()")).await.unwrap();
    let mut busy = bounded(gateway.remote_exec("while True: channel.send(1)")).await.unwrap();
    assert_eq!(bounded(busy.receive::<i64>()).await.unwrap(), 1);

    let pid = gateway.info().pid.to_string();
    assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
    let error = bounded(idle.receive::<i64>()).await.unwrap_err();
    assert!(matches!(error, ReceiveError::Lost(_)), "{error:?}");
    assert!(error.to_string().contains("no answer for"), "{error}");
    while let Ok(1) = bounded(busy.receive::<i64>()).await {}
    let error = bounded(busy.receive::<i64>()).await.unwrap_err();
    assert!(error.to_string().contains("no answer for"), "{error}");
}

#[tokio::test]
async fn a_far_end_that_computes_answers() {
    let Some((_group, gateway)) = gateway().await else { return };
    let source = "import time\nend = time.monotonic() + 7\nwhile time.monotonic() < end: pass\nchannel.send(1)";
    let mut channel = bounded(gateway.remote_exec(source)).await.unwrap();
    assert_eq!(bounded(channel.receive::<i64>()).await.unwrap(), 1);
}
