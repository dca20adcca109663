//! Gateways over ssh: time to the first item, many at once, a far host, round trips and throughput; with py.execnet and
//! `ssh host cat` beside them in the same run.
//!
//! py.execnet is measured when the interpreter named by `EXECNET_BENCH_PYTHON` can import it:
//!
//! ```text
//! python3 -m venv /tmp/venv && /tmp/venv/bin/pip install execnet
//! EXECNET_BENCH_PYTHON=/tmp/venv/bin/python cargo bench -p execnet --bench ssh
//! ```
//!
//! A far host needs root, for a network namespace. Each figure is a median, in milliseconds where nothing else is said.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use execnet::{Group, Output, Value};
use execnet_testing::{Netns, Sshd};

const BACKENDS: [&str; 2] = ["native", "openssh"];

const MIB: usize = 1 << 20;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // `cargo bench -- --test` only shows that it runs.
    let trial = std::env::args().any(|argument| argument == "--test");
    let (rounds, hosts, mib) = if trial { (1, 2, 1) } else { (11, 50, 64) };
    let Some(sshd) = Sshd::start() else { return };

    println!("first item from a new gateway on this machine:");
    let config = sshd.client_config("web1");
    first_item(&config, rounds).await;

    println!("{hosts} gateways to {hosts} addresses, first item of each:");
    let servers: Vec<Sshd> = (0..hosts).filter_map(|_| Sshd::start()).collect();
    let text = servers
        .iter()
        .enumerate()
        .fold(String::new(), |text, (n, server)| text + &server.client_entry(&format!("host{n}")));
    let many = sshd.dir().join("many");
    fs::write(&many, text).expect("a writable folder");
    for backend in BACKENDS {
        row(backend, median(rounds.min(3), async || fleet(&many, hosts, backend).await).await);
    }
    if let Some(python) = py_execnet() {
        let script = "g.defaultspec = 'popen'\n\
                      gws = [g.makegateway('ssh=host%d//ssh_config=%s//python=python3' % (n, config)) for n in range(count)]\n\
                      [c.receive() for c in [gw.remote_exec('channel.send(42)') for gw in gws]]";
        row("py.execnet", py(&python, &many, hosts, script));
    }
    drop(servers);

    let delay = Duration::from_millis(10);
    if let Some(netns) = Netns::far_away(delay)
        && let Some(there) = Sshd::builder().netns(netns.name()).address(netns.far().into()).start()
    {
        println!("first item from a new gateway {} ms away and back:", 2 * delay.as_millis());
        first_item(&there.client_config("web1"), rounds.min(5)).await;
    }

    println!("over a connection that is there:");
    for backend in BACKENDS {
        let group = quiet();
        let spec = format!("ssh=web1//ssh_config={}//ssh_backend={backend}", config.display());
        let gw = group.make_gateway(spec.as_str()).await.expect("a gateway");
        let mut echo = gw.remote_exec("for x in channel: channel.send(x)").await.expect("a task");
        let trip = median(rounds * 100, async || {
            echo.send(&1).await.expect("sent");
            echo.receive::<i64>().await.expect("an item");
        });
        row(&format!("{backend}, round trip of an int"), trip.await);
        let source = "for n in channel:\n  for _ in range(n): channel.send(bytes(1 << 20))";
        let mut down = gw.remote_exec(source).await.expect("a task");
        let took = median(rounds.min(5), async || {
            down.send(&mib).await.expect("sent");
            for _ in 0..mib {
                let Value::Bytes(bytes) = down.receive_value().await.expect("an item") else {
                    panic!("bytes")
                };
                assert_eq!(bytes.len(), MIB);
            }
        });
        rate(&format!("{backend}, down"), mib, took.await);
        let source = "n = 0\nfor x in channel:\n  n += len(x)\n  if not x: channel.send(n)";
        let mut up = gw.remote_exec(source).await.expect("a task");
        let piece = vec![0; MIB];
        let took = median(rounds.min(5), async || {
            for _ in 0..mib {
                up.send_bytes(piece.clone()).await.expect("sent");
            }
            up.send_bytes(Vec::new()).await.expect("sent");
            up.receive::<u64>().await.expect("an item");
        });
        rate(&format!("{backend}, up"), mib, took.await);
    }
    let down = format!("head -c {} /dev/zero", mib * MIB);
    rate(
        "ssh host head, down, with its start",
        mib,
        median(rounds.min(5), async || ssh(&config, &down, 0)).await,
    );
    let up = "cat >/dev/null";
    rate(
        "ssh host cat, up, with its start",
        mib,
        median(rounds.min(5), async || ssh(&config, up, mib)).await,
    );
}

