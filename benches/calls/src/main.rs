//! Calls of native tasks beside tarpc, and Python over sockets beside popen: two tables on standard output.
//!
//! All far ends are other processes of this same program. Each figure is the median of `ROUNDS` rounds, in which all take their turn after
//! one that warms up.
//!
//! ```sh
//! cargo run --release          # takes two minutes; leave the machine alone meanwhile
//! cargo run -- --quick         # only shows that it works
//! ```

mod calls;
mod far_end;
mod python;
mod table;

use std::error::Error;
use std::time::Duration;

use execnet::Group;

use crate::far_end::{FarEnd, agent};
use crate::table::Table;

/// What can go wrong here is told, and that is all.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How much is done.
#[derive(Clone, Copy)]
struct Effort {
    rounds: usize,
    /// How long each round of each row takes.
    time: Duration,
}

fn main() -> Result<()> {
    execnet_agent::run_if_agent(agent);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let effort = match args[..] {
        // What `FarEnd` starts.
        [kind, address, token] if FarEnd::KINDS.contains(&kind) => {
            return runtime.block_on(far_end::serve(kind, address, token));
        }
        [] => Effort { rounds: 5, time: Duration::from_millis(500) },
        ["--quick"] => Effort { rounds: 1, time: Duration::from_millis(20) },
        _ => return Err("the only option is --quick".into()),
    };
    runtime.block_on(async {
        let group = Group::builder().agent_program(std::env::current_exe()?).build();
        let mut table = Table::new("calls of a native task", calls::PAIRS);
        calls::measure(&mut table, &group, effort).await?;
        table.print();
        let mut table = Table::new("a Python worker", python::PAIRS);
        python::measure(&mut table, &group, effort).await?;
        table.print();
        group.terminate(Duration::from_secs(5)).await?;
        Ok(())
    })
}
