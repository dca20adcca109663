//! What users of py.execnet rely on and no other test shows: starts, tasks, channels, groups.

mod common;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::{WATCHDOG, bounded, group, popen, python, pythons};
use execnet::{
    Ending, ExecError, Gateway, Group, MultiChannel, Output, ReceiveError, Source, Value,
    WaitError, XSpec,
};
use futures_util::StreamExt;

const PATIENCE: Duration = Duration::from_secs(5);

/// A gateway of its own on every interpreter found.
async fn everywhere<F: Future<Output = ()>>(scenario: impl Fn(Gateway) -> F) {
    for python in pythons() {
        let group = group();
        let gw = start(&group, popen_of(&[&python])).await;
        eprintln!("on {}", gw.info().version);
        bounded(scenario(gw)).await;
        bounded(group.terminate(PATIENCE)).await.expect("it ends");
    }
}

/// A specification whose `python=` is these words.
fn popen_of(words: &[&Path]) -> XSpec {
    let words = words.iter().map(|word| word.to_str().unwrap());
    XSpec::builder().flag("popen").words("python", words).build().unwrap()
}

async fn start(group: &Group, spec: XSpec) -> Gateway {
    bounded(group.make_gateway(spec)).await.expect("a gateway")
}

/// The one item that a program sends.
async fn ask<T: serde::de::DeserializeOwned>(gw: &Gateway, source: impl Into<Source>) -> T {
    let mut channel = bounded(gw.remote_exec(source)).await.expect("a channel");
    bounded(channel.receive()).await.expect("an item")
}

// How a worker starts.

#[tokio::test]
async fn nothing_has_to_be_installed_or_importable() {
    for python in pythons() {
        let group = group();
        // Neither its site-packages, nor its variables, nor the working directory.
        let gw = start(&group, popen_of(&[&python, "-I".as_ref(), "-S".as_ref()])).await;
        assert_eq!(ask::<i64>(&gw, "import sys; channel.send(sys.flags.isolated)").await, 1);
        group.terminate(PATIENCE).await.unwrap();
    }
}

