//! Prints as Markdown what is counted instead of timed: heap of an idle channel, channels open at once, and
//! messages for each call of the writer.

use std::alloc::System;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use cap::Cap;
use execnet_rivals::{Codec, Counted, Execnet, H2, Remoc, Rival, Yamux, memory, tcp, work};
use tokio::runtime::Builder;

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// Few enough for all: yamux bounds how many are opened ahead, remoc asks the other end for each.
const IDLE: usize = 1_000;
const MANY: usize = 100_000;
const MESSAGES: u64 = 200_000;

fn main() {
    println!(
        "| | execnet | bare codec | h2 | remoc | yamux, buffered |\n|---|---:|---:|---:|---:|---:|"
    );
    println!(
        "| heap of an idle channel, both ends | {} B | – | {} B | {} B | {} B |",
        alone(idle::<Execnet>(IDLE)),
        alone(idle::<H2>(IDLE)),
        alone(idle::<Remoc>(IDLE)),
        alone(idle::<Yamux<true>>(IDLE)),
    );
    println!(
        "| 32 B messages for each write, one channel | {:.0} | {:.0} | {:.0} | {:.1} | {:.1} |",
        alone(per_write::<Execnet>(1)),
        alone(per_write::<Codec>(1)),
        alone(per_write::<H2>(1)),
        alone(per_write::<Remoc>(1)),
        alone(per_write::<Yamux<true>>(1)),
    );
    println!(
        "| 32 B messages for each write, 100 channels | {:.0} | – | {:.0} | {:.1} | {:.1} |",
        alone(per_write::<Execnet>(100)),
        alone(per_write::<H2>(100)),
        alone(per_write::<Remoc>(100)),
        alone(per_write::<Yamux<true>>(100)),
    );
    let begin = Instant::now();
    let each = alone(idle::<Execnet>(MANY));
    let took = begin.elapsed();
    println!("\n{MANY} channels of ours open at once, each used: {each} B each, in {took:.1?}.");
}

/// On a runtime of its own: what one rival gives back late is not counted for the next. On one thread: nor is what
/// the other one happens to hold.
fn alone<T>(work: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

/// Bytes of heap that a channel takes, both ends and their handles together, after 32 bytes each way.
async fn idle<R: Rival>(channels: usize) -> usize {
    let (a, b) = memory().await;
    let (mut opener, mut acceptor) = R::connect(a, b).await;
    // What is taken once for all.
    let warm = work::pairs::<R>(&mut opener, &mut acceptor, 10).await;
    let before = HEAP.allocated();
    let pairs = work::pairs::<R>(&mut opener, &mut acceptor, channels).await;
    let after = HEAP.allocated();
    drop((warm, pairs));
    (after - before) / channels
}

/// Messages of 32 bytes for each call of the writer over TCP.
async fn per_write<R: Rival>(channels: u64) -> f64 {
    let writes = Arc::new(AtomicU64::new(0));
    let (a, b) = tcp().await;
    let a = Counted::new(a, writes.clone());
    // What the other end writes is not of interest.
    let b = Counted::new(b, Arc::default());
    let (mut opener, mut acceptor) = R::connect(a, b).await;
    let pairs = work::pairs::<R>(&mut opener, &mut acceptor, channels as usize).await;
    let before = writes.load(Ordering::Relaxed);
    let pairs = work::one_way::<R>(pairs, 32, MESSAGES / channels).await;
    let writes = writes.load(Ordering::Relaxed) - before;
    drop(pairs);
    MESSAGES as f64 / writes as f64
}
