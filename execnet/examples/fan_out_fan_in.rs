//! Fan-out, fan-in: work for many comes back over one channel, which each of them was sent.
//!
//! ```text
//! $ cargo run -p execnet --example fan_out_fan_in
//! 10 results, the sum of the squares is 285
//! ```

use std::error::Error;
use std::time::Duration;

use execnet::{Channel, Group};
use futures_util::future::try_join_all;
use serde::Serialize;

#[derive(Serialize)]
struct Job<'a> {
    number: u64,
    /// Channels are items like all others.
    results: &'a Channel,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let group = Group::new();
    let gateway = group.make_gateway("popen").await?;
    let mut results = gateway.new_channel()?;

    // Ten tasks in one worker, each in a thread, all with the same channel. It is closed when no remote code
    // has it any more, so all are to have it before the first has done its work.
    let source = "job = channel.receive()
channel.send('ready'); channel.receive()
job['results'].send(job['number'] ** 2)";
    let mut tasks = try_join_all((0..10).map(|_| gateway.remote_exec(source))).await?;
    for (number, task) in (0..).zip(&mut tasks) {
        task.send(&Job { number, results: &results }).await?;
        task.receive::<String>().await?;
    }
    for task in &mut tasks {
        task.send("go").await?;
    }

    let mut sum = 0;
    for _ in 0..10 {
        sum += results.receive::<u64>().await?;
    }
    println!("10 results, the sum of the squares is {sum}");
    assert_eq!(sum, 285);
    group.terminate(Duration::from_secs(5)).await?;
    Ok(())
}
