//! Programs on a gateway's machine.

mod common;

use std::time::Duration;

use common::{bounded, group, popen};
use execnet::{CommandError, Ending, Gateway, Group, Output, OutputLine, Stdio};
use execnet_testing::Lifeline;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn gateway() -> Option<(Group, Gateway)> {
    let group = group();
    let gateway = popen(&group).await?;
    Some((group, gateway))
}

fn sh(script: &str) -> [&str; 3] {
    ["sh", "-c", script]
}

#[tokio::test]
async fn output_and_status() {
    let Some((_group, gw)) = gateway().await else { return };
    let output = bounded(gw.command(sh("echo out; echo err >&2; exit 3")).output()).await.unwrap();
    assert_eq!((&*output.stdout, &*output.stderr), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!((output.status, output.status.code()), (Ending::Exited(3), Some(3)));
    let status = bounded(gw.command(["true"]).status()).await.unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn directory_and_environment() {
    let Some((_group, gw)) = gateway().await else { return };
    let command = gw.command(sh("pwd; echo $X-$HOME")).current_dir("/").env("X", "a b");
    let output = bounded(command.env_remove("HOME").output()).await.unwrap();
    assert_eq!(output.stdout, b"/\na b-\n");
}

#[tokio::test]
async fn much_both_ways() {
    let Some((_group, gw)) = gateway().await else { return };
    let mut cat = gw.command(["cat"]).spawn().await.unwrap();
    let (mut stdin, mut stdout) = (cat.stdin.take().unwrap(), cat.stdout.take().unwrap());
    let data: Vec<u8> = (0..16 << 20).map(|n: u32| (n % 251) as u8).collect();
    let sent = data.clone();
    let feeding = tokio::spawn(async move {
        stdin.write_all(&sent).await.unwrap();
        stdin.shutdown().await.unwrap();
    });
    let mut echo = Vec::new();
    bounded(stdout.read_to_end(&mut echo)).await.unwrap();
    assert!(echo == data);
    feeding.await.unwrap();
    assert_eq!(bounded(cat.wait()).await.unwrap(), Ending::Exited(0));
}

#[tokio::test]
async fn the_status_needs_no_reader() {
    let Some((_group, gw)) = gateway().await else { return };
    let mut process = gw.command(sh("echo unread; exit 4")).spawn().await.unwrap();
    assert_eq!(bounded(process.wait()).await.unwrap(), Ending::Exited(4));
    assert_eq!(bounded(process.wait()).await.unwrap(), Ending::Exited(4));
    let mut text = String::new();
    bounded(process.stdout.take().unwrap().read_to_string(&mut text)).await.unwrap();
    assert_eq!(text, "unread\n");
}

#[tokio::test]
async fn output_goes_nowhere_or_where_prints_go() {
    let (lines, mut printed) = tokio::sync::mpsc::unbounded_channel();
    let output = Output::handler(move |line: OutputLine<'_>| {
        let _ = lines.send(line.line.to_owned());
    });
    let group = Group::builder().output(output).build();
    let Some(gw) = popen(&group).await else { return };
    let command = gw.command(sh("yes | head -n 100000; echo inherited >&2")).stdout(Stdio::Null);
    assert!(bounded(command.status()).await.unwrap().success());
    assert_eq!(bounded(printed.recv()).await.unwrap(), "inherited");
}

#[tokio::test]
async fn what_cannot_be_started_says_so() {
    let Some((_group, gw)) = gateway().await else { return };
    let error = bounded(gw.command(["no-such-program"]).spawn()).await.unwrap_err();
    let CommandError::NotStarted { fault, .. } = &error else { panic!("{error:?}") };
    assert_eq!(fault.kind(), "FileNotFoundError");
    let text = error.to_string();
    assert!(text.starts_with("cannot start \"no-such-program\" on gateway gw0: "), "{text}");
    let error = bounded(gw.command(["true"]).current_dir("/no/such").output()).await.unwrap_err();
    assert!(error.to_string().contains("/no/such"), "{error}");
    let error = bounded(gw.command([""; 0]).status()).await.unwrap_err();
    assert!(error.to_string().contains("argv"), "{error}");
}

#[tokio::test]
async fn signals() {
    let Some((_group, gw)) = gateway().await else { return };
    let mut sleep = gw.command(["sleep", "1000"]).spawn().await.unwrap();
    sleep.signal(15).await.unwrap();
    let ending = bounded(sleep.wait()).await.unwrap();
    assert_eq!(ending, Ending::Signaled { signal: 15, core_dumped: false });
    assert_eq!(ending.to_string(), "killed by SIGTERM (signal 15)");
    let mut sleep = gw.command(["sleep", "1000"]).spawn().await.unwrap();
    sleep.interrupt();
    assert_eq!(bounded(sleep.wait()).await.unwrap().signal(), Some(2));
    let mut sleep = gw.command(["sleep", "1000"]).spawn().await.unwrap();
    // What it does not read holds no signal up.
    let stdin = sleep.stdin.as_mut().unwrap();
    let full = tokio::time::timeout(Duration::from_millis(300), async {
        loop {
            stdin.write_all(&[0; 65536]).await.unwrap();
        }
    });
    full.await.unwrap_err();
    assert_eq!(bounded(sleep.kill()).await.unwrap().signal(), Some(9));
    sleep.signal(15).await.unwrap();
}

#[tokio::test]
async fn dropping_it_kills() {
    let Some((_group, gw)) = gateway().await else { return };
    let lifeline = Lifeline::new();
    let code = format!("{}sys.lifeline.recv(1)", lifeline.source());
    let python = gw.info().executable.clone();
    let process = gw.command([&*python, "-c", &*code]).spawn().await.unwrap();
    let life = lifeline.accept();
    drop(process);
    tokio::task::spawn_blocking(|| life.wait_for_death()).await.unwrap();
}

#[tokio::test]
async fn the_end_of_the_gateway_ends_them_and_says_so() {
    let Some((_group, gw)) = gateway().await else { return };
    let lifeline = Lifeline::new();
    let code = format!("{}sys.lifeline.recv(1)", lifeline.source());
    let python = gw.info().executable.clone();
    let mut process = gw.command([&*python, "-c", &*code]).spawn().await.unwrap();
    let life = lifeline.accept();
    gw.kill();
    let error = bounded(process.wait()).await.unwrap_err();
    assert!(error.to_string().contains("killed by SIGKILL"), "{error}");
    let error = process.stdout.take().unwrap().read_u8().await.unwrap_err();
    assert!(error.to_string().contains("killed by SIGKILL"), "{error}");
    tokio::task::spawn_blocking(|| life.wait_for_death()).await.unwrap();
}

#[tokio::test]
async fn programs_and_tasks_do_not_hold_each_other_up() {
    let Some((_group, gw)) = gateway().await else { return };
    // Nobody reads it.
    let yes = gw.command(["yes"]).spawn().await.unwrap();
    let mut channel = gw.remote_exec("channel.send(6 * 7)").await.unwrap();
    assert_eq!(bounded(channel.receive::<i64>()).await.unwrap(), 42);
    let output = bounded(gw.command(["echo", "x"]).output()).await.unwrap();
    assert_eq!(output.stdout, b"x\n");
    drop(yes);
}
