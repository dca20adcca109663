//! Calls, their results and their errors.

use std::time::Duration;

use execnet::{CallError, Group, Output, ReceiveError, Value, blocking};

use crate::support::{builder, here, start};

crate::tests![
    a_call_gives_its_result,
    a_started_task_has_a_channel,
    errors_are_told_apart,
    a_panic_is_told_and_the_agent_lives_on,
    a_call_that_is_dropped_is_cancelled,
    an_interrupt_cancels,
    settings_are_applied,
    what_is_printed_is_output,
    it_says_what_it_is,
    source_is_refused_with_what_it_can_do,
    a_python_worker_says_what_it_can_do,
    keys_for_python_are_refused,
    a_program_that_is_missing_is_named,
    it_works_without_a_runtime,
];

async fn a_call_gives_its_result() {
    let (_group, gateway) = here().await;
    let total: i64 = gateway.call("sum", &[1, 2, 3]).await.unwrap();
    assert_eq!(total, 6);
    assert_eq!(gateway.call::<Value>("sum", &[20, 22]).await.unwrap(), Value::Int(42));
    // The items before the result are dropped.
    let counted = gateway.call::<Value>("count", &1000).await.unwrap();
    assert_eq!(counted, Value::dict([("counted", 1000)]));
}

async fn a_started_task_has_a_channel() {
    let (_group, gateway) = here().await;
    let mut channel = gateway.start("count", &3).await.unwrap();
    for n in 0..3 {
        assert_eq!(channel.receive::<u32>().await.unwrap(), n);
    }
    assert_eq!(channel.receive_value().await.unwrap(), Value::dict([("counted", 3)]));
    assert!(matches!(channel.receive::<u32>().await, Err(ReceiveError::End)));
}

async fn errors_are_told_apart() {
    let (_group, gateway) = here().await;
    let Err(CallError::Remote(error)) = gateway.call::<u8>("parse", "300").await else { panic!() };
    assert_eq!(
        (error.kind(), error.message()),
        ("ParseIntError", "number too large to fit in target type")
    );
    let Err(CallError::UnknownTask(error)) = gateway.call::<u8>("sun", "").await else { panic!() };
    assert_eq!(
        error.message(),
        "no task \"sun\"; did you mean \"sum\"?; known are: count, deaf, environment, forever, hold, panic, parse, print, \
         stuck, sum, until_cancelled, where"
    );
    let Err(CallError::Remote(error)) = gateway.call::<u8>("parse", &1).await else { panic!() };
    assert_eq!(error.kind(), "TypeError");
    let error = gateway.call::<String>("sum", &[1]).await.unwrap_err();
    assert!(matches!(error, CallError::Result { .. }), "{error}");
    assert!(
        error.to_string().starts_with("the result of the task \"sum\" is another than asked for"),
        "{error}"
    );
    let bad = std::collections::BTreeMap::from([(std::collections::BTreeMap::from([(1, 1)]), 1)]);
    let error = gateway.call::<i64>("sum", &bad).await.unwrap_err();
    assert!(matches!(error, CallError::NotSent(_)), "{error}");
    gateway.kill();
    gateway.lost().await;
    let error = gateway.call::<i64>("sum", &[1]).await.unwrap_err();
    assert!(matches!(error, CallError::Lost(_)), "{error}");
}

async fn a_panic_is_told_and_the_agent_lives_on() {
    let (_group, gateway) = here().await;
    let Err(CallError::Remote(error)) = gateway.call::<()>("panic", "oh no").await else {
        panic!()
    };
    assert_eq!(error.kind(), "panic");
    assert!(
        error.message().starts_with("oh no (") && error.message().contains("support.rs:"),
        "{error}"
    );
    // The text that the error prints has the frames of the task.
    assert!(error.to_string().contains("panicking"), "{error}");
    assert_eq!(gateway.call::<i64>("sum", &[1]).await.unwrap(), 1);
}

async fn a_call_that_is_dropped_is_cancelled() {
    let (_group, gateway) = here().await;
    let mut tell = gateway.new_channel().unwrap();
    let id = tell.id();
    {
        let call = gateway.call::<()>("until_cancelled", &id);
        tokio::pin!(call);
        tokio::select! {
            result = &mut call => panic!("{result:?}"),
            said = tell.receive::<String>() => assert_eq!(said.unwrap(), "running"),
        }
    }
    assert_eq!(tell.receive::<String>().await.unwrap(), "cancelled");
}

async fn an_interrupt_cancels() {
    let (_group, gateway) = here().await;
    let mut channel = gateway.start("forever", &()).await.unwrap();
    assert_eq!(channel.receive::<String>().await.unwrap(), "running");
    assert_eq!(gateway.status().await.unwrap().get("executing"), Some(&Value::Int(1)));
    channel.interrupt();
    let Err(ReceiveError::Remote(error)) = channel.receive::<String>().await else { panic!() };
    assert_eq!(error.kind(), "Cancelled");
    assert_eq!(gateway.status().await.unwrap().get("executing"), Some(&Value::Int(0)));
}

