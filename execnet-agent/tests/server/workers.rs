//! What a connection's worker is, and how its bytes pass.

use std::time::Duration;

use execnet::{Group, Output};
use execnet_testing::{WATCHDOG, pythons};

use crate::support::{Served, bounded, group, secret};

#[tokio::test]
async fn each_connection_has_a_process_with_the_interpreter_that_it_asks_for() {
    let secret = secret();
    let served = secret.serve(&[]);
    let group = group();
    for python in pythons() {
        let spec = format!("{}//python={}", secret.spec(&served), python.display());
        let gateway = bounded(group.make_gateway(spec.as_str())).await.unwrap();
        let executable = std::path::PathBuf::from(&gateway.info().executable);
        assert_eq!(executable.canonicalize().unwrap(), python);
        let mut channel = gateway.remote_exec("channel.send(channel.receive())").await.unwrap();
        channel.send(&"x".repeat(3_000_000)).await.unwrap();
        assert_eq!(bounded(channel.receive::<String>()).await.unwrap().len(), 3_000_000);
    }
    let mut pids: Vec<_> = group.gateways().iter().map(|gateway| gateway.info().pid).collect();
    pids.dedup();
    assert_eq!(pids.len(), group.len());
    bounded(group.terminate(Duration::from_secs(60))).await.unwrap();
}

#[tokio::test]
async fn settings_are_there_before_the_interpreter() {
    let secret = secret();
    let served = secret.serve(&[]);
    let group = group();
    let spec = format!(
        "{}//env:PYTHONHASHSEED=0//dont_write_bytecode//nice=1//execmodel=main_thread_only//id=me",
        secret.spec(&served)
    );
    let gateway = bounded(group.make_gateway(spec.as_str())).await.unwrap();
    let source = "import os, sys\n\
                  channel.send([sys.flags.hash_randomization, int(sys.dont_write_bytecode), \
                  int(os.nice(0) == min(os.getpriority(os.PRIO_PROCESS, os.getppid()) + 1, 19))])";
    let mut channel = gateway.remote_exec(source).await.unwrap();
    assert_eq!(bounded(channel.receive::<Vec<i64>>()).await.unwrap(), [0, 1, 1]);
}

#[tokio::test]
async fn output_comes_between_frames_of_any_size() {
    let secret = secret();
    let served = secret.serve(&[]);
    let (tell, lines) = std::sync::mpsc::channel();
    let output = Output::handler(move |line| drop(tell.send(line.line.to_owned())));
    let group = Group::builder().output(output).start_timeout(WATCHDOG).build();
    let gateway = bounded(group.make_gateway(secret.spec(&served).as_str())).await.unwrap();
    let source = "for n in range(300):\n    print('line', n)\n    channel.send(b'x' * (n * 997))";
    let mut channel = gateway.remote_exec(source).await.unwrap();
    for n in 0..300 {
        let item: execnet::Value = bounded(channel.receive()).await.unwrap();
        assert_eq!(item.as_bytes().map(|bytes| bytes.len()), Some(n * 997));
    }
    bounded(gateway.exit(WATCHDOG)).await;
    let lines: Vec<String> = lines.try_iter().collect();
    let expected: Vec<String> = (0..300).map(|n| format!("line {n}")).collect();
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_native_worker_is_the_same_program() {
    let dir = tempfile::tempdir().unwrap();
    let address = format!("unix:{}", dir.path().join("socket").display());
    let served = Served::start(&["--listen", &address]);
    // What the facade would say: the settings of its HELLO.
    let stream = bounded(tokio::net::UnixStream::connect(dir.path().join("socket"))).await.unwrap();
    let (reader, writer) = stream.into_split();
    let mut config = execnet_channel::Config::balanced();
    config.hello.settings.insert("worker".to_owned(), "native".into());
    let (mux, incoming, driver) =
        execnet_channel::Mux::new(reader, writer, execnet_channel::Side::Connector, config)
            .unwrap();
    let driving = tokio::spawn(driver);
    let hello = bounded(mux.peer()).await.unwrap();
    assert!(hello.software.starts_with("execnet-agent"), "{}", hello.software);
    let children = served.workers();
    assert_eq!(children.len(), 1);
    drop((mux, incoming));
    let _ = bounded(driving).await;
}

#[tokio::test]
async fn a_worker_that_cannot_start_says_why() {
    let secret = secret();
    let mut served = secret.serve(&[]);
    let group = group();
    for (python, said) in [
        ("no-such-python", "no such program on PATH"),
        ("sh -c 'echo out of order >&2; exit 3'", "out of order"),
        ("sh -c 'exec kill -9 $$'", "killed by SIGKILL"),
    ] {
        let spec = format!("{}//python={python}", secret.spec(&served));
        let error = bounded(group.make_gateway(spec.as_str())).await.unwrap_err().to_string();
        assert!(error.contains(said), "{python}: {error}");
    }
    served.logged(&["no such program on PATH"]);
}

#[tokio::test]
async fn noise_in_front_of_the_protocol_is_output() {
    let secret = secret();
    let served = secret.serve(&[]);
    let (tell, lines) = std::sync::mpsc::channel();
    let output = Output::handler(move |line| drop(tell.send(line.line.to_owned())));
    let group = Group::builder().output(output).start_timeout(WATCHDOG).build();
    let python = execnet_testing::python().unwrap();
    let noisy = format!("sh -c 'echo Welcome; exec \"$@\"' sh {}", python.display());
    let spec = format!("{}//python={noisy}", secret.spec(&served));
    let gateway = bounded(group.make_gateway(spec.as_str())).await.unwrap();
    bounded(gateway.exit(WATCHDOG)).await;
    assert_eq!(lines.try_iter().collect::<Vec<_>>(), ["Welcome"]);
}
