//! What a frame costs on its way between its fields and the wire.
//!
//! Each iteration handles a batch, as one read or one write brings it; figures are for all of it.

use std::hint::black_box;

use bytes::{BufMut, Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use execnet_proto::{ChannelId, Decoder, Fault, Format, Frame, Hello, Limits, MAGIC};

/// Bytes in a batch: about what one read brings, and no less than one frame.
const BATCH: usize = 64 << 10;

const SIZES: [(&str, usize); 3] = [("32 B", 32), ("1 KiB", 1 << 10), ("64 KiB", 64 << 10)];

fn data(len: usize) -> Frame {
    let channel = ChannelId::new(1).expect("not 0");
    let payload = Bytes::from(vec![7; len]);
    Frame::Data { channel, more: false, format: Format::Bytes, payload }
}

/// One of each kind that comes all the time, and the two that carry CBOR.
fn control() -> Vec<(&'static str, Frame)> {
    let channel = ChannelId::new(1).expect("not 0");
    let fault = Fault::new("ValueError", "invalid literal for int() with base 10: 'x'");
    vec![
        ("open", Frame::Open(channel)),
        ("credit", Frame::Credit { channel: Some(channel), amount: 65_536 }),
        ("close", Frame::Close { channel: Some(channel), fault: None }),
        ("ping", Frame::Ping([7; 8])),
        ("close with fault", Frame::Close { channel: Some(channel), fault: Some(fault) }),
        ("hello", Frame::Hello(Box::new(Hello::new(Limits::LEAST)))),
    ]
}

/// How often `frame` fits into a batch, and the bytes of so many.
fn batch(frame: &Frame) -> (usize, BytesMut) {
    let mut one = BytesMut::new();
    frame.encode(&mut one);
    let count = (BATCH / one.len()).max(1);
    (count, one.repeat(count).as_slice().into())
}

fn encode(c: &mut Criterion) {
    each(c, "encode", |bencher, frame, count, bytes| {
        let mut out = BytesMut::with_capacity(bytes.len());
        bencher.iter(|| {
            out.clear();
            for _ in 0..count {
                black_box(frame).encode(&mut out);
            }
        });
        assert_eq!(out, bytes);
    });
}

/// To frames with their payloads understood.
fn decode(c: &mut Criterion) {
    each(c, "decode", |bencher, frame, count, bytes| {
        let mut decoder = started();
        bencher.iter(|| {
            decoder.read_buf().put_slice(black_box(bytes));
            let mut found = 0;
            while let Some(raw) = decoder.next_frame().expect("our own frames") {
                black_box(raw.parse().expect("our own frames"));
                found += 1;
            }
            assert_eq!(found, count);
        });
        decoder.extend(bytes);
        let first = decoder.next_frame().expect("our own frames").expect("a whole frame");
        assert_eq!(first.parse().as_ref(), Ok(frame));
    });
}

/// To headers and payloads where they lie, as a multiplexer reads DATA.
fn decode_raw(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode raw");
    for (name, len) in SIZES {
        let (count, bytes) = batch(&data(len));
        group.throughput(throughput(count, &bytes));
        group.bench_function(name, |bencher| {
            let mut decoder = started();
            bencher.iter(|| {
                decoder.read_buf().put_slice(black_box(&bytes));
                let mut found = 0;
                while let Some(raw) = decoder.next_frame().expect("our own frames") {
                    found += black_box(raw.payload()).len();
                }
                assert_eq!(found, count * len);
            });
        });
    }
    group.finish();
}

/// A benchmark for every kind and size.
fn each(
    c: &mut Criterion,
    name: &str,
    mut run: impl FnMut(&mut criterion::Bencher<'_>, &Frame, usize, &[u8]),
) {
    let mut group = c.benchmark_group(name);
    for (name, frame) in SIZES.map(|(name, len)| (name, data(len))).into_iter().chain(control()) {
        let (count, bytes) = batch(&frame);
        group.throughput(throughput(count, &bytes));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            run(bencher, &frame, count, &bytes);
        });
    }
    group.finish();
}

fn throughput(count: usize, bytes: &[u8]) -> Throughput {
    Throughput::ElementsAndBytes { elements: count as u64, bytes: bytes.len() as u64 }
}

fn started() -> Decoder {
    let mut decoder = Decoder::new(1 << 20);
    decoder.extend(&MAGIC);
    assert!(decoder.next_frame().is_ok_and(|frame| frame.is_none()));
    decoder
}

criterion_group!(benches, encode, decode, decode_raw);
criterion_main!(benches);
