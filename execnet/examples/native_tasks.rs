//! A program that is its own far end: it starts copies of itself, here or on the hosts that its arguments name, and calls their
//! functions.
//!
//! ```sh
//! cargo run -p execnet --example native_tasks
//! cargo run -p execnet --example native_tasks -- ssh=web1//agent ssh=web2//agent
//! ```

use std::env;
use std::error::Error;
use std::time::Duration;

use execnet::{CallError, Group, ReceiveError, Value};
use execnet_agent::{Agent, Context, SendError, run_if_agent};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Range {
    from: u64,
    to: u64,
}

/// What a far end can do.
fn agent() -> Agent {
    Agent::builder()
        // It computes, so it gets a thread of its own.
        .blocking_task("primes", |ctx, Range { from, to }: Range| {
            let mut count = 0_u64;
            for n in from.max(2)..to {
                if ctx.is_cancelled() {
                    return Err(format!("interrupted at {n}"));
                }
                count += u64::from((2..).take_while(|d| d * d <= n).all(|d| n % d != 0));
            }
            Ok(count)
        })
        .task("countdown", |ctx: Context, from: u32| async move {
            for n in (1..=from).rev() {
                ctx.send(&n).await?;
            }
            Ok::<_, SendError>("lift-off")
        })
        .task("parse", |_, text: String| async move { text.parse::<f64>() })
        .build()
}

fn main() -> Result<(), Box<dyn Error>> {
    // In a copy that a gateway has started, this does not come back.
    run_if_agent(agent);

    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let mut specs: Vec<String> = env::args().skip(1).collect();
        if specs.is_empty() {
            specs = vec!["popen//agent//id=one".into(), "popen//agent//id=two".into()];
        }
        let group = Group::builder().agent_program(env::current_exe()?).build();
        let Ok(gateways) = group.make_all(specs).await.map_err(|errors| {
            errors.iter().for_each(|error| eprintln!("{error}"));
        }) else {
            return Err("not all far ends started".into());
        };

        // The same function on all of them at once, each with its share.
        let share = 100_000 / gateways.len() as u64;
        let shares = (0..).map(|i| Range { from: i * share, to: (i + 1) * share });
        let counts = gateways
            .iter()
            .zip(shares)
            .map(|(gateway, range)| async move { gateway.call::<u64>("primes", &range).await });
        let total: u64 = futures_util::future::try_join_all(counts).await?.iter().sum();
        let end = share * gateways.len() as u64;
        println!("{total} primes below {end}");
        assert!(end != 100_000 || total == 9592);

        // Items on the way to the result.
        let mut channel = gateways[0].start("countdown", &3).await?;
        loop {
            match channel.receive_value().await {
                Ok(Value::Str(result)) => println!("{result}!"),
                Ok(item) => print!("{item}, "),
                Err(ReceiveError::End) => break,
                Err(error) => return Err(error.into()),
            }
        }

        // Errors arrive with the names of their types.
        match gateways[0].call::<f64>("parse", "eleven").await {
            Err(CallError::Remote(error)) => println!("{error}"),
            other => return Err(format!("expected an error of the task, found {other:?}").into()),
        }
        match gateways[0].call::<f64>("pares", "11").await {
            Err(CallError::UnknownTask(error)) => println!("{}", error.message()),
            other => return Err(format!("expected an error of the task, found {other:?}").into()),
        }
        group.terminate(Duration::from_secs(5)).await?;
        Ok(())
    })
}
