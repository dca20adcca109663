//! Two processes at work at the same time, their results received one after the other.
//!
//! ```text
//! $ cargo run -p execnet --example two_synchronously
//! gw0: 338350
//! gw1: 2686700
//! ```

use std::error::Error;
use std::time::Duration;

use execnet::Group;

const SUM_OF_SQUARES: &str = "
    limit = channel.receive()
    channel.send(sum(n * n for n in range(limit + 1)))
";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let group = Group::new();
    let mut channels = Vec::new();
    for (gateway, limit) in group.make_gateways(["popen"; 2]).await.into_iter().zip([100, 200]) {
        let mut channel = gateway?.remote_exec(SUM_OF_SQUARES).await?;
        channel.send(&limit).await?;
        channels.push(channel);
    }

    // Both are counting now.
    let mut sums = Vec::new();
    for channel in &mut channels {
        let sum: u64 = channel.receive().await?;
        println!("{}: {sum}", channel.gateway().id());
        sums.push(sum);
    }
    assert_eq!(sums, [338_350, 2_686_700]);
    group.terminate(Duration::from_secs(5)).await?;
    Ok(())
}