async fn first_item(config: &Path, rounds: usize) {
    row(
        "python3 -c pass, here",
        median(rounds, async || run(Command::new("python3").args(["-c", "pass"]))).await,
    );
    row("ssh host true", median(rounds, async || ssh(config, "true", 0)).await);
    for backend in BACKENDS {
        row(backend, median(rounds, async || fleet_of(config, &["web1"], backend).await).await);
    }
    if let Some(python) = py_execnet() {
        let script = "gw = g.makegateway('ssh=web1//ssh_config=%s//python=python3' % config)\n\
                      gw.remote_exec('channel.send(42)').receive()";
        let mut times: Vec<_> = (0..rounds).map(|_| py(&python, config, 1, script)).collect();
        times.sort();
        row("py.execnet", times[rounds / 2]);
    }
}

async fn fleet(config: &Path, hosts: usize, backend: &str) {
    let names: Vec<String> = (0..hosts).map(|n| format!("host{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    fleet_of(config, &names, backend).await;
}

/// Starts a gateway on each host, and waits for an item of each. Their end is not part of it.
async fn fleet_of(config: &Path, hosts: &[&str], backend: &str) {
    let group = quiet();
    let spec = |host| format!("ssh={host}//ssh_config={}//ssh_backend={backend}", config.display());
    let specs: Vec<String> = hosts.iter().map(spec).collect();
    for gateway in group.make_gateways(specs).await {
        gateway.expect("a gateway");
    }
    let mut channels = group.remote_exec("channel.send(42)").await.expect("tasks");
    for item in channels.receive_each::<i64>().await {
        assert_eq!(item.expect("an item"), 42);
    }
}

fn quiet() -> Group {
    Group::builder().output(Output::discard()).build()
}

fn ssh(config: &Path, command: &str, mib: usize) {
    let mut child = Command::new("ssh")
        .arg("-F")
        .arg(config)
        .args(["-T", "-o", "BatchMode=yes", "web1", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ssh");
    let mut stdin = child.stdin.take().expect("piped");
    let piece = vec![0; MIB];
    for _ in 0..mib {
        std::io::Write::write_all(&mut stdin, &piece).expect("written");
    }
    drop(stdin);
    let mut stdout = child.stdout.take().expect("piped");
    std::io::copy(&mut stdout, &mut std::io::sink()).expect("read");
    assert!(child.wait().expect("an end").success());
}

fn run(command: &mut Command) {
    assert!(command.status().expect("a program").success());
}

fn py_execnet() -> Option<PathBuf> {
    std::env::var_os("EXECNET_BENCH_PYTHON").map(PathBuf::from)
}

/// How long py.execnet takes for `script`, without starting the interpreter that runs it.
fn py(python: &Path, config: &Path, count: usize, script: &str) -> Duration {
    let mut program = String::from("import execnet, os, sys, time\n");
    let _ = write!(
        program,
        "config, count = {:?}, {count}\ng = execnet.Group()\nstart = time.perf_counter()\n{script}\n\
         print(time.perf_counter() - start)\nsys.stdout.flush()\ng.terminate(1)\n",
        config.display().to_string()
    );
    let output = Command::new(python).args(["-c", &program]).output().expect("a Python");
    let text = String::from_utf8_lossy(&output.stdout);
    let seconds = text.trim().parse().unwrap_or_else(|_| {
        panic!("py.execnet: {text}{}", String::from_utf8_lossy(&output.stderr))
    });
    Duration::from_secs_f64(seconds)
}

async fn median(rounds: usize, mut work: impl AsyncFnMut()) -> Duration {
    let mut times = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        work().await;
        times.push(start.elapsed());
    }
    times.sort();
    times[rounds / 2]
}

fn row(name: &str, took: Duration) {
    println!("  {name:36} {:9.2}", took.as_secs_f64() * 1e3);
}

fn rate(name: &str, mib: usize, took: Duration) {
    println!("  {name:36} {:9.1} MiB/s", mib as f64 / took.as_secs_f64());
}
