//! One gateway, on every interpreter found: what users rely on.

mod common;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Lifeline, bounded, group, popen, pythons};
use execnet::{
    Ending, Gateway, GatewayError, Group, Output, ReceiveError, Source, Value, WaitError, XSpec,
};
use futures_util::StreamExt;
use futures_util::future::join_all;

/// Runs a scenario on every interpreter found, each in a gateway of its own.
async fn everywhere<F: Future<Output = ()>>(scenario: impl Fn(Gateway) -> F) {
    for python in pythons() {
        on(&python, &scenario).await;
    }
}

/// For what is all waiting.
async fn everywhere_at_once<F: Future<Output = ()>>(scenario: impl Fn(Gateway) -> F) {
    join_all(pythons().iter().map(|python| on(python, &scenario))).await;
}

async fn on<F: Future<Output = ()>>(python: &Path, scenario: &impl Fn(Gateway) -> F) {
    let group = group();
    let spec = format!("popen//python={}", python.display());
    let gateway = group.make_gateway(spec.as_str()).await.expect("a gateway");
    eprintln!("on {}", gateway.info().version);
    bounded(scenario(gateway)).await;
    bounded(group.terminate(Duration::from_secs(5))).await.expect("it ends");
}

#[tokio::test]
async fn items_go_there_and_back_exactly() {
    everywhere(|gw| async move {
        let mut channel = gw.remote_exec("for item in channel: channel.send(item)").await.unwrap();
        let big: execnet::BigInt = "-123456789012345678901234567890".parse().unwrap();
        let items = [
            Value::None,
            Value::Bool(true),
            Value::Int(-1),
            Value::Int(i64::MIN),
            Value::from(big),
            Value::Float(-0.0),
            Value::Float(f64::INFINITY),
            Value::Complex(1.0, -2.5),
            Value::from("ünïcödé \u{1f40d}"),
            Value::from(b"\x00\xff".to_vec()),
            Value::list([1, 2]),
            Value::tuple([Value::tuple([1]), Value::Tuple(vec![])]),
            Value::set([7]),
            Value::frozenset(["x"]),
            Value::dict([(Value::tuple([1, 2]), Value::None), ("k".into(), 1.5.into())]),
        ];
        for item in &items {
            channel.send(item).await.unwrap();
            assert_eq!(&channel.receive_value().await.unwrap(), item);
        }
        channel.send_bytes(vec![7; 3 << 20]).await.unwrap();
        assert_eq!(channel.receive_value().await.unwrap(), Value::from(vec![7; 3 << 20]));
        channel.finish_sending();
        assert!(matches!(channel.receive_value().await, Err(ReceiveError::End)));
        assert!(matches!(channel.receive_value().await, Err(ReceiveError::End)), "for ever");
        channel.wait_close().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn serde_types_are_items() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Job {
        name: String,
        size: (u32, f64),
        tags: Vec<Option<String>>,
    }
    everywhere(|gw| async move {
        let source = "
            for job in channel:
                job['name'] = job['name'].upper()
                job['size'] = tuple(job['size'])
                channel.send(job)
        ";
        let mut channel = gw.remote_exec(source).await.unwrap().typed::<Job, Job>();
        let job = |name: &str| Job {
            name: name.to_owned(),
            size: (1, 2.5),
            tags: vec![None, Some("a".into())],
        };
        channel.send(&job("x")).await.unwrap();
        assert_eq!(channel.receive().await.unwrap(), job("X"));
    })
    .await;
}

#[tokio::test]
async fn an_exception_comes_after_the_items_with_its_source_lines() {
    everywhere(|gw| async move {
        let source = "\
def divide(a, b):
    return a / b

channel.send('before')
divide(1, 0)
";
        let source = Source::from(source).named("tasks/divide.py");
        let mut channel = gw.remote_exec(source).await.unwrap();
        assert_eq!(channel.receive::<String>().await.unwrap(), "before");
        for _ in 0..2 {
            let Err(ReceiveError::Remote(error)) = channel.receive_value().await else {
                panic!("an error, to every caller")
            };
            assert_eq!(error.kind(), "ZeroDivisionError");
            assert_eq!(error.message(), "division by zero");
            let text = error.traceback().unwrap();
            for part in ["tasks/divide.py", "line 2", "return a / b", "divide(1, 0)"] {
                assert!(text.contains(part), "{part:?} in:\n{text}");
            }
            assert!(!text.contains("execnet_worker"), "our own frames in:\n{text}");
        }
        assert!(matches!(channel.wait_close().await, Err(WaitError::Remote(_))));

        // The worker lives on, also after what would end a process.
        for source in ["raise SystemExit(3)", "raise KeyboardInterrupt", "this is no python"] {
            let mut channel = gw.remote_exec(source).await.unwrap();
            let Err(ReceiveError::Remote(error)) = channel.receive_value().await else {
                panic!("{source}")
            };
            let kind = error.kind();
            assert!(["SystemExit", "KeyboardInterrupt", "SyntaxError"].contains(&kind), "{kind}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_function_is_called_with_its_arguments() {
    everywhere(|gw| async move {
        let source = "
            def scale(channel, factor, *, offset=0):
                for x in channel:
                    channel.send(x * factor + offset)
        ";
        let source = Source::from(source).call("scale").arg("factor", 10).arg("offset", 1);
        let mut channel = gw.remote_exec(source).await.unwrap();
        channel.send(&4).await.unwrap();
        assert_eq!(channel.receive::<i64>().await.unwrap(), 41);
    })
    .await;
}

#[tokio::test]
async fn the_stream_yields_items_then_ends() {
    everywhere(|gw| async move {
        let channel = gw.remote_exec("for n in range(1000): channel.send(n)").await.unwrap();
        let items: Vec<_> = channel.map(|item| item.unwrap().as_i64().unwrap()).collect().await;
        assert_eq!(items, (0..1000).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn directions_can_be_parted() {
    everywhere(|gw| async move {
        let channel = gw.remote_exec("for x in channel: channel.send(-x)").await.unwrap();
        let (mut sender, receiver) = channel.split();
        let send = tokio::spawn(async move {
            for n in 0..5_000 {
                sender.send(&n).await.unwrap();
            }
        });
        let items: Vec<_> = receiver.map(|item| item.unwrap().as_i64().unwrap()).collect().await;
        assert_eq!(items, (0..5_000).map(|n| -n).collect::<Vec<_>>());
        send.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn facts_come_with_the_first_words() {
    everywhere(|gw| async move {
        let info = gw.info();
        let source = "
            import os, sys
            channel.send([sys.executable, sys.platform, os.getcwd(), os.getpid()])
            channel.send(sys.implementation.name)
        ";
        let mut channel = gw.remote_exec(source).await.unwrap();
        let told: (String, String, String, u64) = channel.receive().await.unwrap();
        let facts = (&info.executable, &info.platform, &info.cwd, &info.pid);
        assert_eq!(facts, (&told.0, &told.1, &told.2, &told.3));
        assert!(info.version.starts_with("3."), "{}", info.version);
        assert_eq!(info.implementation, channel.receive::<String>().await.unwrap());
        assert!(gw.ping().await.is_ok());
        let status = gw.status().await.unwrap();
        assert!(status.get("channels").is_some(), "{status}");
    })
    .await;
}

#[tokio::test]
async fn what_is_printed_arrives_as_lines_and_never_in_the_protocol() {
    for python in pythons() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = lines.clone();
        let output = Output::handler(move |line| {
            seen.lock().unwrap().push(format!("{}: {}", line.gateway, line.line));
        });
        let group = Group::builder().output(output).build();
        let spec = format!("popen//python={}//id=talker", python.display());
        let gw = group.make_gateway(spec.as_str()).await.unwrap();
        let source = "
            import os, subprocess, sys
            print('printed')
            os.write(1, b'on fd 1\\n')
            subprocess.call([sys.executable, '-c', 'print(\"by a child\")'])
            sys.stdout.write('no end of line')
            channel.send(42)
        ";
        let mut channel = gw.remote_exec(source).await.unwrap();
        assert_eq!(bounded(channel.receive::<i64>()).await.unwrap(), 42);
        bounded(channel.wait_close()).await.unwrap();
        bounded(group.terminate(Duration::from_secs(5))).await.unwrap();
        let lines = lines.lock().unwrap();
        for text in ["printed", "on fd 1", "by a child", "no end of line"] {
            assert!(lines.contains(&format!("talker: {text}")), "{text:?} in {lines:?}");
        }
    }
}

#[tokio::test]
async fn output_can_be_read_as_a_stream() {
    let group = group();
    let Some(gw) = popen(&group).await else { return };
    let mut lines = gw.output();
    let source = "print('one'); channel.receive(); print('two', end='')";
    let mut channel = gw.remote_exec(source).await.unwrap();
    assert_eq!(bounded(lines.next_line()).await.as_deref(), Some("one"));
    // A read that is given up loses nothing.
    assert!(tokio::time::timeout(Duration::ZERO, lines.next_line()).await.is_err());
    channel.send(&()).await.unwrap();
    bounded(group.terminate(Duration::from_secs(5))).await.unwrap();
    assert_eq!(bounded(lines.next_line()).await.as_deref(), Some("two"));
    assert_eq!(bounded(lines.next_line()).await, None);
    assert_eq!(bounded(lines.next_line()).await, None);
}

#[tokio::test]
async fn a_death_is_explained_to_every_channel() {
    for python in pythons() {
        let spec = format!("popen//python={}", python.display());
        let table = [
            ("os._exit(3)", Ending::Exited(3), "exit status 3"),
            (
                "os.kill(os.getpid(), 9)",
                Ending::Signaled { signal: 9, core_dumped: false },
                "SIGKILL",
            ),
        ];
        for (code, ending, words) in table {
            let group = group();
            let gw = group.make_gateway(spec.as_str()).await.unwrap();
            let mut idle = gw.remote_exec("channel.receive()").await.unwrap();
            let source = format!(
                "import os, sys; print('famous last words', file=sys.stderr); channel.send(1)\n\
                 channel.receive()\n{code}"
            );
            let mut channel = gw.remote_exec(source).await.unwrap();
            assert_eq!(channel.receive::<i64>().await.unwrap(), 1);
            channel.send(&()).await.unwrap();
            for channel in [&mut channel, &mut idle] {
                let Err(ReceiveError::Lost(lost)) = bounded(channel.receive_value()).await else {
                    panic!("{code}")
                };
                assert_eq!(lost.ending(), Some(ending));
                assert!(lost.to_string().contains(words), "{lost}");
                assert!(lost.stderr().iter().any(|line| line == "famous last words"), "{lost:?}");
                // A stream says so too, once; it does not just stop.
                let item = bounded(channel.next()).await;
                assert!(matches!(item, Some(Err(ReceiveError::Lost(_)))), "{item:?}");
                assert!(bounded(channel.next()).await.is_none());
            }
            assert!(gw.remote_exec("1").await.is_err());
        }
    }
}

#[tokio::test]
async fn settings_are_applied_before_any_task() {
    for python in pythons() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().canonicalize().unwrap().join("made/on/demand");
        let spec = XSpec::builder()
            .flag("popen")
            .words("python", [python.to_string_lossy()])
            .set("chdir", dir.to_string_lossy())
            .set("nice", "3")
            .set("id", "it's \"quoted\"")
            .env("PYTHONHASHSEED", "0")
            .env("EMPTY", "")
            .flag("dont_write_bytecode")
            .build()
            .unwrap();
        let group = group();
        let gw = group.make_gateway(spec).await.unwrap();
        let source = "
            import os, sys, threading
            channel.send((
                os.getcwd(), os.getpriority(os.PRIO_PROCESS, 0), os.environ['EMPTY'],
                sys.flags.hash_randomization, sys.dont_write_bytecode, channel.gateway.id,
                threading.current_thread() is threading.main_thread(),
            ))
        ";
        let mut channel = gw.remote_exec(source).await.unwrap();
        type Told = (String, i32, String, i32, bool, String, bool);
        let told: Told = bounded(channel.receive()).await.unwrap();
        let dir = dir.to_string_lossy().into_owned();
        let nice = (our_nice() + 3).min(19);
        assert_eq!(told, (dir, nice, String::new(), 0, true, "it's \"quoted\"".into(), true));
        group.terminate(Duration::from_secs(5)).await.unwrap();
    }
}

/// Our own niceness, to which the worker's is relative.
fn our_nice() -> i32 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(") ").unwrap().1;
    after_name.split(' ').nth(16).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_setting_that_fails_is_named_and_leaves_nothing() {
    let Some(python) = common::python() else { return };
    let group = group();
    let spec = format!("popen//python={}//chdir=/dev/null/x", python.display());
    let error = bounded(group.make_gateway(spec.as_str())).await.unwrap_err();
    assert!(matches!(&error, GatewayError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("chdir"), "{error}");
    assert!(group.is_empty());
    // Its id is free again.
    let gw = popen(&group).await.unwrap();
    assert!(["gw0", "gw1"].contains(&gw.id()));
}

#[tokio::test]
async fn what_is_no_worker_is_shown() {
    let group = group();
    let table = [
        ("command=sh -c 'echo Welcome to the machine; exit 127' x", "Welcome to the machine"),
        ("command=sh -c 'echo no python here >&2; exit 127' x", "no python here"),
        ("command=sh -c 'exit 5' x", "exit status 5"),
        ("command=sh -c 'kill -9 $$' x", "SIGKILL"),
        ("popen//python=/nonexistent/python", "/nonexistent/python"),
        ("command=/dev/null", "/dev/null"),
    ];
    for (spec, words) in table {
        let error = bounded(group.make_gateway(spec)).await.expect_err(spec);
        assert!(error.to_string().contains(words), "{spec}: {error}");
    }
    assert!(group.is_empty());
}

#[tokio::test]
async fn a_banner_in_front_of_the_worker_does_no_harm() {
    let Some(python) = common::python() else { return };
    let group = group();
    let script = format!("seq 1000; echo Welcome; exec {} \"$@\"", python.display());
    let spec =
        XSpec::builder().words("command", ["sh", "-c", script.as_str(), "x"]).build().unwrap();
    let gw = bounded(group.make_gateway(spec)).await.unwrap();
    let mut channel = gw.remote_exec("channel.send('here')").await.unwrap();
    assert_eq!(channel.receive::<String>().await.unwrap(), "here");
}

#[tokio::test]
async fn a_silent_far_end_is_given_up() {
    let group = Group::builder()
        .output(Output::discard())
        .start_timeout(Duration::from_millis(300))
        .build();
    // `exec`, so that the process which is killed is the one that has our pipe.
    let result = bounded(group.make_gateway("command=sh -c 'exec cat >/dev/null' x")).await;
    assert!(matches!(result, Err(GatewayError::TimedOut { .. })), "{result:?}");
}

#[tokio::test]
async fn dropping_everything_kills_the_worker_at_once() {
    let Some(python) = common::python() else { return };
    let lifeline = Lifeline::new();
    let group = group();
    let spec = format!("popen//python={}", python.display());
    let gw = group.make_gateway(spec.as_str()).await.unwrap();
    let source = lifeline.source() + "channel.send(1)\nwhile True: pass";
    let mut channel = gw.remote_exec(source).await.unwrap();
    assert_eq!(channel.receive::<i64>().await.unwrap(), 1);
    let life = lifeline.accept();
    drop((group, gw, channel));
    tokio::task::spawn_blocking(|| life.wait_for_death()).await.unwrap();
}

#[tokio::test]
async fn dropping_the_start_leaves_no_process() {
    let Some(python) = common::python() else { return };
    let lifeline = Lifeline::new();
    let group = group();
    // Connects from a shell's child before it becomes the worker's interpreter.
    let script = format!("{}import time; time.sleep(1000)", lifeline.source());
    let spec = XSpec::builder()
        .words("command", [python.to_str().unwrap(), "-c", script.as_str()])
        .build()
        .unwrap();
    let start = tokio::spawn(async move { group.make_gateway(spec).await });
    let (lifeline, life) = tokio::task::spawn_blocking(move || {
        let life = lifeline.accept();
        (lifeline, life)
    })
    .await
    .unwrap();
    start.abort();
    tokio::task::spawn_blocking(|| life.wait_for_death()).await.unwrap();
    drop(lifeline);
}

#[tokio::test]
async fn a_task_sent_just_before_exit_runs() {
    everywhere(|gw| async move {
        for gateway in [&gw] {
            let mut channel = gateway.remote_exec("channel.send('done')").await.unwrap();
            let ending = gateway.exit(Duration::from_secs(20)).await;
            assert_eq!(ending, Some(Ending::Exited(0)));
            assert_eq!(channel.receive::<String>().await.unwrap(), "done");
        }
    })
    .await;
}

#[tokio::test]
async fn exit_ends_the_input_of_tasks_that_wait_for_it() {
    everywhere(|gw| async move {
        let source = "for x in channel: channel.send(x)\nchannel.send('that was all')";
        let mut channel = gw.remote_exec(source).await.unwrap();
        channel.send("sent before").await.unwrap();
        // An hour of patience, of which nothing is used.
        let ending = bounded(gw.exit(Duration::from_secs(3_600))).await;
        assert_eq!(ending, Some(Ending::Exited(0)));
        for expected in ["sent before", "that was all"] {
            assert_eq!(channel.receive::<String>().await.unwrap(), expected);
        }
    })
    .await;
}

#[tokio::test]
async fn exit_interrupts_then_kills() {
    everywhere_at_once(|gw| async move {
        let source = "
            import time
            try:
                channel.send('ready')
                while True: time.sleep(0.01)
            except KeyboardInterrupt:
                channel.send('interrupted')
        ";
        let mut polite = gw.remote_exec(source).await.unwrap();
        assert_eq!(polite.receive::<String>().await.unwrap(), "ready");
        // A quarter of it is for the end.
        let ending = gw.exit(Duration::from_secs(16)).await;
        assert_eq!(ending, Some(Ending::Exited(0)));
        assert_eq!(polite.receive::<String>().await.unwrap(), "interrupted");
    })
    .await;
    for stuck in ["while True: pass", "time.sleep(1000)"] {
        everywhere(|gw| async move {
            let source = format!(
                "
                import signal, time
                signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
                channel.send('ready')
                while True:
                    try:
                        {stuck}
                    except BaseException: pass
                "
            );
            let mut stubborn = gw.remote_exec(source).await.unwrap();
            assert_eq!(stubborn.receive::<String>().await.unwrap(), "ready");
            let ending = gw.exit(Duration::from_millis(400)).await;
            assert!(ending.is_some_and(|ending| ending != Ending::Exited(0)), "{ending:?}");
        })
        .await;
    }
}

#[tokio::test]
async fn interrupt_stops_a_task_and_not_the_worker() {
    everywhere(|gw| async move {
        let mut channel = gw.remote_exec("channel.send(1)\nwhile True: pass").await.unwrap();
        assert_eq!(channel.receive::<i64>().await.unwrap(), 1);
        channel.interrupt();
        let Err(ReceiveError::Remote(error)) = channel.receive_value().await else {
            panic!("an interrupt")
        };
        assert_eq!(error.kind(), "KeyboardInterrupt");
        let mut channel = gw.remote_exec("channel.send(2)").await.unwrap();
        assert_eq!(channel.receive::<i64>().await.unwrap(), 2);
    })
    .await;
}

#[tokio::test]
async fn ten_thousand_channels_leave_nothing_behind() {
    everywhere(|gw| async move {
        let round = async |count: usize| {
            for n in 0..count {
                let mut channel = gw.remote_exec("channel.send(channel.receive())").await.unwrap();
                channel.send(&n).await.unwrap();
                assert_eq!(channel.receive::<usize>().await.unwrap(), n);
                channel.wait_close().await.unwrap();
            }
        };
        // What is taken once for all comes first: caches, arenas, the sources kept for tracebacks.
        round(1_000).await;
        let before = common::resident(gw.info().pid);
        round(9_000).await;
        let after = common::resident(gw.info().pid);
        // PyPy touches its nursery of 100 MiB bit by bit: there the figure says nothing.
        if gw.info().implementation == "cpython" {
            assert!(after <= before + 6, "the worker grew from {before} to {after} MiB");
        }
        let status = gw.status().await.unwrap();
        assert_eq!(status.get("channels"), Some(&Value::Int(0)), "{status}");
    })
    .await;
}
