//! Gateways by the hundred: started, put to work and ended, one in five killed at a random moment.
//!
//! `EXECNET_SOAK_ROUNDS` sets how many rounds, `EXECNET_SOAK_SEED` which random moments.

mod common;

use std::collections::BTreeMap;
use std::future::pending;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use common::{WATCHDOG, group, pythons};
use execnet::{Channel, Ending, Gateway, XSpec};

/// Three times what it takes to start and to work, so that each phase has its share of the kills.
const KILLED_WITHIN: Duration = Duration::from_millis(250);

/// Sends its process id, then becomes the interpreter that the rest of its command line says. The
/// connection stays with it and with the child that its program starts: it ends when both are gone.
const LAUNCHER: &str = "import os, socket, sys
life = socket.create_connection(('127.0.0.1', PORT))
life.set_inheritable(True)
life.sendall(b'%d\\n' % os.getpid())
os.execv(sys.executable, [sys.executable] + sys.argv[1:])";

/// Leaves a child behind, and another thread.
const PROGRAM: &str = "import subprocess, threading
subprocess.Popen(['sleep', '1000'], close_fds=False)
threading.Thread(target=threading.Event().wait, daemon=True).start()
for item in channel: channel.send(item)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rounds_of_start_work_exit() {
    let pythons = pythons();
    if pythons.is_empty() {
        return;
    }
    let rounds = number("EXECNET_SOAK_ROUNDS", 30);
    let seed = number("EXECNET_SOAK_SEED", 1);
    let mut seen = BTreeMap::new();
    for round in 0..rounds {
        let mut random = Random(seed << 32 | round);
        let python = &pythons[random.below(pythons.len() as u64) as usize];
        let kill_after =
            (round % 5 == 4).then(|| KILLED_WITHIN.mul_f64(random.below(1_000_000) as f64 / 1e6));
        let name = format!("round {round} of seed {seed}, {}, {kill_after:?}", python.display());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let launcher = LAUNCHER.replace("PORT", &listener.local_addr().unwrap().port().to_string());
        let spec = XSpec::builder()
            .words("command", [python.to_str().unwrap(), "-ISc", launcher.as_str()])
            .build()
            .unwrap();
        let watched =
            tokio::time::timeout(WATCHDOG, one_round(spec, listener, kill_after, &mut random));
        let phase = match watched.await {
            Ok(Ok(phase)) => phase,
            Ok(Err(wrong)) => panic!("{name}: {wrong}"),
            Err(_) => panic!("{name}: hangs"),
        };
        *seen.entry(phase).or_insert(0) += 1;
    }
    eprintln!("{rounds} rounds, the killed ones by what they were doing: {seen:?}");
    assert_eq!(seen.values().sum::<u64>(), rounds);
}

/// One gateway's life: what it was doing when it was killed.
async fn one_round(
    spec: XSpec,
    listener: TcpListener,
    kill_after: Option<Duration>,
    random: &mut Random,
) -> Result<&'static str, String> {
    let group = group();
    let start = group.make_gateway(spec);
    let mut accept = tokio::task::spawn_blocking(move || {
        let mut life = listener.accept().unwrap().0;
        (pid(&mut life), life)
    });
    let (life, result) = {
        tokio::pin!(start);
        // On a loaded machine the worker may be there before the thread that accepts.
        let mut started = None;
        let (pid, life) = tokio::select! {
            biased;
            accepted = &mut accept => accepted.unwrap(),
            result = &mut start => match result {
                Ok(gateway) => {
                    started = Some(gateway);
                    accept.await.unwrap()
                }
                Err(error) => return Err(format!("no launcher: {error}")),
            },
        };
        let killer = tokio::spawn(async move {
            let Some(after) = kill_after else { return pending().await };
            tokio::time::sleep(after).await;
            let mut kill = tokio::process::Command::new("kill");
            kill.args(["-KILL", &pid.to_string()]).status().await.unwrap();
        });
        let result = match started {
            Some(gateway) => Ok(gateway),
            None => start.await,
        };
        let result = match result {
            Err(error) => named(kill_after, "starting", error),
            Ok(gateway) => live(gateway, kill_after, random).await,
        };
        killer.abort();
        (life, result)
    };
    group.terminate(Duration::from_secs(20)).await.map_err(|error| error.to_string())?;
    drop(group);
    tokio::task::spawn_blocking(|| common::Life::from(life).wait_for_death()).await.unwrap();
    result
}

