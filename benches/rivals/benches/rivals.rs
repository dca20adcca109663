//! Every rival does all the work over every link on every runtime, one beside the other.

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use execnet_rivals::{Codec, Execnet, H2, Record, Remoc, Rival, Typed, Yamux, memory, tcp, work};
use remoc::rch::base;
use tokio::runtime::{Builder, Runtime};

/// One row of the table: a piece of work in a place.
struct Row<'a> {
    group: BenchmarkGroup<'a, WallTime>,
    link: &'static str,
    runtime: Runtime,
}

impl Row<'_> {
    async fn connect<R: Rival>(link: &str) -> (R::Opener, R::Acceptor) {
        if link == "memory" {
            let (a, b) = memory().await;
            R::connect(a, b).await
        } else {
            let (a, b) = tcp().await;
            R::connect(a, b).await
        }
    }

    /// Prepares once, then does the work as often as criterion wants; what it works on is kept.
    fn measure<R: Rival, S>(
        &mut self,
        prepare: impl AsyncFnOnce(R::Opener, R::Acceptor) -> S,
        work: impl AsyncFn(S, u64) -> (S, Duration),
    ) {
        let Self { group, link, runtime } = self;
        let mut state = Some(runtime.block_on(async {
            let (opener, acceptor) = Self::connect::<R>(link).await;
            prepare(opener, acceptor).await
        }));
        group.bench_function(R::NAME, |b| {
            b.iter_custom(|count| {
                let kept = state.take().expect("put back");
                let (kept, took) = runtime.block_on(work(kept, count));
                state = Some(kept);
                took
            });
        });
        runtime.block_on(async { drop(state) });
    }

    fn round_trip<R: Rival>(&mut self, from_main: bool) -> &mut Self {
        self.measure::<R, _>(
            async |mut opener, mut acceptor| {
                let pair = work::pairs::<R>(&mut opener, &mut acceptor, 1).await.remove(0);
                (pair, opener, acceptor)
            },
            async |(pair, opener, acceptor), count| {
                let (pair, took) = work::round_trip::<R>(pair, count, from_main).await;
                ((pair, opener, acceptor), took)
            },
        );
        self
    }

    fn one_way<R: Rival>(&mut self, len: usize, channels: usize) -> &mut Self {
        self.measure::<R, _>(
            async |mut opener, mut acceptor| {
                let pairs = work::pairs::<R>(&mut opener, &mut acceptor, channels).await;
                (pairs, opener, acceptor)
            },
            async |(pairs, opener, acceptor), count| {
                let (pairs, took) = work::one_way::<R>(pairs, len, count).await;
                ((pairs, opener, acceptor), took)
            },
        );
        self
    }

    fn open_use_close<R: Rival>(&mut self) -> &mut Self {
        self.measure::<R, _>(
            async |opener, acceptor| (opener, acceptor),
            async |(opener, acceptor), count| {
                let (opener, acceptor, took) =
                    work::open_use_close::<R>(opener, acceptor, count).await;
                ((opener, acceptor), took)
            },
        );
        self
    }

    fn typed<T: Typed>(&mut self) -> &mut Self {
        self.measure::<T::Rival, _>(
            async |mut opener, mut acceptor| {
                let pair = work::pairs::<T::Rival>(&mut opener, &mut acceptor, 1).await.remove(0);
                ((T::new(pair.0), T::new(pair.1)), opener, acceptor)
            },
            async |(pair, opener, acceptor), count| {
                let (pair, took) = work::typed(pair, count).await;
                ((pair, opener, acceptor), took)
            },
        );
        self
    }
}

/// Runs a row in every place.
fn rows(c: &mut Criterion, name: &str, per_iteration: Throughput, run: impl Fn(&mut Row)) {
    rows_on(c, name, &["1 thread", "2 workers"], per_iteration, run);
}

/// Runs a row over every link on these runtimes.
fn rows_on(
    c: &mut Criterion,
    name: &str,
    runtimes: &[&str],
    per_iteration: Throughput,
    run: impl Fn(&mut Row),
) {
    for link in ["tcp", "memory"] {
        for &threads in runtimes {
            let mut builder = match threads {
                "1 thread" => Builder::new_current_thread(),
                _ => Builder::new_multi_thread(),
            };
            let runtime = builder.worker_threads(2).enable_all().build().expect("a runtime");
            let mut group = c.benchmark_group(format!("{name}, {link}, {threads}"));
            group.throughput(per_iteration.clone());
            run(&mut Row { group, link, runtime });
        }
    }
}

fn rivals(c: &mut Criterion) {
    let each = Throughput::Elements(1);
    rows(c, "round trip 32 B", each.clone(), |row| {
        // The one to be compared to a tenth.
        row.group.measurement_time(Duration::from_secs(3));
        row.round_trip::<Execnet>(false)
            .round_trip::<Codec>(false)
            .round_trip::<H2>(false)
            .round_trip::<Remoc>(false)
            .round_trip::<Yamux>(false)
            .round_trip::<Yamux<true>>(false);
    });
    rows_on(c, "round trip 32 B from main", &["2 workers"], each.clone(), |row| {
        row.round_trip::<Execnet>(true)
            .round_trip::<Codec>(true)
            .round_trip::<H2>(true)
            .round_trip::<Remoc>(true)
            .round_trip::<Yamux>(true)
            .round_trip::<Yamux<true>>(true);
    });
    for (name, len) in [("32 B", 32), ("64 KiB", 64 << 10), ("1 MiB", 1 << 20)] {
        let throughput = if len == 32 { each.clone() } else { Throughput::Bytes(len as u64) };
        rows(c, &format!("{name} one way"), throughput, |row| {
            row.one_way::<Execnet>(len, 1)
                .one_way::<Codec>(len, 1)
                .one_way::<H2>(len, 1)
                .one_way::<Remoc>(len, 1)
                .one_way::<Yamux>(len, 1)
                .one_way::<Yamux<true>>(len, 1);
        });
    }
    rows(c, "32 B one way on 100 channels", Throughput::Elements(100), |row| {
        row.one_way::<Execnet>(32, 100)
            .one_way::<H2>(32, 100)
            .one_way::<Remoc>(32, 100)
            .one_way::<Yamux>(32, 100)
            .one_way::<Yamux<true>>(32, 100);
    });
    rows(c, "open, use, close", each.clone(), |row| {
        row.open_use_close::<Execnet>()
            .open_use_close::<H2>()
            .open_use_close::<Remoc>()
            .open_use_close::<Yamux>()
            .open_use_close::<Yamux<true>>();
    });
    rows(c, "typed", each, |row| {
        row.typed::<execnet_channel::Channel>()
            .typed::<(base::Sender<Record>, base::Receiver<Record>)>();
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = rivals
}
criterion_main!(benches);
