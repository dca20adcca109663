//! The multiplexer without a runtime: two cores, bytes handed across, nothing else.

use std::hint::black_box;
use std::io::IoSlice;
use std::time::Instant;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use execnet_channel::core::{Batch, Connection, Event, Received};
use execnet_channel::{Config, Message};
use execnet_proto::{ChannelId, Side};

/// Two cores back to back.
struct Pair {
    now: Instant,
    a: Connection,
    b: Connection,
    batch: Batch,
}

impl Pair {
    #[expect(clippy::disallowed_methods, reason = "some instant to count from")]
    fn new() -> Self {
        let now = Instant::now();
        let side = |side| Connection::new(side, Config::default(), now).expect("a good config");
        let mut pair =
            Self { now, a: side(Side::Connector), b: side(Side::FarEnd), batch: Batch::new() };
        pair.exchange();
        pair
    }

    /// Moves bytes until neither side has any to send.
    fn exchange(&mut self) {
        let Self { now, a, b, batch } = self;
        loop {
            let there = transfer(a, b, batch, *now);
            let back = transfer(b, a, batch, *now);
            if !there && !back {
                break;
            }
        }
    }

    /// A channel of `a`, accepted by `b`.
    fn open(&mut self) -> ChannelId {
        let id = self.a.open(false).expect("room for a channel");
        self.exchange();
        while let Some(event) = self.b.poll_event() {
            if let Event::Opened { channel, .. } = event {
                self.b.accept(channel);
            }
        }
        id
    }
}

fn transfer(from: &mut Connection, to: &mut Connection, batch: &mut Batch, now: Instant) -> bool {
    let mut moved = false;
    while from.poll_transmit(now, batch) {
        moved = true;
        while !batch.is_empty() {
            let mut slices = [IoSlice::new(&[]); 64];
            let count = batch.slices(&mut slices);
            let mut buf = to.take_read_buf();
            let mut written = 0;
            for slice in &slices[..count] {
                buf.extend_from_slice(slice);
                written += slice.len();
            }
            to.handle_read(now, buf);
            batch.advance(written);
        }
    }
    moved
}

/// Sends as often as there is credit and room, then lets the other side read everything.
fn send_and_receive(pair: &mut Pair, id: ChannelId, payload: &Bytes, count: usize) {
    let (mut sent, mut received) = (0, 0);
    while received < count {
        while sent < count && pair.a.try_send(id, Message::bytes(payload.clone())).is_ok() {
            sent += 1;
        }
        pair.exchange();
        while let Received::Message(message) = pair.b.recv(id).expect("no error") {
            assert_eq!(black_box(message).payload.len(), payload.len());
            received += 1;
        }
        pair.exchange();
        while pair.a.poll_event().is_some() || pair.b.poll_event().is_some() {}
    }
}

fn one_way(c: &mut Criterion) {
    for (size, count) in [(32, 1_000), (64 << 10, 16), (1 << 20, 4)] {
        let mut group = c.benchmark_group(format!("core one way {size} B"));
        match size {
            32 => group.throughput(Throughput::Elements(count as u64)),
            _ => group.throughput(Throughput::Bytes((size * count) as u64)),
        };
        let payload = Bytes::from(vec![7; size]);
        let mut pair = Pair::new();
        let id = pair.open();
        group.bench_function("execnet", |b| {
            b.iter(|| send_and_receive(&mut pair, id, &payload, count));
        });
        group.finish();
    }
}

fn open_use_close(c: &mut Criterion) {
    let mut group = c.benchmark_group("core open, one message, close");
    group.throughput(Throughput::Elements(1));
    let mut pair = Pair::new();
    let payload = Bytes::from_static(b"hello");
    group.bench_function("execnet", |b| {
        b.iter(|| {
            let id = pair.open();
            send_and_receive(&mut pair, id, &payload, 1);
            pair.a.forget(id);
            pair.b.forget(id);
            pair.exchange();
            while pair.a.poll_event().is_some() || pair.b.poll_event().is_some() {}
            assert_eq!((pair.a.channels_kept(), pair.b.channels_kept()), (0, 0));
        });
    });
    group.finish();
}

criterion_group!(benches, one_way, open_use_close);
criterion_main!(benches);
