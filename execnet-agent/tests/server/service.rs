//! A server as its operator has it: signals, status, limits.

use execnet_testing::WATCHDOG;
use serde_json::Value;

use crate::support::{Served, agent, bounded, group, new_token, secret};

fn status(control: &std::path::Path) -> Value {
    let output = agent().args(["status", "--control"]).arg(control).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn sigterm_takes_no_more_and_lets_those_go_on_that_are_there() {
    let secret = secret();
    let mut served = secret.serve(&["--drain-timeout", "1h"]);
    let group = group();
    let spec = secret.spec(&served);
    let gateway = bounded(group.make_gateway(spec.as_str())).await.unwrap();
    served.signal("TERM");
    served.logged(&["draining"]);
    let mut channel = gateway.remote_exec("channel.send(7)").await.unwrap();
    assert_eq!(bounded(channel.receive::<i64>()).await.unwrap(), 7);
    let error = bounded(group.make_gateway(spec.as_str())).await.unwrap_err().to_string();
    assert!(error.contains("nobody listens"), "{error}");
    assert!(served.child.try_wait().unwrap().is_none());
    bounded(gateway.exit(WATCHDOG)).await;
    assert!(served.wait().success());
}

#[tokio::test]
async fn a_log_that_takes_nothing_ends_nothing() {
    let secret = secret();
    let mut served = Served::start_within("exec 2>/dev/full", &secret.args());
    let group = group();
    let gateway = bounded(group.make_gateway(secret.spec(&served).as_str())).await.unwrap();
    let mut channel = gateway.remote_exec("channel.send(7)").await.unwrap();
    assert_eq!(bounded(channel.receive::<i64>()).await.unwrap(), 7);
    bounded(gateway.exit(WATCHDOG)).await;
    served.signal("TERM");
    assert!(served.wait().success());
}

#[tokio::test]
async fn a_second_sigterm_ends_at_once_and_says_so() {
    let secret = secret();
    let mut served = secret.serve(&["--drain-timeout", "1h"]);
    let group = group();
    let gateway = bounded(group.make_gateway(secret.spec(&served).as_str())).await.unwrap();
    let source = "import time\nwhile 1: time.sleep(1000)";
    let mut channel = gateway.remote_exec(source).await.unwrap();
    served.signal("TERM");
    served.logged(&["draining"]);
    served.signal("TERM");
    let error = bounded(channel.receive::<i64>()).await.unwrap_err().to_string();
    assert!(error.contains("is gone"), "{error}");
    assert!(served.wait().success());
    served.logged(&["the server shuts down"]);
}

#[tokio::test]
async fn tokens_take_turns_without_an_interruption() {
    let secret = secret();
    let next = secret.dir.path().join("next");
    std::fs::copy(&secret.file, &next).unwrap();
    let file = next.to_str().unwrap();
    let mut served = secret.serve(&["--token-file", file]);
    let group = group();
    let old = secret.spec(&served);
    let gateway = bounded(group.make_gateway(old.as_str())).await.unwrap();

    // The next token, beside the old one.
    std::fs::remove_file(&next).unwrap();
    new_token(&next);
    served.signal("HUP");
    served.logged(&["read tokens and certificates again"]);
    let new = format!("socket={}//token_file={file}", served.addresses[0]);
    for spec in [&old, &new] {
        bounded(group.make_gateway(spec.as_str())).await.unwrap();
    }

    // Then in its place. Who is there stays.
    std::fs::copy(&next, &secret.file).unwrap();
    let kept = secret.dir.path().join("kept");
    served.signal("HUP");
    served.logged(&["read tokens and certificates again"]);
    bounded(group.make_gateway(new.as_str())).await.unwrap();
    let mut channel = gateway.remote_exec("channel.send(1)").await.unwrap();
    assert_eq!(bounded(channel.receive::<i64>()).await.unwrap(), 1);

    // A file that is of no use changes nothing.
    std::fs::rename(&next, &kept).unwrap();
    served.signal("HUP");
    served.logged(&["no such file"]);
    let new = format!("socket={}//token_file={}", served.addresses[0], kept.display());
    bounded(group.make_gateway(new.as_str())).await.unwrap();
}

#[tokio::test]
async fn a_token_that_was_taken_out_lets_nobody_in() {
    let secret = secret();
    let mut served = secret.serve(&[]);
    let kept = secret.dir.path().join("kept");
    std::fs::rename(&secret.file, &kept).unwrap();
    new_token(&secret.file);
    served.signal("HUP");
    served.logged(&["read tokens and certificates again"]);
    let old = format!("socket={}//token_file={}", served.addresses[0], kept.display());
    let error = bounded(group().make_gateway(old.as_str())).await.unwrap_err().to_string();
    assert!(error.contains("does not have this token"), "{error}");
    served.logged(&["refused", "a token that is not ours"]);
}

#[tokio::test]
async fn the_status_tells_who_is_there() {
    let secret = secret();
    let control = secret.dir.path().join("control");
    let mut served = secret.serve(&["--control", control.to_str().unwrap(), "--max-workers", "1"]);
    let before = status(&control);
    assert_eq!((&before["workers"], &before["served"]), (&Value::Array(vec![]), &Value::from(0)));
    let group = group();
    let spec = format!("{}//id=gw9", secret.spec(&served));
    let gateway = bounded(group.make_gateway(spec.as_str())).await.unwrap();
    let during = status(&control);
    assert_eq!(during["workers"][0]["id"], "gw9");
    assert_eq!(during["workers"][0]["pid"], gateway.info().pid);
    assert_eq!(during["addresses"][0], served.addresses[0].as_str());
    assert_eq!(during["draining"], false);

    // One more than it may have.
    let error = bounded(group.make_gateway(secret.spec(&served).as_str())).await.unwrap_err();
    assert!(error.to_string().contains("1 workers run already"), "{error}");
    served.logged(&["refused", "allows no more"]);
    bounded(gateway.exit(WATCHDOG)).await;
    served.logged(&["ended", "received="]);
    bounded(group.make_gateway(secret.spec(&served).as_str())).await.unwrap();
    let output = agent().args(["status", "--control", "/no/such/socket"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn a_socket_that_a_dead_server_left_is_taken_over_and_a_live_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let address = format!("unix:{}", dir.path().join("socket").display());
    let mut first = Served::start(&["--listen", &address]);
    let output = agent().args(["serve", "--listen", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot listen"), "{output:?}");
    first.child.kill().unwrap();
    first.wait();
    let _second = Served::start(&["--listen", &address]);
    let spec = format!("socket={address}");
    bounded(group().make_gateway(spec.as_str())).await.unwrap();
}

#[tokio::test]
async fn systemd_is_told() {
    let secret = secret();
    let path = secret.dir.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(WATCHDOG)).unwrap();
    let file = secret.file.to_str().unwrap();
    let args = ["--listen", "127.0.0.1:0", "--token-file", file];
    let mut served = Served::start_with(&args, |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    let hear = || {
        let mut text = [0; 100];
        let heard = socket.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..heard]).into_owned()
    };
    assert_eq!(hear(), "READY=1");
    let gateway = bounded(group().make_gateway(secret.spec(&served).as_str())).await.unwrap();
    let source = "import os; channel.send('NOTIFY_SOCKET' in os.environ)";
    let mut channel = gateway.remote_exec(source).await.unwrap();
    assert!(!bounded(channel.receive::<bool>()).await.unwrap());
    drop((channel, gateway));
    served.signal("TERM");
    assert_eq!(hear(), "STOPPING=1");
    assert!(served.wait().success());
}

#[tokio::test]
async fn an_idle_connection_is_ended() {
    let secret = secret();
    let mut served = secret.serve(&["--idle-timeout", "1s"]);
    let told = match bounded(group().make_gateway(secret.spec(&served).as_str())).await {
        Ok(gateway) => bounded(gateway.lost()).await.to_string(),
        // On a busy machine the worker's start is idleness enough.
        Err(error) => error.to_string(),
    };
    assert!(told.contains("nothing happened for 1s"), "{told}");
    served.logged(&["ended", "nothing happened for 1s"]);
}

#[tokio::test]
async fn why_a_connection_ends_is_told_even_if_its_worker_has_to_be_killed() {
    let secret = secret();
    let mut served = secret.serve(&["--drain-timeout", "0s"]);
    let gateway = bounded(group().make_gateway(secret.spec(&served).as_str())).await.unwrap();
    // Whatever is asked of it, it does not do.
    let stop = ["-STOP", &gateway.info().pid.to_string()];
    assert!(std::process::Command::new("kill").args(stop).status().unwrap().success());
    served.signal("TERM");
    let told = bounded(gateway.lost()).await.to_string();
    assert!(told.contains("the server shuts down"), "{told}");
    served.logged(&["ended", "the server shuts down", "SIGKILL"]);
    assert!(served.wait().success());
}

#[tokio::test]
async fn what_the_server_inherits_is_not_for_workers() {
    let dir = tempfile::tempdir().unwrap();
    let address = format!("unix:{}", dir.path().join("socket").display());
    let mut shell = std::process::Command::new("sh");
    shell.args([
        "-c",
        "exec \"$@\" 7>&1 8</dev/null 1>/dev/null",
        "sh",
        env!("CARGO_BIN_EXE_execnet-agent"),
    ]);
    shell.args(["serve", "--listen", &address, "--ready-fd", "7"]);
    let mut shell = shell.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let stdout = shell.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
    assert_eq!(line.trim(), address);
    let gateway = bounded(group().make_gateway(format!("socket={address}").as_str())).await;
    let source = "import os; channel.send(sorted(map(int, os.listdir('/dev/fd'))))";
    let mut channel = gateway.unwrap().remote_exec(source).await.unwrap();
    let open: Vec<i64> = bounded(channel.receive()).await.unwrap();
    assert!(!open.contains(&7) && !open.contains(&8), "{open:?}");
    shell.kill().unwrap();
    shell.wait().unwrap();
}

#[test]
fn help_names_what_there_is() {
    let output = agent().args(["serve", "--help"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    for word in ["--token-file", "--stock-clients", "SIGHUP", "Examples:"] {
        assert!(text.contains(word), "{word}");
    }
}
