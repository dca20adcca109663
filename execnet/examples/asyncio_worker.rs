//! Talking to asyncio code: an async function runs in the worker, and hands blocking calls to a thread.
//!
//! ```text
//! $ cargo run -p execnet --example asyncio_worker
//! quick, slow
//! ```

use std::error::Error;
use std::time::Duration;

use execnet::{Group, Source};

/// Any program with an `async def` that takes the channel.
const PROGRAM: &str = "
import asyncio

async def answer(channel, name, seconds):
    await asyncio.sleep(seconds)
    channel.send(name)

async def main(channel):
    loop = asyncio.get_event_loop()
    tasks = []
    while True:
        # Receiving blocks: in a thread, so that the event loop goes on.
        job = await loop.run_in_executor(None, channel.receive)
        if job is None:
            break
        tasks.append(loop.create_task(answer(channel, *job)))
    await asyncio.wait(tasks)
";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let group = Group::new();
    let gateway = group.make_gateway("popen").await?;
    let mut channel = gateway.remote_exec(Source::from(PROGRAM).call("main")).await?;
    channel.send(&("slow", 0.3)).await?;
    channel.send(&("quick", 0.0)).await?;
    channel.send(&()).await?;
    let names: [String; 2] = [channel.receive().await?, channel.receive().await?];
    println!("{}", names.join(", "));
    assert_eq!(names, ["quick", "slow"]);
    channel.wait_close().await?;
    group.terminate(Duration::from_secs(5)).await?;
    Ok(())
}
