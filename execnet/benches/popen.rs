//! Popen gateways: start, round trip, messages each way, with py.execnet at the same work in the same run.
//!
//! py.execnet is measured when the interpreter named by `EXECNET_BENCH_PYTHON` can import it:
//!
//! ```text
//! python3 -m venv /tmp/venv && /tmp/venv/bin/pip install execnet
//! EXECNET_BENCH_PYTHON=/tmp/venv/bin/python cargo bench -p execnet --bench popen
//! ```
//!
//! Ours uses the same interpreter then, else the first `python3` on PATH.

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use execnet::{Channel, Gateway, Group, Value};
use tokio::runtime::Runtime;

const MIB: usize = 1 << 20;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn spec() -> String {
    match std::env::var("EXECNET_BENCH_PYTHON") {
        Ok(python) => format!("popen//python={python}"),
        Err(_) => "popen".to_owned(),
    }
}

async fn gateway(group: &Group) -> Gateway {
    group.make_gateway(spec().as_str()).await.expect("a gateway")
}

/// py.execnet in a process of its own, doing the same work on request.
struct PyExecnet {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl PyExecnet {
    fn start() -> Option<Self> {
        let python = std::env::var("EXECNET_BENCH_PYTHON").ok()?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/py_execnet.py");
        let mut child = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter starts");
        let input = child.stdin.take().expect("piped");
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let mut ready = String::new();
        output.read_line(&mut ready).expect("a line");
        assert_eq!(ready, "ready\n", "py.execnet did not start");
        Some(Self { child, input, output })
    }

