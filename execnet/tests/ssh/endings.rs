//! However a gateway ends, its end is explained and nothing of it is left.

use std::time::Duration;

use execnet::{Ending, ReceiveError};
use execnet_testing::{Lifeline, Sshd, WATCHDOG};

use crate::common::{bounded, group};
use crate::{BACKENDS, by_each, spec};

#[tokio::test]
async fn a_death_is_explained() {
    let Some(sshd) = Sshd::start() else { return };
    for backend in BACKENDS {
        for (code, words) in
            [("os._exit(3)", "exit status 3"), ("os.kill(os.getpid(), 9)", "signal")]
        {
            let group = group();
            let spec = spec(&sshd, backend, "");
            let gw = bounded(group.make_gateway(spec.as_str())).await.unwrap();
            let source = format!("import os, sys; print('last words', file=sys.stderr); {code}");
            let mut channel = gw.remote_exec(source.as_str()).await.unwrap();
            let Err(ReceiveError::Lost(lost)) = bounded(channel.receive_value()).await else {
                panic!("{backend}: {code}")
            };
            assert!(lost.to_string().contains(words), "{backend}: {lost}");
            assert!(lost.stderr().iter().any(|line| line == "last words"), "{backend}: {lost}");
            if code == "os._exit(3)" {
                assert_eq!(lost.ending(), Some(Ending::Exited(3)), "{backend}");
            }
        }
    }
}

#[tokio::test]
async fn a_host_that_goes_away_is_noticed() {
    for backend in BACKENDS {
        let Some(mut sshd) = Sshd::start() else { return };
        let group = group();
        let spec = spec(&sshd, backend, "");
        let gw = bounded(group.make_gateway(spec.as_str())).await.unwrap();
        let mut channel = gw.remote_exec("channel.receive()").await.unwrap();
        sshd.stop();
        let Err(ReceiveError::Lost(lost)) = bounded(channel.receive_value()).await else {
            panic!("{backend}")
        };
        assert!(!lost.is_exit(), "{backend}: {lost}");
    }
}

#[tokio::test]
async fn an_exit_is_no_death() {
    by_each("", |gw| async move {
        let mut channel = gw.remote_exec("channel.send(1)").await.unwrap();
        assert_eq!(channel.receive::<i64>().await.unwrap(), 1);
        assert_eq!(gw.exit(WATCHDOG).await, Some(Ending::Exited(0)));
        assert!(gw.lost().await.is_exit());
        channel.wait_close().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn nothing_is_left_there() {
    let Some(sshd) = Sshd::start() else { return };
    for backend in BACKENDS {
        for way in ["kill", "drop", "terminate"] {
            let group = group();
            let spec = spec(&sshd, backend, "");
            let gw = bounded(group.make_gateway(spec.as_str())).await.unwrap();
            let lifeline = Lifeline::new();
            let source = lifeline.source() + "while True: pass";
            let _busy = gw.remote_exec(source.as_str()).await.unwrap();
            let life = tokio::task::spawn_blocking(move || lifeline.accept()).await.unwrap();
            match way {
                "kill" => gw.kill(),
                "drop" => drop((gw, _busy, group)),
                _ => bounded(group.terminate(Duration::ZERO)).await.unwrap(),
            }
            tokio::task::spawn_blocking(|| life.wait_for_death()).await.unwrap();
        }
    }
}