/// Works until it is killed, or comes to its end.
async fn live(
    gateway: Gateway,
    kill_after: Option<Duration>,
    random: &mut Random,
) -> Result<&'static str, String> {
    let mut channel = match gateway.remote_exec(PROGRAM).await {
        Ok(channel) => channel,
        Err(error) => return named(kill_after, "sending a request", error),
    };
    // Of those to be killed some are at their end by then.
    let endless = kill_after.is_some() && random.below(3) > 0;
    let kind = random.below(4);
    let mut rounds = 0;
    while endless || rounds < 20 {
        if let Err((phase, error)) = work(&gateway, &mut channel, kind, rounds).await {
            return named(kill_after, phase, error);
        }
        rounds += 1;
    }
    channel.finish_sending();
    if let Err(error) = channel.wait_close().await {
        return named(kill_after, "waiting for the end of a task", error);
    }
    gateway.exit(Duration::from_secs(20)).await.map_or_else(
        || Err("it is not known how it ended".to_owned()),
        |ending| match ending {
            Ending::Exited(0) if kill_after.is_some() => Ok("nothing any more"),
            Ending::Exited(0) => Ok("not killed"),
            ending => named(kill_after, "exiting", ending),
        },
    )
}

/// A piece of work of some kind; whatever fails names what it was.
async fn work(
    gateway: &Gateway,
    channel: &mut Channel,
    kind: u64,
    n: u64,
) -> Result<(), (&'static str, String)> {
    let told = |phase| move |error: &dyn std::fmt::Display| (phase, error.to_string());
    match kind {
        0 => {
            channel.send(&n).await.map_err(|error| told("sending")(&error))?;
            let back: u64 = channel.receive().await.map_err(|error| told("receiving")(&error))?;
            assert_eq!(back, n);
        }
        1 => {
            let big = vec![n as u8; 1 << 20];
            channel.send_bytes(big).await.map_err(|error| told("sending much")(&error))?;
            channel.receive_value().await.map_err(|error| told("receiving much")(&error))?;
        }
        2 => {
            let mut other = gateway
                .remote_exec("channel.send(1)")
                .await
                .map_err(|error| told("sending a request")(&error))?;
            other.receive::<u64>().await.map_err(|error| told("running tasks")(&error))?;
            other.wait_close().await.map_err(|error| told("running tasks")(&error))?;
        }
        _ => {
            gateway.ping().await.map_err(|error| told("pinging")(&error))?;
            gateway.status().await.map_err(|error| told("asking for its status")(&error))?;
        }
    }
    Ok(())
}

/// An error is right where there was a kill, and it names the signal.
fn named(
    kill_after: Option<Duration>,
    phase: &'static str,
    error: impl std::fmt::Display,
) -> Result<&'static str, String> {
    let error = error.to_string();
    if kill_after.is_some() && error.contains("SIGKILL") {
        return Ok(phase);
    }
    Err(format!("{phase}: {error}"))
}

fn pid(life: &mut TcpStream) -> u32 {
    let mut text = String::new();
    loop {
        let mut byte = [0];
        life.read_exact(&mut byte).unwrap();
        match byte[0] {
            b'\n' => return text.parse().unwrap(),
            digit => text.push(char::from(digit)),
        }
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number"))
    })
}

/// SplitMix64: small, and the same numbers everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}
