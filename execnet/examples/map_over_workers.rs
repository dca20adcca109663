//! A function mapped over many inputs by several workers: each takes the next input when it is done with one.
//!
//! ```text
//! $ cargo run -p execnet --example map_over_workers
//! 30 answers from 3 workers
//! ```

use std::error::Error;
use std::time::Duration;

use execnet::{Channel, Group};
use futures_util::future::try_join_all;
use tokio::sync::Mutex;

const FACTORS: &str = "
def factors(n):
    found, divisor = [], 2
    while n > 1:
        while n % divisor == 0:
            found.append(divisor)
            n //= divisor
        divisor += 1
    return found

for n in channel:
    channel.send(factors(n))
";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let group = Group::new();
    let gateways = group.make_gateways(["popen"; 3]).await;
    let mut inputs = 1_000_u64..1_030;
    let count = inputs.clone().count();
    let inputs = Mutex::new(&mut inputs);
    let answers = Mutex::new(Vec::new());

    try_join_all(gateways.into_iter().map(|gateway| async {
        let mut worker: Channel = gateway?.remote_exec(FACTORS).await?;
        loop {
            let Some(input) = inputs.lock().await.next() else { break };
            worker.send(&input).await?;
            let factors: Vec<u64> = worker.receive().await?;
            answers.lock().await.push((input, factors));
        }
        Ok::<_, Box<dyn Error>>(())
    }))
    .await?;

    let answers = answers.into_inner();
    println!("{} answers from {} workers", answers.len(), group.len());
    assert_eq!(answers.len(), count);
    assert!(answers.iter().all(|(input, factors)| factors.iter().product::<u64>() == *input));
    group.terminate(Duration::from_secs(5)).await?;
    Ok(())
}
