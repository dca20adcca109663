//! Workers that are forked from a warm interpreter: the same as others but for how they start.

mod common;

use std::process::Command;
use std::time::Duration;

use common::{WATCHDOG, bounded, group, pythons};
use execnet::{Ending, Gateway, GatewayError, Group, ReceiveError, XSpec};

fn signal(signal: &str, pid: u64) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

/// Runs the scenario with a group of its own on every interpreter found.
async fn everywhere<F: Future<Output = ()>>(scenario: impl Fn(Group, String) -> F) {
    for python in pythons() {
        eprintln!("on {}", python.display());
        bounded(scenario(group(), format!("popen//prefork//python={}", python.display()))).await;
    }
}

async fn eval<T: serde::de::DeserializeOwned>(gateway: &Gateway, what: &str) -> T {
    let source = format!("import os, sys\nchannel.send({what})");
    let mut channel = gateway.remote_exec(source).await.unwrap();
    channel.receive().await.unwrap()
}

#[tokio::test]
async fn children_of_one_interpreter_work_like_others() {
    everywhere(async |group, spec| {
        let started = group.make_gateways(vec![spec.parse::<XSpec>().unwrap(); 8]).await;
        let gateways: Vec<Gateway> = started.into_iter().map(|gateway| gateway.unwrap()).collect();
        let parents = [eval::<u64>(&gateways[0], "os.getppid()").await];
        for (n, gateway) in gateways.iter().enumerate() {
            assert!(parents.contains(&eval::<u64>(gateway, "os.getppid()").await));
            assert_eq!(eval::<u64>(gateway, "os.getpid()").await, gateway.info().pid);
            assert_eq!(eval::<u64>(gateway, "os.getpgrp()").await, gateway.info().pid);
            // Each has a state of its own.
            assert_eq!(eval::<u64>(gateway, &format!("sys.__dict__.setdefault('mine', {n})")).await, n as u64);
            let mut echo = gateway.remote_exec("for x in channel: channel.send(x)").await.unwrap();
            echo.send(&n).await.unwrap();
            assert_eq!(echo.receive::<usize>().await.unwrap(), n);
            // No descriptor but its own.
            let fds: Vec<String> = eval(gateway, "[os.readlink('/proc/self/fd/' + fd) for fd in os.listdir('/proc/self/fd') if os.path.islink('/proc/self/fd/' + fd)]").await;
            let sockets = fds.iter().filter(|fd| fd.starts_with("socket:")).count();
            assert_eq!(sockets, 2, "{fds:?}");
        }
        group.terminate(Duration::from_secs(5)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn settings_are_each_ones_own_and_the_start_decides_who_shares() {
    everywhere(async |group, spec| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap();
        let keys = format!("{spec}//chdir={}//nice=1", path.display());
        let one = group.make_gateway(keys.as_str()).await.unwrap();
        assert_eq!(one.info().cwd, path.to_str().unwrap());
        let two = group.make_gateway(spec.as_str()).await.unwrap();
        assert_ne!(two.info().cwd, one.info().cwd);
        let parent: u64 = eval(&one, "os.getppid()").await;
        assert_eq!(eval::<u64>(&two, "os.getppid()").await, parent);
        let nicer = (eval::<i64>(&two, "os.nice(0)").await + 1).min(19);
        assert_eq!(eval::<i64>(&one, "os.nice(0)").await, nicer);

        let other =
            group.make_gateway(format!("{spec}//env:PYTHONHASHSEED=7").as_str()).await.unwrap();
        assert_ne!(eval::<u64>(&other, "os.getppid()").await, parent);
        assert_eq!(eval::<String>(&other, "os.environ['PYTHONHASHSEED']").await, "7");
        let flag =
            group.make_gateway(format!("{spec}//dont_write_bytecode").as_str()).await.unwrap();
        assert!(eval::<bool>(&flag, "sys.dont_write_bytecode").await);
        assert_ne!(eval::<u64>(&flag, "os.getppid()").await, parent);
        // Random numbers are no more alike than elsewhere.
        let random = "__import__('random').getrandbits(60)";
        assert_ne!(eval::<u64>(&one, random).await, eval::<u64>(&two, random).await);
        group.terminate(Duration::from_secs(5)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn deaths_are_told_like_those_of_others() {
    everywhere(async |group, spec| {
        let failed = |gateway: Gateway, source: &'static str| async move {
            let mut channel = gateway.remote_exec(source).await.unwrap();
            match channel.receive::<i64>().await {
                Err(ReceiveError::Lost(lost)) => lost,
                other => panic!("{other:?}"),
            }
        };
        let make = || async { group.make_gateway(spec.as_str()).await.unwrap() };
        let lost = failed(make().await, "import os; os._exit(3)").await;
        assert_eq!(lost.ending(), Some(Ending::Exited(3)));
        let lost = failed(make().await, "import os, sys; sys.stderr.write('last words\\n'); os.kill(os.getpid(), 15)").await;
        assert!(matches!(lost.ending(), Some(Ending::Signaled { signal: 15, .. })), "{lost}");
        assert!(lost.stderr().iter().any(|line| line == "last words"), "{lost}");

        // A kill takes the children along, and nobody else.
        let victim = make().await;
        let witness = make().await;
        let mut channel = victim
            .remote_exec("import subprocess\nchannel.send(subprocess.Popen(['sleep', '1000']).pid)\nchannel.receive()")
            .await
            .unwrap();
        let sleeper: u64 = channel.receive().await.unwrap();
        victim.kill();
        let lost = victim.lost().await;
        assert!(matches!(lost.ending(), Some(Ending::Signaled { signal: 9, .. })), "{lost}");
        let gone = || !std::path::Path::new(&format!("/proc/{sleeper}/cmdline")).exists()
            || std::fs::read(format!("/proc/{sleeper}/cmdline")).is_ok_and(|line| line.is_empty());
        while !gone() {
            tokio::task::yield_now().await;
        }
        assert_eq!(eval::<i64>(&witness, "1").await, 1);
        assert_eq!(witness.exit(WATCHDOG).await, Some(Ending::Exited(0)));
        group.terminate(Duration::from_secs(5)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_interrupt_reaches_the_task() {
    everywhere(async |group, spec| {
        let gateway = group.make_gateway(spec.as_str()).await.unwrap();
        let mut channel = gateway.remote_exec("channel.send(1)\nwhile True: pass").await.unwrap();
        assert_eq!(channel.receive::<i64>().await.unwrap(), 1);
        channel.interrupt();
        match channel.receive::<i64>().await {
            Err(ReceiveError::Remote(error)) => assert_eq!(error.kind(), "KeyboardInterrupt"),
            other => panic!("{other:?}"),
        }
        assert_eq!(eval::<i64>(&gateway, "1").await, 1);
        group.terminate(Duration::from_secs(5)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn when_the_warm_interpreter_dies_the_next_gateway_starts_another() {
    everywhere(async |group, spec| {
        let first = group.make_gateway(spec.as_str()).await.unwrap();
        let warm: u64 = eval(&first, "os.getppid()").await;
        signal("-KILL", warm);
        // Its children work on.
        while eval::<u64>(&first, "os.getppid()").await == warm {}
        let second = loop {
            // One may still be asked of the dead one.
            match group.make_gateway(spec.as_str()).await {
                Ok(gateway) => break gateway,
                Err(error) => assert!(error.to_string().contains("prefork"), "{error}"),
            }
        };
        assert_ne!(eval::<u64>(&second, "os.getppid()").await, warm);
        first.kill();
        assert_eq!(first.lost().await.ending(), Some(Ending::Unknown));
        group.terminate(Duration::from_secs(5)).await.unwrap();
    })
    .await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn nothing_survives_the_group() {
    everywhere(async |group, spec| {
        let gateway = group.make_gateway(spec.as_str()).await.unwrap();
        let warm: u64 = eval(&gateway, "os.getppid()").await;
        let worker = gateway.info().pid;
        drop(gateway);
        drop(group);
        for pid in [warm, worker] {
            tokio::task::spawn_blocking(move || execnet_testing::wait_for_end(pid)).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_name() {
    let group = group();
    let error =
        bounded(group.make_gateway("popen//prefork//python=/no/such/python")).await.unwrap_err();
    assert!(matches!(error, GatewayError::Connect { .. }), "{error:?}");
    assert!(error.to_string().contains("prefork /no/such/python"), "{error}");
    let error = bounded(group.make_gateway("popen//prefork//python=false")).await.unwrap_err();
    let text = format!("{:#}", std::error::Error::source(&error).unwrap());
    assert!(text.contains("did not start") && text.contains("exit status 1"), "{text}");
    let error = bounded(group.make_gateway("command=python3//prefork")).await.unwrap_err();
    assert!(error.to_string().contains("prefork"), "{error}");
}

/// A fork of a process with several threads copies locks that nobody will release.
#[tokio::test]
async fn an_interpreter_that_starts_threads_is_refused() {
    let Some(python) = common::python() else { return };
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("sitecustomize.py"),
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n",
    )
    .unwrap();
    let spec = format!(
        "popen//prefork//python={}//env:PYTHONPATH={}",
        python.display(),
        dir.path().display()
    );
    let error = bounded(group().make_gateway(spec.as_str())).await.unwrap_err();
    let text = std::error::Error::source(&error).unwrap().to_string();
    assert!(text.contains("with one thread") && text.contains("sitecustomize"), "{text}");
}
