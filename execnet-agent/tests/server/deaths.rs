//! `kill -9` of client, server and worker: each learns of the others' end, and no process is left.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use execnet::{Ending, ReceiveError};
use execnet_testing::{Lifeline, WATCHDOG};

use crate::support::{Secret, Served, bounded, group, secret};

/// A task that holds a lifeline, and has started a process that holds one too.
fn busy(lifeline: &Lifeline) -> String {
    format!(
        "{}\nimport subprocess, time\n\
         child = subprocess.Popen([sys.executable, '-c', {:?}])\n\
         print('last words', flush=True)\n\
         channel.send(1)\n\
         while 1: time.sleep(1000)\n",
        lifeline.source(),
        format!("{}\nimport time; time.sleep(1000)", lifeline.source())
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_is_named_with_its_last_words() {
    let secret = secret();
    let mut served = secret.serve(&[]);
    let group = group();
    let spec = format!("{}//id=gw7", secret.spec(&served));
    let gateway = bounded(group.make_gateway(spec.as_str())).await.unwrap();
    let lifeline = Lifeline::new();
    let mut channel = gateway.remote_exec(busy(&lifeline)).await.unwrap();
    let lives = [lifeline.accept(), lifeline.accept()];
    bounded(channel.receive::<i64>()).await.unwrap();
    let pid = gateway.info().pid.to_string();
    kill(pid.parse().unwrap());
    let error = bounded(channel.receive::<i64>()).await.unwrap_err();
    let ReceiveError::Lost(lost) = &error else { panic!("{error:?}") };
    let text = lost.to_string();
    assert!(text.contains("killed by SIGKILL (signal 9)"), "{text}");
    assert!(text.contains("gw7") && text.ends_with("last words"), "{text}");
    assert_eq!(lost.ending(), Some(Ending::Closed));
    // With all that it had started.
    lives.into_iter().for_each(execnet_testing::Life::wait_for_death);
    served.logged(&["ended", "killed by SIGKILL", &pid]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_ends_with_its_server() {
    let secret = secret();
    let mut served = secret.serve(&[]);
    let group = group();
    let gateway = bounded(group.make_gateway(secret.spec(&served).as_str())).await.unwrap();
    let lifeline = Lifeline::new();
    let mut channel = gateway.remote_exec(busy(&lifeline)).await.unwrap();
    let lives = [lifeline.accept(), lifeline.accept()];
    bounded(channel.receive::<i64>()).await.unwrap();
    served.child.kill().unwrap();
    assert!(matches!(bounded(channel.receive::<i64>()).await, Err(ReceiveError::Lost(_))));
    lives.into_iter().for_each(execnet_testing::Life::wait_for_death);
}

/// This test again, in a process of its own that is one client.
fn client(spec: &str, lifeline: &Lifeline) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "deaths::be_a_client", "--ignored", "--nocapture"])
        .env("CLIENT_SPEC", spec)
        .env("CLIENT_SOURCE", busy(lifeline))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
#[ignore = "the body of a client that other tests kill"]
async fn be_a_client() {
    let Ok(spec) = std::env::var("CLIENT_SPEC") else { return };
    let group = group();
    let gateway = group.make_gateway(spec.as_str()).await.unwrap();
    let mut channel = gateway.remote_exec(std::env::var("CLIENT_SOURCE").unwrap()).await.unwrap();
    channel.receive::<i64>().await.unwrap();
    std::future::pending::<()>().await;
}

fn with_client(more: &[&str]) -> (Secret, Served, Child, Vec<execnet_testing::Life>) {
    let secret = secret();
    let served = secret.serve(more);
    let lifeline = Lifeline::new();
    let client = client(&secret.spec(&served), &lifeline);
    let lives = vec![lifeline.accept(), lifeline.accept()];
    (secret, served, client, lives)
}

#[test]
fn a_worker_ends_with_its_client() {
    let (_secret, mut served, mut client, lives) = with_client(&[]);
    client.kill().unwrap();
    client.wait().unwrap();
    lives.into_iter().for_each(execnet_testing::Life::wait_for_death);
    served.logged(&["ended", "received="]);
}

/// Whoever is killed, and whoever is killed right behind: nothing is left. How long that takes is printed.
#[test]
fn in_every_order_nothing_is_left() {
    let all = ["client", "server", "worker"];
    let mut orders: Vec<Vec<&str>> = vec![vec![]];
    for at in 0.. {
        let Some(order) = orders.get(at).cloned() else { break };
        orders.extend(
            all.iter().filter(|who| !order.contains(who)).map(|who| [&order[..], &[*who]].concat()),
        );
    }
    orders.remove(0);
    assert_eq!(orders.len(), 15);
    let mut worst = Duration::ZERO;
    for order in orders {
        let (_secret, mut served, mut client, lives) = with_client(&[]);
        let workers = served.workers();
        // With the shell that is to outlive the server.
        let doomed = match order.contains(&"server") {
            true => execnet_testing::descendants(served.pid()),
            false => workers.clone(),
        };
        assert!(workers.len() == 2 && doomed.len() >= 2);
        for who in &order {
            match *who {
                "client" => client.kill().unwrap(),
                "server" => served.child.kill().unwrap(),
                _ => kill(workers[0]),
            }
        }
        let start = Instant::now();
        for pid in doomed {
            execnet_testing::wait_for_end(pid.into());
        }
        let took = start.elapsed();
        worst = worst.max(took);
        eprintln!("{:<24} {:>6.3} s until all are gone", order.join(", "), took.as_secs_f64());
        lives.into_iter().for_each(execnet_testing::Life::wait_for_death);
        let _ = client.kill();
        client.wait().unwrap();
    }
    eprintln!("at worst {:.3} s", worst.as_secs_f64());
}

/// A shell kills what the two leave; a hangup, as of a terminal, is no reason not to.
#[test]
fn who_outlives_the_server_is_not_put_off() {
    let (_secret, mut served, mut client, lives) = with_client(&[]);
    let workers = served.workers();
    let mut all = execnet_testing::descendants(served.pid());
    all.retain(|pid| !workers.contains(pid));
    let [shell] = all[..] else { panic!("{all:?}") };
    for (signal, number) in [("-HUP", 1), ("-INT", 2), ("-TERM", 15)] {
        // It may have just been started.
        while ignored_by(shell) >> (number - 1) & 1 == 0 {
            thread::yield_now();
        }
        send(signal, shell);
    }
    // Stopped, it does not notice that its worker has ended.
    send("-STOP", served.pid());
    kill(workers[0]);
    served.child.kill().unwrap();
    lives.into_iter().for_each(execnet_testing::Life::wait_for_death);
    client.kill().unwrap();
    client.wait().unwrap();
}

/// The signals that a process ignores, each a bit.
fn ignored_by(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap()
}

fn kill(pid: u32) {
    send("-KILL", pid);
}

fn send(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

/// A host that has lost its power sends nothing, not even an end.
#[test]
fn a_client_that_breaks_its_promise_of_life_is_given_up_on() {
    // A process that is stopped is as silent; its promise is the facade's own.
    let (_secret, mut served, mut client, lives) = with_client(&["--idle-timeout", "10s"]);
    send("-STOP", client.id());
    lives.into_iter().for_each(execnet_testing::Life::wait_for_death);
    served.logged(&["ended", "nothing happened for 10s"]);
    client.kill().unwrap();
    client.wait().unwrap();
}

#[tokio::test]
async fn many_connections_leave_nothing_behind() {
    let secret = secret();
    let mut served = secret.serve(&[]);
    let files =
        |served: &Served| std::fs::read_dir(format!("/proc/{}/fd", served.pid())).unwrap().count();
    let group = group();
    let one = bounded(group.make_gateway(secret.spec(&served).as_str())).await.unwrap();
    bounded(one.exit(WATCHDOG)).await;
    served.logged(&["ended", "received="]);
    let before = files(&served);
    for _ in 0..5 {
        let spec = secret.spec(&served);
        let gateways = bounded(group.make_all(vec![spec.as_str(); 8])).await.unwrap();
        assert_eq!(gateways.len(), 8);
        bounded(group.terminate(Duration::from_secs(60))).await.unwrap();
        for _ in 0..8 {
            served.logged(&["ended", "received="]);
        }
    }
    // The last descriptors are closed just behind the line in the log.
    let start = Instant::now();
    while files(&served) > before && start.elapsed() < WATCHDOG {
        thread::yield_now();
    }
    assert!(files(&served) <= before);
    assert!(served.workers().is_empty());
}
