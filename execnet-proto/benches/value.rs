//! What a message costs on its way between a Rust type and its bytes, CBOR where nothing else is said.
//!
//! `value` goes through [`Value`], `serde` through a type of its own; `ciborium` is the rival, by
//! its own functions, with its own `Value` and with the same type.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use execnet_proto::{Value, cbor, marshal};
use serde::{Deserialize, Serialize};

/// What a test runner sends for each test.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Report {
    nodeid: String,
    outcome: String,
    duration: f64,
    worker: u32,
    when: Option<String>,
}

fn report() -> Report {
    Report {
        nodeid: "tests/test_io.py::test_read[utf-8]".into(),
        outcome: "passed".into(),
        duration: 0.0215,
        worker: 3,
        when: None,
    }
}

fn value<T: Serialize>(of: &T) -> Value {
    cbor::decode(&cbor::to_bytes(of).unwrap()).unwrap()
}

fn small_dict(c: &mut Criterion) {
    compare(c, "small dict", &report());
}

fn ints(c: &mut Criterion) {
    compare(c, "1000 ints", &(0..1000i64).map(|n| n * n * n).collect::<Vec<_>>());
}

fn texts(c: &mut Criterion) {
    compare(c, "100 strs", &(0..100).map(|n| format!("item number {n}")).collect::<Vec<_>>());
}

fn bytes(c: &mut Criterion) {
    let content = bytes::Bytes::from(vec![7u8; 64 * 1024]);
    compare(c, "64 KiB bytes", &content);

    let message = cbor::encode(&Value::Bytes(content)).unwrap();
    let mut group = c.benchmark_group("64 KiB bytes");
    group.bench_function("value decode_shared", |b| b.iter(|| cbor::decode_shared(&message)));
    group.finish();
}

/// The same item through all of them.
fn compare<T>(c: &mut Criterion, name: &str, item: &T)
where
    T: Serialize + for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug,
{
    let ours = value(item);
    let message = cbor::to_bytes(item).unwrap();
    let theirs: ciborium::Value = ciborium::from_reader(&message[..]).unwrap();
    assert_eq!(cbor::encode(&ours).unwrap(), message);
    assert_eq!(&cbor::from_slice::<T>(&message).unwrap(), item);
    assert_eq!(&ciborium::from_reader::<T, _>(&message[..]).unwrap(), item);

    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Bytes(message.len() as u64));
    group.bench_function("value encode", |b| b.iter(|| cbor::encode(black_box(&ours)).unwrap()));
    group.bench_function("serde encode", |b| b.iter(|| cbor::to_bytes(black_box(item)).unwrap()));
    group.bench_function("ciborium value encode", |b| b.iter(|| into_vec(black_box(&theirs))));
    group.bench_function("ciborium serde encode", |b| b.iter(|| into_vec(black_box(item))));

    group.bench_function("value decode", |b| {
        b.iter(|| cbor::decode(black_box(&message)).unwrap());
    });
    group.bench_function("serde decode", |b| {
        b.iter(|| cbor::from_slice::<T>(black_box(&message)).unwrap());
    });
    group.bench_function("ciborium value decode", |b| {
        b.iter(|| ciborium::from_reader::<ciborium::Value, _>(&black_box(&message)[..]).unwrap());
    });
    group.bench_function("ciborium serde decode", |b| {
        b.iter(|| ciborium::from_reader::<T, _>(&black_box(&message)[..]).unwrap());
    });

    let message = marshal::to_bytes(item).unwrap();
    assert_eq!(marshal::encode(&ours).unwrap(), message);
    assert_eq!(&marshal::from_slice::<T>(&message).unwrap(), item);
    group.throughput(Throughput::Bytes(message.len() as u64));
    group.bench_function("marshal value encode", |b| {
        b.iter(|| marshal::encode(black_box(&ours)).unwrap());
    });
    group.bench_function("marshal serde encode", |b| {
        b.iter(|| marshal::to_bytes(black_box(item)).unwrap());
    });
    group.bench_function("marshal value decode", |b| {
        b.iter(|| marshal::decode(black_box(&message)).unwrap());
    });
    group.bench_function("marshal serde decode", |b| {
        b.iter(|| marshal::from_slice::<T>(black_box(&message)).unwrap());
    });
    group.finish();
}

fn into_vec<T: Serialize>(item: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(item, &mut bytes).unwrap();
    bytes
}

criterion_group!(benches, small_dict, ints, texts, bytes);
criterion_main!(benches);
