//! Faults of py.execnet, each with a test that it would fail; those of values are in `values.rs`.

mod common;

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use common::{Life, Lifeline, bounded, group, python, pythons};
use execnet::{Ending, Gateway, GatewayError, Group, ReceiveError, Source, Value, XSpec};

/// A gateway of its own on every interpreter found, with more keys in its specification.
async fn everywhere<F: Future<Output = ()>>(keys: &str, scenario: impl Fn(Gateway) -> F) {
    for python in pythons() {
        let group = group();
        let spec = format!("popen//python={}{keys}", python.display());
        let gateway = bounded(group.make_gateway(spec.as_str())).await.expect("a gateway");
        eprintln!("on {}", gateway.info().version);
        bounded(scenario(gateway)).await;
        bounded(group.terminate(Duration::from_secs(5))).await.expect("it ends");
    }
}

/// The specification of an interpreter that first connects to `listener`, and waits for a byte from there.
fn held_back(python: &Path, listener: &TcpListener, keys: &[(&str, &str)]) -> XSpec {
    let port = listener.local_addr().unwrap().port();
    let launcher = format!(
        "import os, socket, sys
s = socket.create_connection(('127.0.0.1', {port}))
s.set_inheritable(True)
s.recv(1)
os.execv(sys.executable, [sys.executable] + sys.argv[1:])"
    );
    let mut spec =
        XSpec::builder().words("command", [python.to_str().unwrap(), "-ISc", launcher.as_str()]);
    for (key, value) in keys {
        spec = spec.set(*key, *value);
    }
    spec.build().unwrap()
}

/// Theirs: one after another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_start_in_parallel() {
    let Some(python) = python() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let spec = held_back(&python, &listener, &[]);
    let group = group();
    // None goes on before all have been started.
    let all_are_there = tokio::task::spawn_blocking(move || {
        let waiting: Vec<TcpStream> = (0..4).map(|_| listener.accept().unwrap().0).collect();
        for mut connection in &waiting {
            connection.write_all(b"!").unwrap();
        }
    });
    for result in bounded(group.make_gateways(vec![spec; 4])).await {
        result.unwrap();
    }
    all_are_there.await.unwrap();
    bounded(group.terminate(Duration::from_secs(5))).await.unwrap();
}

/// Theirs: the worker of the second one runs on, an orphan.
#[tokio::test]
async fn a_duplicate_id_starts_nothing() {
    let Some(python) = python() else { return };
    let group = group();
    let spec = format!("popen//python={}//id=one", python.display());
    let one = bounded(group.make_gateway(spec.as_str())).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = bounded(group.make_gateway(held_back(&python, &listener, &[("id", "one")])))
        .await
        .unwrap_err();
    assert!(matches!(&error, GatewayError::DuplicateId(id) if id == "one"), "{error}");
    assert!(error.is_caller_fault());
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    // The first one has not noticed.
    let mut channel = one.remote_exec("channel.send(1)").await.unwrap();
    assert_eq!(bounded(channel.receive::<i64>()).await.unwrap(), 1);
    assert_eq!(group.len(), 1);
    bounded(group.terminate(Duration::from_secs(5))).await.unwrap();
}

/// Theirs: the gateway stays in the group, and its worker runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setup_that_fails_leaves_no_process() {
    let Some(python) = python() else { return };
    let group = group();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let spec = held_back(&python, &listener, &[("chdir", "/dev/null/x")]);
    let process = tokio::task::spawn_blocking(move || {
        let mut connection = listener.accept().unwrap().0;
        connection.write_all(b"!").unwrap();
        Life::from(connection)
    });
    let error = bounded(group.make_gateway(spec)).await.unwrap_err();
    assert!(error.to_string().contains("chdir"), "{error}");
    assert!(group.is_empty());
    process.await.unwrap().wait_for_death();
}

/// Theirs: every task after one that raised fails, with words about a deadlock.
#[tokio::test]
async fn main_thread_only_goes_on_after_an_exception() {
    everywhere("//execmodel=main_thread_only", |gw| async move {
        let place = "import threading
channel.send(threading.current_thread() is threading.main_thread())\n";
        let mut first = gw.remote_exec(format!("{place}channel.receive(); 1/0")).await.unwrap();
        assert!(first.receive::<bool>().await.unwrap());
        let mut waiting = Vec::new();
        for last in ["", "raise SystemExit(1)", "raise KeyboardInterrupt", "not python", ""] {
            waiting.push(gw.remote_exec(format!("{place}{last}")).await.unwrap());
        }
        // The question overtakes requests that are on their way.
        let mut status = gw.status().await.unwrap();
        while status.get("queued") != Some(&Value::Int(5)) {
            status = gw.status().await.unwrap();
        }
        assert_eq!(status.get("executing"), Some(&Value::Int(1)), "{status}");
        first.send(&()).await.unwrap();
        let error = first.receive_value().await.unwrap_err();
        assert!(matches!(&error, ReceiveError::Remote(e) if e.kind() == "ZeroDivisionError"));
        let mut ends = Vec::new();
        for channel in &mut waiting {
            match channel.receive_value().await {
                Ok(value) => assert_eq!(value, Value::Bool(true)),
                Err(ReceiveError::Remote(error)) => assert_eq!(error.kind(), "SyntaxError"),
                Err(error) => panic!("{error}"),
            }
            ends.push(channel.wait_close().await.is_ok());
        }
        assert_eq!(ends, [true, false, false, false, true]);
    })
    .await;
}

