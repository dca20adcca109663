//! Interrupts.

use std::sync::Arc;
use std::time::Duration;

use execnet_agent::{Agent, BlockingContext, Context};
use tokio::sync::Semaphore;

use crate::support::{connect, result};

/// Tells when it is dropped.
struct Dropped(Arc<Semaphore>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

#[tokio::test]
async fn a_task_that_does_not_look_is_dropped_at_once() {
    let dropped = Arc::new(Semaphore::new(0));
    let seen = dropped.clone();
    let agent = Agent::builder()
        // Far beyond any watchdog: the grace is not for this one.
        .cancel_grace(Duration::from_secs(100_000))
        .task("sleep", move |ctx: Context, (): ()| {
            let dropped = Dropped(seen.clone());
            async move {
                ctx.send("asleep").await.map_err(|error| error.to_string())?;
                std::future::pending::<()>().await;
                drop(dropped);
                Ok::<_, String>(())
            }
        })
        .build();
    let near = connect(&agent);
    let mut channel = near.start("sleep", &()).await;
    assert_eq!(channel.recv_value::<String>().await.unwrap().unwrap(), "asleep");
    channel.interrupt();
    let fault = result::<()>(channel).await.unwrap_err();
    assert_eq!(fault.to_string(), "Cancelled: the task was interrupted");
    let _ = dropped.acquire().await.unwrap();
}

#[tokio::test]
async fn a_task_that_looks_may_tidy_up_and_answer() {
    let agent = Agent::builder()
        .task("careful", |ctx: Context, (): ()| async move {
            let cancelled = ctx.cancelled();
            ctx.send("ready").await.map_err(|error| error.to_string())?;
            cancelled.await;
            Ok::<_, String>(if ctx.is_cancelled() { "tidy" } else { "what?" })
        })
        .blocking_task("loop", |ctx: BlockingContext, (): ()| {
            let mut turns = 0_u64;
            while !ctx.is_cancelled() {
                if turns == 0 {
                    ctx.send("ready").map_err(|error| error.to_string())?;
                }
                turns += 1;
                std::thread::yield_now();
            }
            Ok::<_, String>("tidy")
        })
        .build();
    let near = connect(&agent);
    for task in ["careful", "loop"] {
        let mut channel = near.start(task, &()).await;
        assert_eq!(channel.recv_value::<String>().await.unwrap().unwrap(), "ready");
        channel.interrupt();
        assert_eq!(result::<String>(channel).await.unwrap(), "tidy");
    }
}

#[tokio::test]
async fn the_grace_ends() {
    let agent = Agent::builder()
        .cancel_grace(Duration::from_millis(1))
        .task("stubborn", |ctx: Context, (): ()| async move {
            ctx.cancelled().await;
            std::future::pending::<Result<(), String>>().await
        })
        .build();
    let near = connect(&agent);
    let channel = near.start("stubborn", &()).await;
    channel.interrupt();
    assert_eq!(result::<()>(channel).await.unwrap_err().kind, "Cancelled");
}

#[tokio::test]
async fn an_interrupt_where_nothing_runs_does_nothing() {
    let agent = Agent::builder().task("one", |_, (): ()| async { Ok::<_, String>(1) }).build();
    let near = connect(&agent);
    let idle = near.mux.open().unwrap();
    idle.interrupt();
    assert_eq!(near.call::<i64>("one", &()).await, Ok(1));
}
