//! How long it takes to read a specification: short, long, and refused.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use execnet_xspec::XSpec;

fn long() -> String {
    (0..50).fold("popen//python=python3".to_owned(), |text, n| {
        text + &format!("//env:VARIABLE_{n}=a value of some length, number {n}")
    })
}

fn accepted(c: &mut Criterion) {
    let mut group = c.benchmark_group("accepted");
    let texts = [
        ("short", "popen".to_owned()),
        ("usual", "ssh=-p 2222 me@web1//python=3.11//chdir=/srv/app//nice=5//id=gw0".to_owned()),
        ("env_x_50", long()),
    ];
    for (name, text) in texts {
        assert!(XSpec::parse(&text).is_ok());
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(name), &text, |b, text| {
            b.iter(|| XSpec::parse(black_box(text)));
        });
    }
    group.finish();
}

fn refused(c: &mut Criterion) {
    let mut group = c.benchmark_group("refused");
    let texts = [
        ("empty_segment", "popen//".to_owned()),
        ("twice", "popen//popen".to_owned()),
        ("open_quote", "popen//python='a b".to_owned()),
        ("last_of_many", long() + "//nice=x"),
    ];
    for (name, text) in texts {
        assert!(XSpec::parse(&text).is_err());
        group.bench_with_input(BenchmarkId::from_parameter(name), &text, |b, text| {
            b.iter(|| XSpec::parse(black_box(text)));
        });
    }
    let typo = XSpec::parse("popen//pyhton=3").expect("unknown keys are kept");
    assert!(typo.refuse_unclaimed(&[]).is_err());
    group.bench_function("unknown_key", |b| b.iter(|| black_box(&typo).refuse_unclaimed(&[])));
    group.finish();
}

criterion_group!(benches, accepted, refused);
criterion_main!(benches);
