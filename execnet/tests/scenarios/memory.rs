//! Over a transport of one's own: bytes that never leave this process until they are handed to a worker.

use std::convert::Infallible;
use std::process::Stdio;

use execnet::{Scheme, XSpec, worker_command};
use execnet_transport::{Bootstrap, BoxFuture, ConnectError, Link, Stderr, Transport, memory};
use tokio::io::{AsyncWriteExt, copy};
use tokio::process::{Child, Command};

use super::Place;

pub(super) fn place(python: &str) -> Place {
    let relayed = |spec: &XSpec| Ok::<_, Infallible>(Relayed(worker_command(spec)));
    let mut place = Place::new("memory", [format!("memory//python={python}")]);
    place.group = place.group.scheme(Scheme::new("memory", relayed));
    let why = "this transport does not tell how the process ended";
    place.lacking(&["death by exit", "death by SIGKILL"], why)
}

/// Memory links with interpreters behind them.
#[derive(Debug)]
struct Relayed(Vec<String>);

impl Transport for Relayed {
    fn address(&self) -> String {
        "memory".to_owned()
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        Box::pin(async {
            let (near, far) = memory::pair(memory::DEFAULT_BUFFER);
            let mut worker = Command::new(&self.0[0]);
            worker.args(&self.0[1..]).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut worker = worker.stderr(Stdio::piped()).spawn().expect("an interpreter");
            let stderr = Stderr::new(worker.stderr.take().expect("a pipe"));
            tokio::spawn(relay(far, worker));
            Ok(near.with_stderr(stderr).with_bootstrap(Bootstrap::Python))
        })
    }
}

/// Passes on between the link and the worker. When the link ends, so does the worker's input, and with that the worker.
async fn relay(far: Link, mut worker: Child) {
    let Link { mut reader, mut writer, guard: _guard, .. } = far;
    let mut stdin = worker.stdin.take().expect("a pipe");
    let mut stdout = worker.stdout.take().expect("a pipe");
    let there = tokio::spawn(async move {
        let _ = copy(&mut reader, &mut stdin).await;
    });
    let _ = copy(&mut stdout, &mut writer).await;
    let _ = writer.shutdown().await;
    let _ = worker.wait().await;
    there.abort();
}
