//! The `execnet-agent` command: the far ends of gateways, as a program.
#![forbid(unsafe_code)]

mod args;
mod log;

use std::fmt::Display;
use std::process::ExitCode;

use args::{Args, Command};
use clap::Parser;

/// How the command ended, as its exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Outcome {
    Success = 0,
    /// What was asked for failed.
    Failed = 1,
    /// The command line is wrong; EX_USAGE of sysexits.h.
    Usage = 64,
}

fn main() -> ExitCode {
    execnet_agent::run_if_agent(|| execnet_agent::Agent::builder().build());
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // --help and --version arrive here as well, and go to stdout.
            let _ = error.print();
            let outcome = if error.use_stderr() { Outcome::Usage } else { Outcome::Success };
            return ExitCode::from(outcome as u8);
        }
    };
    if let Err(message) = log::init(args.command.usual_log()) {
        complain(message);
        return ExitCode::from(Outcome::Usage as u8);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(format_args!("cannot start the runtime: {error}"));
            return ExitCode::from(Outcome::Failed as u8);
        }
    };
    let outcome = runtime.block_on(run(args.command));
    runtime.shutdown_background();
    ExitCode::from(outcome as u8)
}

async fn run(command: Command) -> Outcome {
    match command {
        Command::Stdio => match execnet_agent::Agent::builder().build().stdio().await {
            Ok(()) => Outcome::Success,
            Err(error) => {
                eprintln!("{}", error.report());
                Outcome::Failed
            }
        },
    }
}

fn complain(message: impl Display) {
    eprintln!("execnet-agent: {message}");
}
