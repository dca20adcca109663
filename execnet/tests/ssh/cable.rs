//! Another machine, and what becomes of a gateway there when the network does not do as it should.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::Read;
use std::process::Command;
use std::time::Duration;

use execnet::{Config, ConnectionError, Group, Output, ReceiveError};
use execnet_testing::{Netns, Sshd, descendants};

use crate::common::bounded;
use crate::{BACKENDS, spec};

/// A pipe with a name, at whose end the test sees that whoever opened it is gone: no network is needed for that.
struct Pipe(String);

impl Pipe {
    fn new(sshd: &Sshd, name: &str) -> Self {
        let path = sshd.dir().join(name).display().to_string();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        Self(path)
    }

    fn source(&self) -> String {
        format!("import sys; sys.held = open({:?}, 'w')\n", self.0)
    }

    /// Opened once the other side has.
    async fn open(&self) -> File {
        let path = self.0.clone();
        bounded(tokio::task::spawn_blocking(|| File::open(path).unwrap())).await.unwrap()
    }
}

/// The `ssh` programs of this test that run.
fn programs_for(sshd: &Sshd) -> Vec<u32> {
    let config = sshd.dir().join("client_config").display().to_string();
    let mut found = descendants(std::process::id());
    found.retain(|pid| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains(&config)
    });
    found
}

async fn gone(mut held: File) {
    let reading = tokio::task::spawn_blocking(move || held.read_to_end(&mut Vec::new()).unwrap());
    bounded(reading).await.unwrap();
}

#[tokio::test]
async fn a_cable_that_is_pulled_ends_both_sides() {
    let Some(netns) = Netns::new() else { return };
    let there = Sshd::builder().netns(netns.name()).address(netns.far().into());
    let Some(sshd) = there.start() else { return };
    let every = Duration::from_secs(1);
    let config =
        Config { keepalive: Some(every), idle_timeout: Some(5 * every), ..Config::default() };
    for backend in BACKENDS {
        let group = Group::builder().output(Output::discard()).config(config.clone()).build();
        let spec = spec(&sshd, backend, "");
        let gw = bounded(group.make_gateway(spec.as_str())).await.unwrap();
        let pipe = Pipe::new(&sshd, backend);
        let source = pipe.source() + "while True: channel.send(bytes(100_000))";
        let mut busy = gw.remote_exec(source.as_str()).await.unwrap();
        let mut idle = gw.remote_exec("channel.receive()").await.unwrap();
        let held = pipe.open().await;
        assert_eq!(programs_for(&sshd).len(), usize::from(backend == "openssh"));
        for _ in 0..20 {
            bounded(busy.receive_value()).await.unwrap();
        }

        netns.unplug();
        for channel in [&mut busy, &mut idle] {
            let error = loop {
                match bounded(channel.receive_value()).await {
                    Ok(_) => {}
                    Err(error) => break error,
                }
            };
            let ReceiveError::Lost(lost) = &error else { panic!("{backend}: {error:?}") };
            assert!(matches!(lost.cause(), ConnectionError::NoAnswer(_)), "{backend}: {lost:?}");
            assert!(
                error.to_string().ends_with("is gone: no answer for 5 s"),
                "{backend}: {error}"
            );
        }
        assert_eq!(programs_for(&sshd), Vec::<u32>::new(), "{backend}: an orphan here");
        // The link stays down: nobody tells the worker, and it ends all the same.
        gone(held).await;
        netns.plug();
    }
}
