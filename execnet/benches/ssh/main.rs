//! Gateways over ssh beside py.execnet and the `ssh` program, in one run: time to the first item, here and far away; many
//! hosts at once; round trips and throughput. Prints tables in Markdown; all figures are medians of rounds in which everybody has a turn.
//!
//! ```text
//! execnet/benches/ssh.sh
//! ```
//!
//! That makes a virtual environment with py.execnet and runs this. Without it, py.execnet is measured when the interpreter named by
//! `EXECNET_BENCH_PYTHON` can import it. A far host needs root, for a network namespace.

mod rivals;
mod rows;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use execnet::{Channel, Group, Output, Value};
use execnet_testing::{Netns, Sshd};
use execnet_transport::Transport;
use execnet_transport::ssh::{Config, Native, Options};

use self::rivals::{Pipes, Python};
use self::rows::{Table, median, milliseconds};

const BACKENDS: [&str; 2] = ["native", "openssh"];

const MIB: usize = 1 << 20;

/// There and back.
const FAR: Duration = Duration::from_millis(20);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // `cargo bench -- --test` only shows that it runs.
    let trial = std::env::args().any(|argument| argument == "--test");
    let size = if trial {
        Size { rounds: 1, hosts: 2, trips: 5, mib: 1 }
    } else {
        Size { rounds: 7, hosts: 50, trips: 300, mib: 64 }
    };
    let Some(sshd) = Sshd::start() else { return };
    first_items(&sshd, &size).await;
    fleets(&sshd, &size).await;
    links(&sshd, &size).await;
}

struct Size {
    rounds: usize,
    hosts: usize,
    /// Round trips in each round.
    trips: usize,
    mib: usize,
}

