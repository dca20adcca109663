//! The process id of a fresh interpreter: start, run, receive, end.
//!
//! ```text
//! $ cargo run -p execnet --example pid
//! this process: 4700, the worker: 4711
//! ```

use std::error::Error;
use std::time::Duration;

use execnet::Group;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let group = Group::new();
    let gateway = group.make_gateway("popen").await?;
    let mut channel = gateway.remote_exec("import os; channel.send(os.getpid())").await?;
    let pid: u32 = channel.receive().await?;
    println!("this process: {}, the worker: {pid}", std::process::id());

    // The worker told the same when it started.
    assert_eq!(u64::from(pid), gateway.info().pid);
    assert_ne!(pid, std::process::id());
    group.terminate(Duration::from_secs(5)).await?;
    Ok(())
}
