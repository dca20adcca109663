//! What works on this machine works on another.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use execnet::{Group, Output, Value, XSpec};
use execnet_testing::Sshd;
use futures_util::StreamExt;

use crate::common::{bounded, group};
use crate::{BACKENDS, by_each, spec};

#[tokio::test]
async fn items_go_there_and_back() {
    by_each("", |gw| async move {
        let mut channel = gw.remote_exec("for item in channel: channel.send(item)").await.unwrap();
        for item in [Value::None, Value::from("ünïcödé"), Value::list([1, 2])] {
            channel.send(&item).await.unwrap();
            assert_eq!(channel.receive_value().await.unwrap(), item);
        }
        assert!(gw.address().starts_with("ssh web1"), "{}", gw.address());
        assert!(gw.ping().await.is_ok());
        let told = gw.remote_exec("import os; channel.send([os.getpid(), os.getcwd()])").await;
        let told: (u64, String) = told.unwrap().receive().await.unwrap();
        assert_eq!((&gw.info().pid, &gw.info().cwd), (&told.0, &told.1));
    })
    .await;
}

#[tokio::test]
async fn much_goes_both_ways_at_once() {
    const PIECES: i64 = 32;
    by_each("", |gw| async move {
        let source = "
            for piece in channel:
                channel.send(piece)
                channel.send(len(piece))
        ";
        let (mut sender, receiver) = gw.remote_exec(source).await.unwrap().split();
        let piece: Vec<u8> = (0..=250).cycle().take(1 << 20).collect();
        let expected = Value::from(piece.clone());
        let sending = tokio::spawn(async move {
            for _ in 0..PIECES {
                sender.send_bytes(piece.clone()).await.unwrap();
            }
        });
        let items: Vec<_> = receiver.map(Result::unwrap).collect().await;
        assert_eq!(items.len() as i64, 2 * PIECES);
        for pair in items.chunks(2) {
            assert!(pair[0] == expected && pair[1] == Value::from(1 << 20));
        }
        sending.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_channel_that_nobody_reads_holds_up_no_other() {
    by_each("", |gw| async move {
        let flood = "
            while True:
                channel.send(bytes(100000))
        ";
        let _unread = gw.remote_exec(flood).await.unwrap();
        let mut echo = gw.remote_exec("for item in channel: channel.send(item)").await.unwrap();
        for n in 0..100_i64 {
            echo.send(&n).await.unwrap();
            assert_eq!(echo.receive::<i64>().await.unwrap(), n);
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_printed_arrives_as_lines() {
    let Some(sshd) = Sshd::start() else { return };
    for backend in BACKENDS {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = lines.clone();
        let output = Output::handler(move |line| seen.lock().unwrap().push(line.line.to_string()));
        let group = Group::builder().output(output).build();
        let spec = spec(&sshd, backend, "");
        let gw = bounded(group.make_gateway(spec.as_str())).await.unwrap();
        let source = "import os; print('printed'); os.write(2, b'on fd 2\\n'); channel.send(42)";
        let mut channel = gw.remote_exec(source).await.unwrap();
        assert_eq!(bounded(channel.receive::<i64>()).await.unwrap(), 42);
        bounded(channel.wait_close()).await.unwrap();
        bounded(group.terminate(Duration::from_secs(5))).await.unwrap();
        // And nothing else: no reports of the program's steps.
        assert_eq!(*lines.lock().unwrap(), ["printed", "on fd 2"], "{backend}");
    }
}

#[tokio::test]
async fn settings_are_applied_before_any_task() {
    let Some(sshd) = Sshd::start() else { return };
    let dir = sshd.dir().canonicalize().unwrap().join("made/on/demand");
    for backend in BACKENDS {
        let spec: XSpec = spec(&sshd, backend, "//nice=3//dont_write_bytecode").parse().unwrap();
        let hard = "it's \"hard\" !1 $HOME `x` \\ two\nlines";
        let spec = spec
            .to_builder()
            .set("chdir", dir.to_string_lossy())
            .env("PYTHONHASHSEED", "0")
            .env("HARD", hard)
            .build()
            .unwrap();
        let group = group();
        let gw = bounded(group.make_gateway(spec)).await.unwrap();
        let source = "
            import os, sys
            channel.send((os.getcwd(), os.environ['HARD'], sys.flags.hash_randomization,
                          sys.dont_write_bytecode, os.getpriority(os.PRIO_PROCESS, 0) == \
                          min(os.getpriority(os.PRIO_PROCESS, os.getppid()) + 3, 19)))
        ";
        let mut channel = gw.remote_exec(source).await.unwrap();
        let told: (String, String, i32, bool, bool) = bounded(channel.receive()).await.unwrap();
        let dir = dir.to_string_lossy().into_owned();
        assert_eq!(told, (dir, hard.to_owned(), 0, true, true), "{backend}");
        bounded(group.terminate(Duration::from_secs(5))).await.unwrap();
    }
}

#[tokio::test]
async fn many_start_at_once() {
    let Some(sshd) = Sshd::start() else { return };
    let group = group();
    for backend in BACKENDS {
        let spec = spec(&sshd, backend, "");
        let specs = vec![spec.as_str(); 5];
        for gateway in bounded(group.make_gateways(specs)).await {
            gateway.unwrap();
        }
    }
    bounded(group.terminate(Duration::from_secs(5))).await.unwrap();
}