    /// Time that `rounds` of this work take.
    fn measure(&mut self, work: &str, rounds: u64) -> Duration {
        writeln!(self.input, "{work} {rounds}").expect("it reads");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("an answer");
        Duration::from_secs_f64(line.trim().parse().expect("seconds"))
    }
}

impl Drop for PyExecnet {
    fn drop(&mut self) {
        let _ = writeln!(self.input, "exit 0");
        let _ = self.child.wait();
    }
}

fn peer(group: &mut BenchmarkGroup<'_, WallTime>, py: &mut Option<PyExecnet>, work: &str) {
    if let Some(py) = py {
        group.bench_function("py.execnet", |b| b.iter_custom(|rounds| py.measure(work, rounds)));
    }
}

/// From nothing to the first item received.
fn start(c: &mut Criterion) {
    let mut py = PyExecnet::start();
    let mut group = c.benchmark_group("popen start and first item");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.bench_function("execnet", |b| {
        let runtime = runtime();
        b.iter_custom(|rounds| {
            runtime.block_on(async {
                let mut took = Duration::ZERO;
                for _ in 0..rounds {
                    let gateways = Group::new();
                    let begin = Instant::now();
                    let gateway = gateway(&gateways).await;
                    let mut channel = gateway.remote_exec("channel.send(1)").await.expect("sent");
                    assert_eq!(channel.receive::<i64>().await.expect("an item"), 1);
                    took += begin.elapsed();
                    gateways.terminate(Duration::from_secs(5)).await.expect("ended");
                }
                took
            })
        });
    });
    group.bench_function("python -c pass", |b| {
        let python = std::env::var("EXECNET_BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        b.iter(|| Command::new(&python).args(["-c", "pass"]).status().expect("it runs"));
    });
    peer(&mut group, &mut py, "start");
    group.finish();
}

/// So many gateways at once, until the first item of each is there: started each, or forked from a warm interpreter that is started first.
fn start_many(c: &mut Criterion) {
    let mut group = c.benchmark_group("popen 16 gateways and first items");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    for (name, spec) in [("execnet", spec()), ("execnet prefork", format!("{}//prefork", spec()))] {
        let runtime = runtime();
        group.bench_function(name, |b| {
            b.iter_custom(|rounds| {
                runtime.block_on(async {
                    let mut took = Duration::ZERO;
                    for _ in 0..rounds {
                        let gateways = Group::new();
                        let begin = Instant::now();
                        for gateway in gateways.make_gateways(vec![spec.as_str(); 16]).await {
                            gateway.expect("a gateway");
                        }
                        let mut channels =
                            gateways.remote_exec("channel.send(1)").await.expect("sent");
                        for first in channels.receive_each::<i64>().await {
                            assert_eq!(first.expect("an item"), 1);
                        }
                        took += begin.elapsed();
                        gateways.terminate(Duration::from_secs(5)).await.expect("ended");
                    }
                    took
                })
            });
        });
    }
    group.finish();
}

/// The same short program again and again.
fn remote_exec(c: &mut Criterion) {
    let mut py = PyExecnet::start();
    let runtime = runtime();
    let gateways = Group::new();
    let gateway = runtime.block_on(gateway(&gateways));
    let mut group = c.benchmark_group("popen run source and get its answer");
    group.throughput(Throughput::Elements(1));
    group.bench_function("execnet", |b| {
        b.iter(|| {
            runtime.block_on(async {
                let mut channel = gateway.remote_exec("channel.send(1)").await.expect("sent");
                assert_eq!(channel.receive::<i64>().await.expect("an item"), 1);
            });
        });
    });
    peer(&mut group, &mut py, "remote-exec");
    group.finish();
}

fn round_trip(c: &mut Criterion) {
    let mut py = PyExecnet::start();
    let runtime = runtime();
    let gateways = Group::new();
    let mut group = c.benchmark_group("popen round trip of an int");
    let mut channel = runtime.block_on(echo(&gateways));
    group.bench_function("execnet", |b| {
        b.iter(|| {
            runtime.block_on(async {
                channel.send(&42).await.expect("sent");
                assert_eq!(channel.receive::<i64>().await.expect("an item"), 42);
            });
        });
    });
    peer(&mut group, &mut py, "roundtrip");
    group.finish();
}

async fn echo(group: &Group) -> Channel {
    let gateway = gateway(group).await;
    gateway.remote_exec("for x in channel: channel.send(x)").await.expect("sent")
}

/// Many small dicts, and items of 1 MiB, from the worker and to it.
fn one_way(c: &mut Criterion) {
    let item = || Value::dict([("id", Value::Int(1)), ("name", "x".into()), ("ok", true.into())]);
    let bytes = bytes::Bytes::from(vec![7; MIB]);
    one_way_of(
        c,
        "small dicts",
        Throughput::Elements(1),
        "{'id': 1, 'name': 'x', 'ok': True}",
        async |channel, count| {
            for _ in 0..count {
                channel.send(&item()).await.expect("sent");
            }
        },
    );
    one_way_of(
        c,
        "1 MiB",
        Throughput::Bytes(MIB as u64),
        "b'x' * (1 << 20)",
        async |channel, count| {
            for _ in 0..count {
                channel.send_bytes(bytes.clone()).await.expect("sent");
            }
        },
    );
}

fn one_way_of(
    c: &mut Criterion,
    what: &str,
    throughput: Throughput,
    item: &str,
    send: impl AsyncFn(&mut Channel, u64),
) {
    let mut py = PyExecnet::start();
    let runtime = runtime();
    let gateways = Group::new();
    let key = what.replace(' ', "-");

    let mut group = c.benchmark_group(format!("popen {what} from the worker"));
    group.throughput(throughput.clone());
    let source =
        format!("item = {item}\nfor n in channel:\n    for _ in range(n): channel.send(item)");
    let mut channel = runtime
        .block_on(async { gateway(&gateways).await.remote_exec(source).await.expect("sent") });
    group.bench_function("execnet", |b| {
        b.iter_custom(|rounds| {
            runtime.block_on(async {
                let begin = Instant::now();
                channel.send(&rounds).await.expect("sent");
                for _ in 0..rounds {
                    black_box(channel.receive_value().await.expect("an item"));
                }
                begin.elapsed()
            })
        });
    });
    peer(&mut group, &mut py, &format!("receive-{key}"));
    group.finish();

    let mut group = c.benchmark_group(format!("popen {what} to the worker"));
    group.throughput(throughput);
    let source = "for n in channel:\n    for _ in range(n): channel.receive()\n    channel.send(n)";
    let mut channel = runtime
        .block_on(async { gateway(&gateways).await.remote_exec(source).await.expect("sent") });
    group.bench_function("execnet", |b| {
        b.iter_custom(|rounds| {
            runtime.block_on(async {
                let begin = Instant::now();
                channel.send(&rounds).await.expect("sent");
                send(&mut channel, rounds).await;
                assert_eq!(channel.receive::<u64>().await.expect("an item"), rounds);
                begin.elapsed()
            })
        });
    });
    peer(&mut group, &mut py, &format!("send-{key}"));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4));
    targets = start, start_many, round_trip, remote_exec, one_way
}
criterion_main!(benches);
