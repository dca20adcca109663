//! The same scenarios where no Python runs: on a native agent, by commands of its machine.

use execnet::{CallError, Ending, Gateway, Stdio, Value};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::scenarios::{self, Run};

/// Those that can be had, by the names that they have in [`scenarios::ALL`].
pub(super) const ALL: &[(&str, Run)] = &[
    ("items both ways", |gw| Box::pin(items(gw))),
    ("64 MiB both ways", |gw| Box::pin(much(gw))),
    ("printed lines", |gw| Box::pin(printed(gw))),
    ("a remote exception", |gw| Box::pin(exception(gw))),
    ("an interrupt", |gw| Box::pin(interrupt(gw))),
    ("several channels at once", |gw| Box::pin(several(gw))),
    ("a reader that stands still", |gw| Box::pin(slow(gw))),
    ("status", |gw| Box::pin(status(gw))),
    ("a command", |gw| Box::pin(scenarios::command(gw))),
    ("death by SIGKILL", |gw| Box::pin(sigkill(gw))),
    ("a kill leaves no orphan", |gw| Box::pin(kill(gw))),
];

async fn items(gw: Gateway) {
    echo(&gw, 20).await;
}

/// Lines there and back, each when the one before has come.
async fn echo(gw: &Gateway, lines: usize) {
    let mut cat = gw.command(["cat"]).spawn().await.unwrap();
    let (mut stdin, stdout) = (cat.stdin.take().unwrap(), cat.stdout.take().unwrap());
    let mut stdout = BufReader::new(stdout).lines();
    for n in 0..lines {
        stdin.write_all(format!("ü {n}\n").as_bytes()).await.unwrap();
        assert_eq!(stdout.next_line().await.unwrap(), Some(format!("ü {n}")));
    }
    drop(stdin);
    assert_eq!(stdout.next_line().await.unwrap(), None);
    assert_eq!(cat.wait().await.unwrap(), Ending::Exited(0));
}

async fn much(gw: Gateway) {
    let mut cat = gw.command(["cat"]).spawn().await.unwrap();
    let (mut stdin, mut stdout) = (cat.stdin.take().unwrap(), cat.stdout.take().unwrap());
    let sending = tokio::spawn(async move {
        for n in 0..64_u8 {
            stdin.write_all(&vec![n; 1 << 20]).await.unwrap();
        }
    });
    let mut piece = vec![0; 1 << 20];
    for n in 0..64_u8 {
        stdout.read_exact(&mut piece).await.unwrap();
        assert!(piece.iter().all(|byte| *byte == n));
    }
    sending.await.unwrap();
    assert_eq!(stdout.read(&mut piece).await.unwrap(), 0);
}

async fn printed(gw: Gateway) {
    let mut output = gw.output();
    let command = gw.command(["sh", "-c", "echo out; echo err >&2"]).stdout(Stdio::Inherit);
    assert_eq!(command.status().await.unwrap(), Ending::Exited(0));
    let mut lines = vec![output.next_line().await.unwrap(), output.next_line().await.unwrap()];
    lines.sort();
    assert_eq!(lines, ["err", "out"]);
}

async fn exception(gw: Gateway) {
    let Err(CallError::UnknownTask(error)) = gw.call::<()>("no such task", &()).await else {
        panic!()
    };
    assert!(error.message().contains("no such task"), "{error}");
    gw.ping().await.unwrap();
}

async fn interrupt(gw: Gateway) {
    let mut sleep = gw.command(["sleep", "1000"]).spawn().await.unwrap();
    sleep.interrupt();
    let ending = sleep.wait().await.unwrap();
    assert_eq!(ending, Ending::Signaled { signal: 2, core_dumped: false });
}

async fn several(gw: Gateway) {
    let tasks = (0..10).map(|_| {
        let gw = gw.clone();
        tokio::spawn(async move { echo(&gw, 20).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

async fn slow(gw: Gateway) {
    // Nobody reads what comes here …
    let _unread = gw.command(["yes"]).spawn().await.unwrap();
    // … and others go on.
    echo(&gw, 100).await;
}

async fn status(gw: Gateway) {
    let running = gw.command(["sleep", "1000"]).spawn().await.unwrap();
    let Value::Dict(entries) = gw.status().await.unwrap() else { panic!("no dict") };
    // The request, and both ends of the pipes.
    assert!(entries.contains(&("channels".into(), Value::Int(3))), "{entries:?}");
    drop(running);
}

async fn sigkill(gw: Gateway) {
    let _killing = gw.command(["sh", "-c", "kill -9 $PPID; sleep 1000"]).spawn().await;
    let lost = gw.lost().await;
    assert!(lost.to_string().contains("killed by SIGKILL (signal 9)"), "{lost}");
}

async fn kill(gw: Gateway) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lifeline");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    // What it starts has the pipe open as well.
    let script = format!("exec >{}; echo up; sleep 1000 & wait", path.display());
    let _running = gw.command(["sh", "-c", &script]).stdout(Stdio::Null).spawn().await.unwrap();
    let mut life = tokio::fs::File::open(&path).await.unwrap();
    let mut up = [0; 3];
    life.read_exact(&mut up).await.unwrap();
    gw.kill();
    gw.lost().await;
    // At its end all that had it open are gone.
    assert_eq!(life.read(&mut up).await.unwrap(), 0);
}