async fn settings_are_applied() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap().join("made/for/it");
    let spec =
        format!("popen//agent//chdir={}//nice=3//env:EXECNET_TEST=a b//id=worker", dir.display());
    let (_group, gateway) = start(&spec).await;
    assert_eq!(gateway.info().cwd, dir.to_str().unwrap());
    assert_eq!(gateway.call::<String>("where", &()).await.unwrap(), dir.to_str().unwrap());
    let found: Option<String> = gateway.call("environment", "EXECNET_TEST").await.unwrap();
    assert_eq!(found.as_deref(), Some("a b"));
    assert_eq!(gateway.info().facts["id"], "worker".into());
    // Every thread of it is nicer than this one.
    let nice = |path: std::path::PathBuf| -> i32 {
        let stat = std::fs::read_to_string(path).unwrap();
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().parse().unwrap()
    };
    let wanted = (nice("/proc/self/stat".into()) + 3).min(19);
    for thread in std::fs::read_dir(format!("/proc/{}/task", gateway.info().pid)).unwrap() {
        assert_eq!(nice(thread.unwrap().path().join("stat")), wanted);
    }
    let error = builder().build().make_gateway("popen//agent//chdir=/dev/null/x").await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("SettingError: setting chdir: /dev/null/x: Not a directory"), "{error}");
}

async fn what_is_printed_is_output() {
    let (_group, gateway) = here().await;
    gateway.call::<()>("print", "for people").await.unwrap();
    gateway.exit(Duration::from_secs(60)).await;
    assert!(
        gateway.last_output(5).contains(&"for people".to_owned()),
        "{:?}",
        gateway.last_output(5)
    );
}

async fn it_says_what_it_is() {
    let (_group, gateway) = here().await;
    let info = gateway.info();
    assert_eq!((&*info.implementation, &*info.version), ("native", env!("CARGO_PKG_VERSION")));
    assert_eq!(info.executable, std::env::current_exe().unwrap().to_str().unwrap());
    assert!(gateway.address().starts_with("popen "), "{}", gateway.address());
    let status = gateway.status().await.unwrap();
    assert_eq!(status.get("execmodel"), Some(&"native".into()));
}

async fn source_is_refused_with_what_it_can_do() {
    let (_group, gateway) = here().await;
    let mut channel = gateway.remote_exec("channel.send(1)").await.unwrap();
    let Err(ReceiveError::Remote(error)) = channel.receive::<i64>().await else { panic!() };
    assert_eq!(
        error.to_string(),
        "ValueError: a request of the kind \"source\"; known are: call, command, connect"
    );
}

async fn a_python_worker_says_what_it_can_do() {
    let Some(python) = execnet_testing::python() else { return };
    let group = Group::builder().output(Output::discard()).build();
    let gateway = group.make_gateway(format!("popen//python={}", python.display())).await.unwrap();
    let Err(CallError::Remote(error)) = gateway.call::<i64>("sum", &[1]).await else { panic!() };
    assert!(error.message().contains("a request of the kind 'call'; known"), "{error}");
    assert!(error.message().contains("source"), "{error}");
}

async fn keys_for_python_are_refused() {
    let group = builder().build();
    for key in ["python=python3", "execmodel=thread", "dont_write_bytecode", "ssh_config=x"] {
        let error = group.make_gateway(format!("popen//agent//{key}")).await.unwrap_err();
        assert!(error.is_caller_fault(), "{error}");
        assert!(error.to_string().contains("is not supported"), "{error}");
    }
}

async fn a_program_that_is_missing_is_named() {
    let group = builder().build();
    let error = group.make_gateway("popen//agent=/no/such/agent").await.unwrap_err();
    assert!(error.to_string().contains("/no/such/agent"), "{error}");
    // A program that is no agent.
    let error = group.make_gateway("popen//agent=echo hello").await.unwrap_err().to_string();
    assert!(
        error.contains("the worker did not start") && error.contains("hello execnet-agent-stdio"),
        "{error}"
    );
}

async fn it_works_without_a_runtime() {
    let work = || {
        let group = blocking::Group::builder()
            .agent_program(std::env::current_exe().unwrap())
            .output(Output::discard())
            .build();
        let gateway = group.make_gateway("popen//agent").unwrap();
        assert_eq!(gateway.call::<i64>("sum", &[1, 2]).unwrap(), 3);
        let late = gateway.call_timeout::<()>(Duration::from_millis(1), "forever", &());
        assert!(late.unwrap().is_none());
        let mut channel = gateway.start("count", &1).unwrap();
        assert_eq!(channel.receive::<u32>().unwrap(), 0);
        group.terminate(Duration::from_secs(60)).unwrap();
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}
