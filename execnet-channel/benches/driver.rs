//! The multiplexer with its driver: over memory and TCP loopback, on one thread and on two workers.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use execnet_channel::{Channel, Config, Incoming, Message, Mux, Request};
use execnet_proto::Side;
use tokio::io::duplex;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

#[derive(Clone, Copy)]
enum Link {
    Memory,
    Tcp,
}

/// Both ends of a connection, driven.
struct Ends {
    mux: Mux,
    far_incoming: Incoming,
    /// Kept open: nothing comes in on these.
    _rest: (Incoming, Mux),
}

async fn connect(link: Link) -> Ends {
    let (mux, incoming, far, far_incoming);
    match link {
        Link::Memory => {
            let (a, b) = duplex(256 << 10);
            let (m, i, driver) = Mux::over(a, Side::Connector, Config::default()).expect("config");
            spawn(driver);
            (mux, incoming) = (m, i);
            let (m, i, driver) = Mux::over(b, Side::FarEnd, Config::default()).expect("config");
            spawn(driver);
            (far, far_incoming) = (m, i);
        }
        Link::Tcp => {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            let a = TcpStream::connect(address).await.expect("connected");
            let (b, _) = listener.accept().await.expect("accepted");
            a.set_nodelay(true).expect("nodelay");
            b.set_nodelay(true).expect("nodelay");
            let (r, w) = a.into_split();
            let (m, i, driver) =
                Mux::new(r, w, Side::Connector, Config::default()).expect("config");
            spawn(driver);
            (mux, incoming) = (m, i);
            let (r, w) = b.into_split();
            let (m, i, driver) = Mux::new(r, w, Side::FarEnd, Config::default()).expect("config");
            spawn(driver);
            (far, far_incoming) = (m, i);
        }
    }
    mux.peer().await.expect("hello");
    far.peer().await.expect("hello");
    Ends { mux, far_incoming, _rest: (incoming, far) }
}

#[expect(clippy::disallowed_methods, reason = "here we are the owner who spawns the driver")]
fn spawn<F: Future<Output: Send> + Send + 'static>(
    future: F,
) -> tokio::task::JoinHandle<F::Output> {
    tokio::spawn(future)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

async fn accept(incoming: &mut Incoming) -> Channel {
    match incoming.next().await {
        Some(Request::Opened { channel, .. }) => channel,
        other => panic!("expected a channel, found {other:?}"),
    }
}

/// Time for `count` messages on each of `channels`, one way, until the last has been received.
async fn one_way(ends: &mut Ends, channels: usize, payload: &Bytes, count: u64) -> Duration {
    let mut readers = Vec::new();
    let mut writers = Vec::new();
    for _ in 0..channels {
        writers.push(ends.mux.open().expect("room"));
        let mut channel = accept(&mut ends.far_incoming).await;
        readers.push(spawn(async move {
            let mut received = 0;
            while let Some(message) = channel.recv().await.expect("no error") {
                black_box(message);
                received += 1;
            }
            assert_eq!(received, count);
        }));
    }
    let begin = now();
    for mut channel in writers {
        let payload = payload.clone();
        spawn(async move {
            for _ in 0..count {
                channel.send(Message::bytes(payload.clone())).await.expect("sent");
            }
            channel.finish();
            channel.wait_close().await.expect("closed");
        });
    }
    for reader in readers {
        reader.await.expect("read all");
    }
    begin.elapsed()
}

async fn round_trip(ends: &mut Ends, count: u64) -> Duration {
    let mut channel = ends.mux.open().expect("room");
    let mut echo = accept(&mut ends.far_incoming).await;
    let echo = spawn(async move {
        while let Some(message) = echo.recv().await.expect("no error") {
            echo.send(message).await.expect("sent");
        }
    });
    let payload = Bytes::from(vec![7; 32]);
    let begin = now();
    for _ in 0..count {
        channel.send(Message::bytes(payload.clone())).await.expect("sent");
        assert_eq!(channel.recv().await.expect("no error").expect("an echo").payload.len(), 32);
    }
    let took = begin.elapsed();
    channel.finish();
    echo.await.expect("ended");
    took
}

/// Open, one message each way, close: 64 at a time.
async fn open_use_close(ends: Ends, count: u64) -> (Ends, Duration) {
    let Ends { mux, mut far_incoming, _rest } = ends;
    let server = spawn(async move {
        for _ in 0..count {
            let mut channel = accept(&mut far_incoming).await;
            spawn(async move {
                let message = channel.recv().await.expect("no error").expect("a message");
                channel.send(message).await.expect("sent");
                channel.wait_close().await.expect("closed");
            });
        }
        far_incoming
    });
    let begin = now();
    let clients: Vec<_> = (0..64)
        .map(|client| {
            let mux = mux.clone();
            let share = count / 64 + u64::from(client < count % 64);
            spawn(async move {
                for _ in 0..share {
                    let mut channel = mux.open().expect("room");
                    channel.send(Message::bytes(&b"hello"[..])).await.expect("sent");
                    channel.recv().await.expect("no error").expect("an answer");
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("done");
    }
    let took = begin.elapsed();
    let far_incoming = server.await.expect("done");
    (Ends { mux, far_incoming, _rest }, took)
}

/// Runs a benchmark on every link and runtime.
fn everywhere(
    group: &mut BenchmarkGroup<'_, WallTime>,
    work: impl Fn(&Runtime, Ends, u64) -> (Ends, Duration),
) {
    for (link, link_name) in [(Link::Memory, "memory"), (Link::Tcp, "tcp")] {
        for (workers, runtime_name) in [(1, "current thread"), (2, "two workers")] {
            let runtime = match workers {
                1 => Builder::new_current_thread().enable_all().build(),
                _ => Builder::new_multi_thread().worker_threads(workers).enable_all().build(),
            }
            .expect("a runtime");
            let mut ends = Some(runtime.block_on(connect(link)));
            group.bench_function(BenchmarkId::new(link_name, runtime_name), |b| {
                b.iter_custom(|count| {
                    let (back, took) = work(&runtime, ends.take().expect("put back"), count);
                    ends = Some(back);
                    took
                });
            });
            runtime.block_on(async { drop(ends.take()) });
        }
    }
}

fn driver(c: &mut Criterion) {
    let mut group = c.benchmark_group("round trip 32 B");
    everywhere(&mut group, |runtime, mut ends, count| {
        let took = runtime.block_on(round_trip(&mut ends, count));
        (ends, took)
    });
    group.finish();

    for (size, channels) in [(32, 1), (32, 100), (64 << 10, 1), (1 << 20, 1)] {
        let mut group = c.benchmark_group(format!("one way {size} B on {channels} channel(s)"));
        group.throughput(match size {
            32 => Throughput::Elements(channels as u64),
            size => Throughput::Bytes(size as u64),
        });
        let payload = Bytes::from(vec![7; size]);
        everywhere(&mut group, |runtime, mut ends, count| {
            let took = runtime.block_on(one_way(&mut ends, channels, &payload, count));
            (ends, took)
        });
        group.finish();
    }

    let mut group = c.benchmark_group("open, one message each way, close");
    group.throughput(Throughput::Elements(1));
    everywhere(&mut group, |runtime, ends, count| runtime.block_on(open_use_close(ends, count)));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = driver
}
criterion_main!(benches);
