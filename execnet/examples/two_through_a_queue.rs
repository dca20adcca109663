//! Two processes whose results are taken as they come, from one queue.
//!
//! ```text
//! $ cargo run -p execnet --example two_through_a_queue
//! gw0: 0
//! gw1: 0
//! gw1: 1
//! …
//! ```

use std::error::Error;
use std::time::Duration;

use execnet::{Group, ReceiveError};
use futures_util::StreamExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let group = Group::new();
    for gateway in group.make_gateways(["popen"; 2]).await {
        gateway?;
    }
    let channels = group.remote_exec("for n in range(5): channel.send(n)").await?;

    let ids: Vec<_> = group.gateways().iter().map(|gw| gw.id().to_owned()).collect();
    let mut counts = [0; 2];
    let (_senders, mut queue) = channels.receive_queue();
    while let Some((index, item)) = queue.next().await {
        match item {
            Ok(item) => {
                println!("{}: {item}", ids[index]);
                counts[index] += 1;
            }
            Err(ReceiveError::End) => println!("{}: done", ids[index]),
            Err(error) => return Err(error.into()),
        }
    }
    assert_eq!(counts, [5, 5]);
    group.terminate(Duration::from_secs(5)).await?;
    Ok(())
}