#[tokio::test]
async fn python_may_be_a_wrapper_with_quoted_words() {
    let Some(python) = python() else { return };
    let group = group();
    let spec = format!("popen//python=env 'ROW=a  b' {} -X dev", python.display());
    let gw = bounded(group.make_gateway(spec.as_str())).await.unwrap();
    let source = "import os, sys; channel.send((os.environ['ROW'], sys.flags.dev_mode))";
    assert_eq!(ask::<(String, bool)>(&gw, source).await, ("a  b".to_owned(), true));
    group.terminate(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn without_python_the_default_is_the_one_on_path() {
    let version = Command::new("python3").args(["-c", "import sys; print(sys.version)"]).output();
    let Some(version) = version.ok().filter(|output| output.status.success()) else {
        return common::skip("no python3 on PATH");
    };
    let group = group();
    let gw = bounded(group.make_default_gateway()).await.unwrap();
    assert_eq!((gw.spec().as_str(), gw.id()), ("popen", "gw0"));
    let version = String::from_utf8(version.stdout).unwrap();
    assert_eq!(ask::<String>(&gw, "import sys; channel.send(sys.version)").await, version.trim());
    group.terminate(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_worker_inherits_the_environment_and_imports_from_its_directory() {
    for python in pythons() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("row_module.py"), "answer = 42").unwrap();
        let spec = popen_of(&[&python]).with("chdir", dir.path().to_str().unwrap()).unwrap();
        let group = group();
        let gw = start(&group, spec).await;
        let source = "
            import os, sys, row_module
            channel.send((os.environ['PATH'], sys.argv, sys.path[0], row_module.answer))
        ";
        let told: (String, Vec<String>, String, i64) = ask(&gw, source).await;
        let expected = (std::env::var("PATH").unwrap(), vec!["-c".to_owned()], String::new(), 42);
        assert_eq!(told, expected);
        group.terminate(PATIENCE).await.unwrap();
    }
}

#[tokio::test]
async fn a_task_finds_no_pending_exception_and_nothing_imported_for_it() {
    for python in pythons() {
        let group = group();
        let gw = start(&group, popen_of(&[&python, "-I".as_ref(), "-S".as_ref()])).await;
        let source = "
            import sys
            loaded = [name for name in ('py', 'execnet', 'asyncio', 'subprocess') if name in sys.modules]
            channel.send((sys.exc_info() == (None, None, None), hasattr(sys, 'last_value'), loaded))
        ";
        let told: (bool, bool, Vec<String>) = ask(&gw, source).await;
        assert_eq!(told, (true, false, vec![]), "{}", gw.info().version);
        group.terminate(PATIENCE).await.unwrap();
    }
}

/// Theirs: what a type of gateway does not heed does nothing, and nobody is told.
#[tokio::test]
async fn no_key_is_ignored() {
    for (spec, words) in [
        ("popen//ssh_config=x", "`ssh_config` beside `popen` is not supported"),
        ("command=python3//tls_key=x", "`tls_key` beside `command` is not supported"),
        ("popen//unheard_of=x", "unknown key `unheard_of`"),
    ] {
        let error = bounded(group().make_gateway(spec)).await.expect_err(spec);
        assert!(error.is_caller_fault() && error.to_string().contains(words), "{spec}: {error}");
    }
}

#[tokio::test]
async fn an_interpreter_that_is_too_old_says_so() {
    let Some(python) = python() else { return };
    let old = "import sys; sys.version_info = (3, 5, 0); exec(sys.argv[2])";
    let mut specs = vec![
        XSpec::builder().words("command", [python.to_str().unwrap(), "-c", old]).build().unwrap(),
    ];
    // The very old one, where there is one.
    if Command::new("python2.7").arg("-V").output().is_ok_and(|output| output.status.success()) {
        specs.push("popen//python=2.7".parse().unwrap());
    }
    for spec in specs {
        let error = bounded(group().make_gateway(&spec)).await.unwrap_err().to_string();
        assert!(error.contains("execnet needs Python 3.6 or newer"), "{spec}: {error}");
    }
}

#[tokio::test]
async fn a_gateway_is_shown_with_its_id_and_its_address() {
    let group = group();
    let Some(gw) = popen(&group).await else { return };
    let address = format!("popen {} [pid {}]", python().unwrap().display(), gw.info().pid);
    assert_eq!(gw.address(), address);
    assert_eq!(format!("{gw:?}"), format!("<Gateway gw0 {address}>"));
    let channel = gw.new_channel().unwrap();
    assert_eq!(format!("{channel:?}"), format!("<Channel 1 of <Gateway gw0 {address}>>"));
    group.terminate(PATIENCE).await.unwrap();
}

// What a task may be.

#[tokio::test]
async fn a_function_may_use_all_of_python_and_its_file() {
    everywhere(|gw| async move {
        let source = "
            import functools
            FACTOR = 10
            def twice(function):
                @functools.wraps(function)
                def wrapper(*args, **kwargs): return function(*args, **kwargs) * 2
                return wrapper
            @twice
            def work(channel: 'Channel', items: list) -> list:
                def scaled(x, y=FACTOR): return x * y
                return [scaled(item) for item in items] + [(lambda: FACTOR)()]
        ";
        let source = Source::from(source).call("work").arg("items", Value::list([1, 2]));
        assert_eq!(ask::<Vec<i64>>(&gw, source).await, [10, 20, 10, 10, 20, 10]);
    })
    .await;
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_told() {
    let group = group();
    let Some(gw) = popen(&group).await else { return };
    let call = |name: &str, value: Value| {
        let source = Source::from("def f(channel, x): return x");
        gw.remote_exec(source.call("f").arg(name, value))
    };
    // Found before anything is sent.
    let unhashable = Value::Dict(vec![(Value::list([1]), Value::None)]);
    let error = bounded(call("x", unhashable)).await.unwrap_err();
    assert!(matches!(error, ExecError::Argument(_)), "{error}");
    let error = bounded(call("channel", 1.into())).await.unwrap_err();
    assert!(matches!(error, ExecError::ChannelArgument), "{error}");
    // Python's own words.
    let mut channel = bounded(call("y", 1.into())).await.unwrap();
    let Err(ReceiveError::Remote(error)) = bounded(channel.receive_value()).await else {
        panic!("a wrong name")
    };
    assert_eq!(error.kind(), "TypeError");
    assert!(error.message().contains("argument 'y'"), "{error}");
    group.terminate(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_file_is_read_again_each_time() {
    let group = group();
    let Some(gw) = popen(&group).await else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("task.py");
    let source = Source::file(&path);
    for n in 0..2i64 {
        std::fs::write(&path, format!("channel.send({n})")).unwrap();
        assert_eq!(ask::<i64>(&gw, source.clone()).await, n);
    }
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(gw.remote_exec(source).await, Err(ExecError::File { .. })));
    group.terminate(PATIENCE).await.unwrap();
}

// Channels.

#[tokio::test]
async fn an_error_given_here_is_raised_there_behind_the_items() {
    everywhere(|gw| async move {
        let mut told = gw.new_channel().unwrap();
        let source = "
            told = channel.receive()
            told.send(channel.receive())
            try: channel.receive()
            except channel.RemoteError as error:
                told.send((error.type, error.message, error.formatted, channel.isclosed()))
        ";
        let mut channel = gw.remote_exec(source).await.unwrap();
        channel.send(&told).await.unwrap();
        channel.send(&1).await.unwrap();
        channel.close_with_error("no more of this");
        assert_eq!(told.receive::<i64>().await.unwrap(), 1);
        let error: (String, String, String, bool) = told.receive().await.unwrap();
        let text = "RemoteError: no more of this".to_owned();
        assert_eq!(error, ("RemoteError".into(), "no more of this".into(), text, true));
    })
    .await;
}

#[tokio::test]
async fn what_was_received_outlives_a_close_here() {
    everywhere(|gw| async move {
        let mut told = gw.new_channel().unwrap();
        let source = "told = channel.receive()
for n in 1, 2: channel.send(n)
told.send('sent')
try: channel.receive()
except EOFError: pass";
        let mut channel = gw.remote_exec(source).await.unwrap();
        channel.send(&told).await.unwrap();
        assert_eq!(channel.receive::<i64>().await.unwrap(), 1);
        // What came before this has arrived.
        assert_eq!(told.receive::<String>().await.unwrap(), "sent");
        assert!(!channel.is_closed());
        channel.close();
        channel.close();
        assert!(channel.is_closed());
        let error = channel.send(&1).await.unwrap_err();
        assert!(error.to_string().contains("closed"), "{error}");
        assert_eq!(channel.receive::<i64>().await.unwrap(), 2);
        assert!(matches!(channel.receive_value().await, Err(ReceiveError::End)));
    })
    .await;
}

/// Theirs: a clean end becomes an error when the gateway exits, and a dead worker's channels count as open.
#[tokio::test]
async fn how_a_channel_ended_stays_so_when_the_gateway_goes() {
    everywhere(|gw| async move {
        let clean = gw.remote_exec("pass").await.unwrap();
        clean.wait_close().await.unwrap();
        let failed = gw.remote_exec("1/0").await.unwrap();
        failed.wait_close().await.unwrap_err();
        let open = gw.remote_exec("channel.receive()").await.unwrap();
        assert!(!open.is_closed());
        gw.kill();
        gw.lost().await;
        for _ in 0..2 {
            clean.wait_close().await.unwrap();
            let error = failed.wait_close().await.unwrap_err();
            assert!(matches!(&error, WaitError::Remote(e) if e.kind() == "ZeroDivisionError"));
            assert!(matches!(open.wait_close().await, Err(WaitError::Lost(_))));
        }
        assert!(clean.is_closed() && failed.is_closed() && open.is_closed());
        assert!(gw.new_channel().is_err());
    })
    .await;
}

// Groups.

#[tokio::test]
async fn a_group_is_used_again_and_goes_on_counting() {
    let Some(python) = python() else { return };
    let group = group();
    for round in 0..2 {
        let gateways = group.make_all([popen_of(&[&python]), popen_of(&[&python])]).await.unwrap();
        let ids: Vec<_> = gateways.iter().map(Gateway::id).collect();
        let expected = [0, 1].map(|n| format!("gw{}", 2 * round + n));
        assert_eq!(ids, expected);
        assert_eq!(ask::<i64>(&gateways[1], "channel.send(1)").await, 1);
        bounded(group.terminate(PATIENCE)).await.unwrap();
        assert!(group.is_empty());
    }
}

#[tokio::test]
async fn no_patience_at_all_kills_at_once() {
    let group = group();
    let Some(gw) = popen(&group).await else { return };
    let source = "channel.send(1)\n\
         while True:\n try:\n  while True: pass\n except BaseException: pass";
    assert_eq!(ask::<i64>(&gw, source).await, 1);
    bounded(group.terminate(Duration::ZERO)).await.unwrap();
    let ending = bounded(gw.lost()).await.ending();
    assert!(ending.is_some_and(|ending| ending != Ending::Exited(0)), "{ending:?}");
}

#[tokio::test]
async fn a_second_exit_does_nothing_more() {
    let group = group();
    let Some(gw) = popen(&group).await else { return };
    for _ in 0..2 {
        assert_eq!(gw.exit(WATCHDOG).await, Some(Ending::Exited(0)));
    }
    assert!(gw.lost().await.is_exit());
}

/// A dead gateway stays in its group until it is taken out, and is named by what fails because of it.
#[tokio::test]
async fn a_dead_member_is_named_and_can_be_taken_out() {
    let Some(python) = python() else { return };
    let group = group();
    let gateways = group.make_all(vec![popen_of(&[&python]); 2]).await.unwrap();
    gateways[1].kill();
    bounded(gateways[1].lost()).await;
    assert_eq!(group.len(), 2);
    let error = bounded(group.remote_exec("channel.receive()")).await.unwrap_err();
    assert!(matches!(&error, ExecError::Lost(lost) if lost.id() == "gw1"), "{error}");
    bounded(group.exit(&gateways[1], PATIENCE)).await;

    // The others go on; and every member is given the same arguments.
    let source = Source::from("def f(channel, x): channel.send([channel.gateway.id, x])");
    let mut channels = bounded(group.remote_exec(source.call("f").arg("x", 7))).await.unwrap();
    let items = bounded(channels.receive_each::<(String, i64)>()).await;
    let items: Vec<_> = items.into_iter().map(Result::unwrap).collect();
    assert_eq!(items, [("gw0".to_owned(), 7)]);
    bounded(group.terminate(PATIENCE)).await.unwrap();
}

/// Theirs: a dead worker ends the waiting for the others, and only the first error is told.
#[tokio::test]
async fn every_members_end_is_told() {
    let Some(python) = python() else { return };
    let group = Group::builder().output(Output::discard()).build();
    group.make_all(vec![popen_of(&[&python]); 4]).await.unwrap();
    let source = "
        import os
        n = int(channel.gateway.id[2:])
        if n == 0: os._exit(3)
        if n == 1: raise KeyError(n)
        if n == 2: raise ValueError(n)
    ";
    let channels = bounded(group.remote_exec(source)).await.unwrap();
    let ends: Vec<_> = bounded(channels.wait_close())
        .await
        .into_iter()
        .map(|result| match result {
            Ok(()) => "well".to_owned(),
            Err(WaitError::Remote(error)) => error.kind().to_owned(),
            Err(WaitError::Lost(lost)) => lost.ending().unwrap().to_string(),
            Err(error) => error.to_string(),
        })
        .collect();
    assert_eq!(ends, ["exit status 3", "KeyError", "ValueError", "well"]);
    bounded(group.terminate(PATIENCE)).await.unwrap();
}

#[tokio::test]
async fn a_multi_channel_of_none_is_at_its_end() {
    let mut none = MultiChannel::new(vec![]);
    assert!(none.send_each(&1).await.is_empty());
    assert!(none.receive_each::<i64>().await.is_empty());
    assert!(none.wait_close().await.is_empty());
    let (senders, mut queue) = none.receive_queue();
    assert!(senders.is_empty());
    assert!(bounded(queue.next()).await.is_none());
}

#[tokio::test]
async fn status_counts_what_waits_as_well() {
    everywhere(|gw| async move {
        let mut channel = gw.remote_exec("channel.send(1); channel.receive()").await.unwrap();
        channel.receive::<i64>().await.unwrap();
        let status = gw.status().await.unwrap();
        let number = |key| status.get(key).and_then(Value::as_i64);
        assert_eq!((number("channels"), number("executing")), (Some(1), Some(1)), "{status}");
        assert_eq!(number("queued"), Some(0), "{status}");
        assert_eq!(status.get("execmodel").and_then(Value::as_str), Some("thread"));
        // Asking opens no channel.
        assert_eq!(gw.status().await.unwrap(), status);
    })
    .await;
}