/// What starts something on a host and waits for its first answer.
#[derive(Clone, Copy, PartialEq)]
enum Starts {
    Interpreter,
    SshTrue,
    Handshake,
    Gateway(&'static str),
    AtOnce(&'static str),
    PyExecnet,
}

const STARTS: [(&str, Starts); 8] = [
    ("`python3 -c pass`, no ssh", Starts::Interpreter),
    ("`ssh host true`", Starts::SshTrue),
    ("native, until authenticated and a channel open", Starts::Handshake),
    ("native, `make_gateway`, then `remote_exec`", Starts::Gateway("native")),
    ("native, `execnet exec` (`remote_exec_at`)", Starts::AtOnce("native")),
    ("openssh, `make_gateway`, then `remote_exec`", Starts::Gateway("openssh")),
    ("openssh, `execnet exec` (`remote_exec_at`)", Starts::AtOnce("openssh")),
    ("py.execnet", Starts::PyExecnet),
];

async fn first_items(sshd: &Sshd, size: &Size) {
    let near = sshd.client_config("web1");
    let netns = Netns::far_away(FAR / 2);
    let far = netns
        .as_ref()
        .and_then(|netns| Sshd::builder().netns(netns.name()).address(netns.far().into()).start());
    let far_config = far.as_ref().map(|far| far.client_config("web1"));
    let python = Python::find();
    let here = format!("{} ms away", FAR.as_millis());
    let mut table =
        Table::new("First item from a new gateway", &["this machine", &here, "round trips"]);
    let mut found = STARTS.map(|(_, starts)| (starts, Vec::new(), Vec::new(), Vec::new()));
    for _ in 0..size.rounds {
        for (starts, near_times, far_times, trips) in &mut found {
            if *starts == Starts::PyExecnet && python.is_none() {
                continue;
            }
            near_times.push(first_item(*starts, &near, python.as_ref(), None).await.0);
            if let Some(config) = &far_config {
                let (took, made) =
                    first_item(*starts, config, python.as_ref(), netns.as_ref()).await;
                far_times.push(took);
                trips.extend(made.filter(|_| *starts != Starts::Interpreter));
            }
        }
    }
    for ((name, _), (_, near, far, mut trips)) in STARTS.iter().zip(found) {
        trips.sort_unstable();
        let trips = trips.get(trips.len() / 2).map_or("–".to_owned(), u32::to_string);
        table.row(name, &[milliseconds(near), milliseconds(far), trips]);
    }
    table.print();
}

/// How long it took, and the round trips that it took.
async fn first_item(
    starts: Starts,
    config: &Path,
    python: Option<&Python>,
    netns: Option<&Netns>,
) -> (Duration, Option<u32>) {
    let trips = || netns.map(Netns::round_trips);
    let start = Instant::now();
    match starts {
        Starts::Interpreter => rivals::interpreter(),
        Starts::SshTrue => rivals::ssh_true(config, "web1"),
        Starts::Handshake => {
            let options = Options::new("web1").expect("a host").config_file(config);
            let config = Config::resolve(&options).await.expect("a configuration");
            let _link = Native::new(config, "exec cat").connect().await.expect("a link");
            return (start.elapsed(), trips());
        }
        Starts::Gateway(backend) => {
            let group = quiet();
            let gateway = group.make_gateway(spec("web1", config, backend)).await;
            let channel = gateway.expect("a gateway").remote_exec("channel.send(42)").await;
            assert_eq!(channel.expect("a task").receive::<i64>().await.expect("an item"), 42);
            return (start.elapsed(), trips());
        }
        Starts::AtOnce(backend) => {
            let group = quiet();
            let spec = spec("web1", config, backend);
            let channel = group.remote_exec_at(spec, "channel.send(42)").await;
            assert_eq!(channel.expect("a task").receive::<i64>().await.expect("an item"), 42);
            return (start.elapsed(), trips());
        }
        Starts::PyExecnet => {
            let mut running = python.expect("py.execnet").first_item(config, &["web1".to_owned()]);
            return (running.took(), trips());
        }
    }
    (start.elapsed(), trips())
}

async fn fleets(sshd: &Sshd, size: &Size) {
    let hosts: Vec<String> = (0..size.hosts).map(|n| format!("host{n}")).collect();
    let servers: Vec<Sshd> = hosts.iter().filter_map(|_| Sshd::start()).collect();
    let entries = servers.iter().zip(&hosts).map(|(server, host)| server.client_entry(host));
    let config = sshd.dir().join("many");
    fs::write(&config, entries.collect::<String>()).expect("a writable folder");
    let python = Python::find();
    let mut times: [Vec<Duration>; 4] = Default::default();
    for _ in 0..size.rounds.min(3) {
        let start = Instant::now();
        rivals::ssh_true_on_all(&config, &hosts);
        times[0].push(start.elapsed());
        for (backend, times) in BACKENDS.into_iter().zip(&mut times[1..]) {
            times.push(fleet(&config, &hosts, backend).await);
        }
        times[3].extend(python.as_ref().map(|python| python.first_item(&config, &hosts).took()));
    }
    let title = format!("{} hosts at as many addresses: first item of each", size.hosts);
    let mut table = Table::new(&title, &["until the last"]);
    let names =
        ["`ssh host true`, all at once", "native", "openssh", "py.execnet, one after another"];
    for (name, times) in names.iter().zip(times) {
        table.row(name, &[milliseconds(times)]);
    }
    table.print();
}

/// Starts a gateway on each host, and waits for an item of each. Their end is not part of it.
async fn fleet(config: &Path, hosts: &[String], backend: &str) -> Duration {
    let start = Instant::now();
    let group = quiet();
    for gateway in group.make_gateways(hosts.iter().map(|host| spec(host, config, backend))).await {
        gateway.expect("a gateway");
    }
    let mut channels = group.remote_exec("channel.send(42)").await.expect("tasks");
    for item in channels.receive_each::<i64>().await {
        assert_eq!(item.expect("an item"), 42);
    }
    start.elapsed()
}

async fn links(sshd: &Sshd, size: &Size) {
    let config = sshd.client_config("web1");
    let mut pipes = Pipes::new(&config, size.mib * MIB);
    let mut ours = Vec::new();
    for backend in BACKENDS {
        ours.push(Link::new(&config, backend).await);
    }
    let python = Python::find();
    // Round trip, down and up of each.
    let mut found: [[Vec<Duration>; 3]; 4] = Default::default();
    for _ in 0..size.rounds {
        for (took, into) in pipes.measure(size.trips).into_iter().zip(&mut found[0]) {
            into.push(took);
        }
        for (link, found) in ours.iter_mut().zip(&mut found[1..]) {
            for (took, into) in link.measure(size).await.into_iter().zip(found) {
                into.push(took);
            }
        }
        if let Some(python) = &python {
            let took = python.over_a_link(&config, size.trips, size.mib);
            for (took, into) in took.into_iter().zip(&mut found[3]) {
                into.push(took);
            }
        }
    }
    let mut table = Table::new(
        "Over a connection that is there",
        &["round trip, µs", "down, MiB/s", "up, MiB/s"],
    );
    let names = ["`ssh host cat`: bytes through its pipes", "native", "openssh", "py.execnet"];
    for (name, [trip, down, up]) in names.iter().zip(found) {
        let micros = |times| median(times).map(|took| format!("{:.0}", took.as_secs_f64() * 1e6));
        let rate = |times| {
            median(times).map(|took| format!("{:.0}", size.mib as f64 / took.as_secs_f64()))
        };
        table.row(
            name,
            &[micros(trip), rate(down), rate(up)].map(|cell| cell.unwrap_or("–".into())),
        );
    }
    table.print();
}

/// A gateway of ours, and what runs there.
struct Link {
    _group: Group,
    echo: Channel,
    down: Channel,
    up: Channel,
    piece: bytes::Bytes,
}

impl Link {
    async fn new(config: &Path, backend: &str) -> Self {
        let group = quiet();
        let gw = group.make_gateway(spec("web1", config, backend)).await.expect("a gateway");
        let echo = gw.remote_exec("for x in channel: channel.send(x)").await.expect("a task");
        let source = "
            import os
            piece = os.urandom(1 << 20)
            channel.send(piece)
            for n in channel:
                for _ in range(n): channel.send(piece)
        ";
        let mut down = gw.remote_exec(source).await.expect("a task");
        let Value::Bytes(piece) = down.receive_value().await.expect("an item") else {
            panic!("bytes")
        };
        let source = "n = 0\nfor x in channel:\n  n += len(x)\n  if not x: channel.send(n)";
        let up = gw.remote_exec(source).await.expect("a task");
        Self { _group: group, echo, down, up, piece }
    }

    /// A round trip of an int; then the items of 1 MiB from there and to there.
    async fn measure(&mut self, size: &Size) -> [Duration; 3] {
        let mut trips = Vec::new();
        for n in 0..size.trips {
            let start = Instant::now();
            self.echo.send(&n).await.expect("sent");
            assert_eq!(self.echo.receive::<usize>().await.expect("an item"), n);
            trips.push(start.elapsed());
        }
        let start = Instant::now();
        self.down.send(&size.mib).await.expect("sent");
        for _ in 0..size.mib {
            let Value::Bytes(bytes) = self.down.receive_value().await.expect("an item") else {
                panic!("bytes")
            };
            assert_eq!(bytes.len(), MIB);
        }
        let down = start.elapsed();
        let start = Instant::now();
        for _ in 0..size.mib {
            self.up.send_bytes(self.piece.clone()).await.expect("sent");
        }
        self.up.send_bytes(bytes::Bytes::new()).await.expect("sent");
        self.up.receive::<u64>().await.expect("an item");
        [median(trips).expect("a round trip"), down, start.elapsed()]
    }
}

fn quiet() -> Group {
    Group::builder().output(Output::discard()).build()
}

fn spec(host: &str, config: &Path, backend: &str) -> String {
    format!("ssh={host}//ssh_config={}//ssh_backend={backend}", config.display())
}