/// Theirs: bytes of several items mixed, and the connection is dead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_that_send_at_once_do_not_mix_their_items() {
    everywhere("", |gw| async move {
        let mut senders = Vec::new();
        for n in 0..8u8 {
            let gw = gw.clone();
            senders.push(tokio::spawn(async move {
                let source = "
                    for item in channel:
                        assert item == item[:1] * len(item)
                        channel.send(item)
                ";
                let mut channel = gw.remote_exec(source).await.unwrap();
                for size in [3_000_000, 1, 70_000, 0] {
                    channel.send_bytes(vec![n; size]).await.unwrap();
                    let back = channel.receive_value().await.unwrap();
                    assert_eq!(back, Value::from(vec![n; size]));
                }
            }));
        }
        for sender in senders {
            sender.await.unwrap();
        }
    })
    .await;
}

/// Theirs: one value of a test's report that does not cross ends the whole run.
#[tokio::test]
async fn a_value_that_does_not_cross_harms_its_task_alone() {
    everywhere("", |gw| async move {
        let mut other = gw.remote_exec("for x in channel: channel.send(x)").await.unwrap();
        let mut channel =
            gw.remote_exec("channel.send(1)\nchannel.send({'at': open})").await.unwrap();
        assert_eq!(channel.receive::<i64>().await.unwrap(), 1);
        let error = channel.receive_value().await.unwrap_err().to_string();
        assert!(error.contains("channel.send: item['at'] is builtin_function"), "{error}");
        other.send(&2).await.unwrap();
        assert_eq!(other.receive::<i64>().await.unwrap(), 2);
    })
    .await;
}

/// Theirs: it ends the receiving thread, and with it the gateway.
#[tokio::test]
async fn a_callback_that_raises_at_the_end_harms_its_channel_alone() {
    everywhere("", |gw| async move {
        let source = "
            done = []
            def callback(item):
                done.append(item)
                1 / item
            channel.setcallback(callback, endmarker=0)
            channel.send('set')
            channel.waitclose()
            assert done == [1, 0], done
        ";
        let mut other = gw.remote_exec("for x in channel: channel.send(x)").await.unwrap();
        let mut channel = gw.remote_exec(source).await.unwrap();
        assert_eq!(channel.receive::<String>().await.unwrap(), "set");
        channel.send(&1).await.unwrap();
        channel.finish_sending();
        let error = channel.receive_value().await.unwrap_err();
        assert!(
            matches!(&error, ReceiveError::Remote(e) if e.kind() == "ZeroDivisionError"),
            "{error}"
        );
        other.send(&2).await.unwrap();
        assert_eq!(other.receive::<i64>().await.unwrap(), 2);
    })
    .await;
}

/// Theirs: "expected 9 bytes, got 0".
#[tokio::test]
async fn a_crash_in_c_is_explained_with_its_stack() {
    everywhere("", |gw| async move {
        let source =
            // Deep enough that the last lines alone would not have the place.
            Source::from("import faulthandler\ndef crash(n):\n    crash(n - 1) if n else faulthandler._sigsegv()\ncrash(50)");
        let mut channel = gw.remote_exec(source.named("tasks/crash.py")).await.unwrap();
        let Err(ReceiveError::Lost(lost)) = channel.receive_value().await else {
            panic!("a dead worker")
        };
        assert!(
            matches!(lost.ending(), Some(Ending::Signaled { signal: 11, .. })),
            "{:?}",
            lost.ending()
        );
        let text = lost.to_string();
        // PyPy knows only where a function begins.
        let line = if gw.info().implementation == "pypy" { 2 } else { 3 };
        let place = format!("\"tasks/crash.py\", line {line} in crash");
        for part in ["SIGSEGV", "Segmentation fault", place.as_str()] {
            assert!(text.contains(part), "{part:?} in:\n{text}");
        }
    })
    .await;
}

/// Theirs: an async function is never awaited, a generator never run, a result dropped; nobody is told.
#[tokio::test]
async fn what_a_function_gives_is_not_dropped() {
    everywhere("", |gw| async move {
        let source = "
            def plain(channel, x): return {'plain': x}
            def nothing(channel, x): pass
            async def awaited(channel, x):
                import asyncio
                await asyncio.sleep(0)
                return {'awaited': x}
            def generator(channel, x): yield x
        ";
        let call = async |name: &str| {
            let mut channel = gw.remote_exec(Source::from(source).call(name).arg("x", 7)).await?;
            Ok::<_, Box<dyn std::error::Error>>(channel.receive_value().await?)
        };
        for name in ["plain", "awaited"] {
            assert_eq!(call(name).await.unwrap(), Value::dict([(name, 7)]));
        }
        let error = call("nothing").await.unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(ReceiveError::End)), "{error}");
        for (name, words) in [
            ("generator", "TypeError: generator() is a generator"),
            ("missing", "has no function 'missing'"),
        ] {
            let error = call(name).await.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    })
    .await;
}

/// Its threads and children do not hold it, and nothing of them is left.
#[tokio::test]
async fn an_idle_worker_with_threads_and_children_ends_whole() {
    for python in pythons() {
        let lifeline = Lifeline::new();
        let group = Group::builder().output(execnet::Output::discard()).build();
        let spec = format!("popen//python={}", python.display());
        let gw = bounded(group.make_gateway(spec.as_str())).await.unwrap();
        let source = lifeline.source()
            + "sys.lifeline.set_inheritable(True)
import subprocess, threading
subprocess.Popen(['sleep', '1000'], close_fds=False)
threading.Thread(target=threading.Event().wait, daemon=True).start()
channel.send(1)";
        let mut channel = gw.remote_exec(source).await.unwrap();
        assert_eq!(bounded(channel.receive::<i64>()).await.unwrap(), 1);
        bounded(channel.wait_close()).await.unwrap();
        let life = lifeline.accept();
        assert_eq!(bounded(gw.exit(Duration::from_secs(1000))).await, Some(Ending::Exited(0)));
        life.wait_for_death();
    }
}
