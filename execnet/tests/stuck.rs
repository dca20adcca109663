//! Far ends that not even a kill ends.

mod common;

use std::future::pending;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use common::{bounded, python};
use execnet::{Ending, Group, Output, Scheme, XSpec, worker_command};
use execnet_transport::{
    Bootstrap, BoxFuture, ConnectError, FarEnd, Guard, Link, Popen, Transport,
};

/// A worker that cannot be killed nor waited for, as when its process hangs in the kernel.
#[derive(Debug)]
struct Unkillable {
    popen: Popen,
    /// Where the worker's own guard goes.
    keep: std::sync::mpsc::Sender<Guard>,
}

impl Transport for Unkillable {
    fn address(&self) -> String {
        "a process in the kernel".to_owned()
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        Box::pin(async {
            let mut link = self.popen.connect().await?;
            let stuck = Guard::new(Stuck(self.address()));
            self.keep.send(std::mem::replace(&mut link.guard, stuck)).unwrap();
            Ok(link.with_bootstrap(Bootstrap::Python))
        })
    }
}

struct Stuck(String);

impl FarEnd for Stuck {
    fn address(&self) -> &str {
        &self.0
    }

    fn wait(&self) -> BoxFuture<'_, Ending> {
        Box::pin(pending())
    }

    fn kill(&self) {}
}

#[tokio::test]
async fn what_a_kill_does_not_end_is_named_and_waited_for_no_longer() {
    let Some(python) = python() else { return };
    let (keep, kept) = std::sync::mpsc::channel();
    let keep = Arc::new(std::sync::Mutex::new(keep));
    let scheme = Scheme::new("kernel", move |spec: &XSpec| {
        let keep = keep.lock().unwrap().clone();
        Ok::<_, String>(Unkillable { popen: Popen::new(worker_command(spec)), keep })
    });
    let group = Group::builder().output(Output::discard()).scheme(scheme).build();
    let gw = bounded(group.make_gateway(format!("kernel//python={}", python.display()))).await;
    let pid = gw.unwrap().info().pid.to_string();
    let beside = format!("popen//python={}", python.display());
    let beside = bounded(group.make_gateway(beside.as_str())).await.unwrap();
    let process = kept.recv().unwrap();
    assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());

    let error = bounded(group.terminate(Duration::from_millis(100))).await.unwrap_err();
    assert_eq!(error.to_string(), "gw0 did not end, even when killed");
    assert_eq!(error.stuck, ["gw0"]);
    assert!(group.is_empty());
    assert!(bounded(beside.lost()).await.ending().is_some());
    process.kill();
    bounded(process.wait()).await;
}
