//! A host that is far away, or behind a bad line.
#![cfg(target_os = "linux")]

use std::process::{Command, Stdio};
use std::time::Duration;

use execnet::{Channel, Value};
use execnet_testing::{Netns, Sshd};
use execnet_transport::Transport;
use execnet_transport::ssh::{Config, Native, Options};

use crate::common::{bounded, group};
use crate::{BACKENDS, spec};

/// A server that is so far away that nothing leaves late for being computed late.
fn far_away() -> Option<(Netns, Sshd)> {
    let netns = Netns::far_away(Duration::from_millis(50))?;
    let sshd = Sshd::builder().netns(netns.name()).address(netns.far().into()).start()?;
    Some((netns, sshd))
}

async fn first_item(mut channel: Channel) -> i64 {
    bounded(channel.receive::<i64>()).await.unwrap()
}

/// Counted, not timed. After authentication: one to open the channel; one to start the command, whose answer lets bytes
/// follow; one for the worker, its settings and what it is to run, which passes while the interpreter starts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_item_takes_as_few_round_trips_as_ssh_lets_it() {
    let Some((netns, sshd)) = far_away() else { return };
    let options = Options::new("web1").unwrap().config_file(sshd.client_config("web1"));
    let config = Config::resolve(&options).await.unwrap();
    let link = bounded(Native::new(config, "exec cat").connect()).await.unwrap();
    let open = netns.round_trips();
    drop(link);
    let status = Command::new("ssh")
        .arg("-F")
        .arg(sshd.client_config("web1"))
        .args(["-T", "-o", "BatchMode=yes", "web1", "true"])
        .stdin(Stdio::null())
        .status();
    assert!(status.unwrap().success());
    let ssh_true = netns.round_trips();

    for (backend, most) in [("native", open + 2), ("openssh", ssh_true + 1)] {
        let group = group();
        let channel = group.remote_exec_at(spec(&sshd, backend, ""), "channel.send(42)");
        assert_eq!(first_item(bounded(channel).await.unwrap()).await, 42);
        let at_once = netns.round_trips();

        let gw = bounded(group.make_gateway(spec(&sshd, backend, "").as_str())).await.unwrap();
        let channel = gw.remote_exec("channel.send(42)").await.unwrap();
        assert_eq!(first_item(channel).await, 42);
        let in_turn = netns.round_trips();
        let counts = format!(
            "{backend}: {at_once} at once, {in_turn} in turn; `ssh host true` {ssh_true}, channel open {open}"
        );
        println!("{counts}");
        assert!(at_once <= most, "{counts}");
        assert_eq!(in_turn, at_once + 1, "{counts}");
    }
}

#[tokio::test]
async fn a_transfer_over_a_line_that_loses_packets_is_complete() {
    let Some(netns) = Netns::new() else { return };
    if !netns.lose(2) {
        return;
    }
    let there = Sshd::builder().netns(netns.name()).address(netns.far().into());
    let Some(sshd) = there.start() else { return };
    for backend in BACKENDS {
        let group = group();
        let gw = bounded(group.make_gateway(spec(&sshd, backend, "").as_str())).await.unwrap();
        let echo = "for item in channel: channel.send(item)";
        let (mut sender, mut receiver) = gw.remote_exec(echo).await.unwrap().split();
        let piece: Vec<u8> = (0..=250).cycle().take(100_000).collect();
        let expected = Value::from(piece.clone());
        let sending = tokio::spawn(async move {
            for _ in 0..40 {
                sender.send_bytes(piece.clone()).await.unwrap();
            }
        });
        for _ in 0..40 {
            assert!(bounded(receiver.receive_value()).await.unwrap() == expected, "{backend}");
        }
        sending.await.unwrap();
    }
    assert!(netns.lost() > 0, "nothing was lost");
}
