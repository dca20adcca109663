//! Connections by the thousand while others stay: what the server has is the same at the end as at the start.
//!
//! `EXECNET_SOAK_SECONDS` sets for how long connections come and go, `EXECNET_SOAK_RATE` how many a second,
//! `EXECNET_SOAK_HELD` how many stay meanwhile; `EXECNET_SOAK_NATIVE=1` takes native workers, which start in a tenth of the time, for those that
//! come and go. What is used is printed each minute:
//!
//! ```sh
//! EXECNET_SOAK_SECONDS=600 EXECNET_SOAK_RATE=20 EXECNET_SOAK_HELD=500 \\
//!     cargo test -p execnet-agent --test server -- --nocapture soak
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use execnet_testing::{WATCHDOG, resident};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::support::{Served, bounded, group, secret};

/// How many are started at once, at most.
const AT_ONCE: usize = 16;
/// What the allocator may keep, in MiB.
const SLACK: u64 = 8;

/// What a server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Usage {
    files: usize,
    workers: usize,
    mib: u64,
}

impl Usage {
    fn of(served: &Served) -> Self {
        let files =
            std::fs::read_dir(format!("/proc/{}/fd", served.pid())).expect("it runs").count();
        Self { files, workers: served.workers().len(), mib: resident(served.pid().into()) }
    }

    fn print(self, when: &str) {
        let Self { files, workers, mib } = self;
        eprintln!("{when:<28} {files:>5} descriptors {workers:>4} workers {mib:>4} MiB");
    }

    /// What there is when all that is under way has ended: as many workers as before, and no more files.
    async fn settled(served: &Served, before: Self) -> Self {
        let start = Instant::now();
        loop {
            let now = Self::of(served);
            if now.files <= before.files && now.workers == before.workers {
                return now;
            }
            assert!(start.elapsed() < WATCHDOG, "{before:?} before, {now:?} now");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_come_and_go_and_nothing_stays() {
    let seconds = number("EXECNET_SOAK_SECONDS", 10);
    let rate = number("EXECNET_SOAK_RATE", 10);
    let held = number("EXECNET_SOAK_HELD", 10);
    let native = number("EXECNET_SOAK_NATIVE", 0) > 0;
    let secret = secret();
    let served = secret.serve(&[]);
    let spec = secret.spec(&served);
    let start = Usage::of(&served);
    start.print("at the start");
    one(&spec, false).await;
    // From its first worker on it has a shell beside it.
    let idle = Usage { files: start.files + 1, ..start };
    let idle = Usage::settled(&served, idle).await;
    idle.print("after the first connection");

    let group = group();
    let begin = Instant::now();
    for done in (0..held).step_by(AT_ONCE) {
        let next = (held - done).min(AT_ONCE as u64) as usize;
        bounded(group.make_all(vec![spec.as_str(); next])).await.expect("gateways");
    }
    let holding = Usage::of(&served);
    assert_eq!(holding.workers as u64, held);
    holding.print(&format!("{held} held"));
    let resident = served.workers().iter().map(|pid| resident((*pid).into())).sum::<u64>();
    eprintln!("started in {:.1?}; each worker has {} MiB", begin.elapsed(), resident / held.max(1));

    let (mut come, gone) = (0, Arc::new(AtomicU64::new(0)));
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    let mut ticks = interval(Duration::from_secs(1) / rate as u32);
    // Late ones are made up for.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (begin, length) = (Instant::now(), Duration::from_secs(seconds));
    let minute = Duration::from_secs(60).min(length / 4);
    let (mut next, mut warm) = (minute, None);
    while begin.elapsed() < length {
        ticks.tick().await;
        let place = places.clone().acquire_owned().await.expect("it is open");
        let (spec, count) = (spec.clone(), gone.clone());
        tasks.spawn(async move {
            one(&spec, native).await;
            count.fetch_add(1, Ordering::Relaxed);
            drop(place);
        });
        come += 1;
        while let Some(ended) = tasks.try_join_next() {
            ended.expect("served");
        }
        if begin.elapsed() >= next {
            next += minute;
            let usage = Usage::of(&served);
            warm.get_or_insert(usage);
            let done = gone.load(Ordering::Relaxed);
            usage.print(&format!("{:.0?}, {done} connections", begin.elapsed()));
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("served");
    }
    let took = begin.elapsed();
    assert_eq!(gone.load(Ordering::Relaxed), come);
    let after = Usage::settled(&served, holding).await;
    let rate = come as f64 / took.as_secs_f64();
    after.print(&format!("{come}, {rate:.1} a second"));
    bounded(group.terminate(WATCHDOG)).await.expect("they end");
    let end = Usage::settled(&served, idle).await;
    end.print("at the end");
    let warm = warm.unwrap_or(holding).mib;
    assert!(after.mib <= warm + SLACK, "{warm} MiB became {} MiB", after.mib);
}

/// A connection that does something, and ends.
async fn one(spec: &str, native: bool) {
    let group = group();
    if native {
        let gateway =
            bounded(group.make_gateway(format!("{spec}//agent"))).await.expect("a gateway");
        bounded(gateway.ping()).await.expect("an answer");
        bounded(gateway.exit(WATCHDOG)).await;
        return;
    }
    let gateway = bounded(group.make_gateway(spec)).await.expect("a gateway");
    let program = "channel.send(channel.receive() * 2)";
    let mut channel = gateway.remote_exec(program).await.expect("sent");
    channel.send(&21).await.expect("sent");
    assert_eq!(bounded(channel.receive::<i64>()).await.expect("an answer"), 42);
    bounded(gateway.exit(WATCHDOG)).await;
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}
