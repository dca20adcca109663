//! What a link costs before anything is said over it: latency, throughput, and the start.
//!
//! Every far end sends back what it gets. `cat` over popen adds its own read and write, so the
//! figures compare with each other, not with a one-way link.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use execnet_transport::{Link, Memory, Popen, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

const SMALL: usize = 32;
const LARGE: usize = 4 << 20;

/// One transport, with a far end that echoes.
type Echo = (&'static str, Box<dyn Transport>);

fn echoes() -> Vec<Echo> {
    let memory = Memory::new(|far| {
        tokio::spawn(async move {
            let Link { mut reader, mut writer, guard: _guard, .. } = far;
            // Ends in an error when the near side goes in the middle: nobody minds.
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
        });
    });
    let mut echoes: Vec<Echo> = vec![("memory", Box::new(memory))];
    if cfg!(unix) {
        echoes.push(("popen", Box::new(Popen::new(["cat"]))));
    }
    echoes
}

async fn echo(link: &mut Link, sent: &[u8], back: &mut [u8]) {
    let (written, read) = tokio::join!(link.writer.write_all(sent), link.reader.read_exact(back));
    written.expect("the far end reads");
    read.expect("the far end writes");
}

fn exchange(criterion: &mut Criterion, group: &str, size: usize) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Bytes(size as u64));
    let sent: Vec<u8> = (0..size).map(|n| n as u8).collect();
    for (name, transport) in echoes() {
        let mut link = runtime.block_on(transport.connect()).expect("a link");
        let mut back = vec![0; size];
        group.bench_function(name, |bencher| {
            bencher.iter(|| runtime.block_on(echo(&mut link, black_box(&sent), &mut back)));
        });
        assert!(back == sent, "{name} changed the bytes");
    }
}

fn round_trip(criterion: &mut Criterion) {
    exchange(criterion, "round_trip", SMALL);
}

fn throughput(criterion: &mut Criterion) {
    exchange(criterion, "throughput", LARGE);
}

/// From nothing to the first byte back, and the end of it.
fn start(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group("start");
    for (name, transport) in echoes() {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let mut link = transport.connect().await.expect("a link");
                    echo(&mut link, b"x", &mut [0]).await;
                    link.guard.kill();
                    link.guard.wait().await
                })
            });
        });
    }
}

criterion_group!(benches, round_trip, throughput, start);
criterion_main!(benches);
