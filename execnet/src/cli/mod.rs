//! `execnet`: run code on gateways and look at them, from a shell.
//!
//! Its output and its exit statuses are an interface: other programs parse them.

mod args;
mod exec;
mod fleet;
mod info;
mod json;
mod log;
mod ping;
#[cfg(feature = "ssh-native")]
mod prompt;
mod signal;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use args::{Args, Command};
use clap::Parser;
use execnet::{ExecError, GatewayError, Group, GroupBuilder};

/// How the command ended, as its exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Outcome {
    Success = 0,
    /// Remote code raised an exception.
    RemoteError = 1,
    /// A gateway could not start, or died.
    GatewayFailed = 2,
    /// The command line is wrong; EX_USAGE of sysexits.h.
    Usage = 64,
    /// Reading the input or writing the output failed; EX_IOERR.
    Io = 74,
    /// `--timeout` has passed, as of coreutils' timeout.
    TimedOut = 124,
    /// Ctrl-C; 128 and the number of SIGINT, as shells say it.
    Interrupted = 130,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(outcome as u8)
    }
}

pub(crate) fn main() -> ExitCode {
    // This program is the agent of its gateways, here and where it is copied to.
    execnet_agent::run_if_agent(|| execnet_agent::Agent::builder().build());
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // --help and --version arrive here as well, and go to stdout.
            let _ = error.print();
            let outcome = if error.use_stderr() { Outcome::Usage } else { Outcome::Success };
            return outcome.into();
        }
    };
    if let Err(message) = log::init() {
        complain(message);
        return Outcome::Usage.into();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(format_args!("cannot start the runtime: {error}"));
            return Outcome::GatewayFailed.into();
        }
    };
    let outcome = runtime.block_on(async {
        match args.command {
            Command::Exec(args) => exec::run(args).await,
            Command::Info(args) => info::run(args).await,
            Command::Ping(args) => ping::run(args).await,
        }
    });
    // A read of stdin may be under way in a thread that only the end of the process stops.
    runtime.shutdown_background();
    outcome.into()
}

/// A group whose agents are this program.
fn group() -> GroupBuilder {
    let mut group = Group::builder();
    // Without it an installed agent may do.
    if let Ok(program) = std::env::current_exe() {
        group = group.agent_program(program);
    }
    #[cfg(feature = "ssh-native")]
    if let Some(prompt) = prompt::terminal() {
        group = group.prompt(prompt);
    }
    group
}

/// What `--timeout` is about.
async fn within(limit: Option<Duration>, work: impl Future<Output = Outcome>) -> Outcome {
    let Some(limit) = limit else { return work.await };
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        complain(format_args!("timed out after {}", humantime::format_duration(limit)));
        Outcome::TimedOut
    })
}

/// What a failed start means for the exit status.
fn outcome_of(error: &GatewayError) -> Outcome {
    match error {
        GatewayError::Spec(_)
        | GatewayError::NotSupported { .. }
        | GatewayError::Value { .. }
        | GatewayError::DuplicateId(_) => Outcome::Usage,
        GatewayError::Exec(error) => outcome_of_exec(error),
        _ => Outcome::GatewayFailed,
    }
}

/// What code that could not be sent means for it.
fn outcome_of_exec(error: &ExecError) -> Outcome {
    match error {
        ExecError::Lost(_) => Outcome::GatewayFailed,
        _ => Outcome::Usage,
    }
}

/// Whoever would read it may be gone: the exit status says the rest.
fn complain(message: impl Display) {
    let _ = writeln!(io::stderr(), "execnet: {message}");
}

/// What a failed write to stdout means: a reader that has seen enough is no error.
fn outcome_of_write(error: &io::Error) -> Outcome {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Outcome::Success;
    }
    complain(format_args!("cannot write to stdout: {error}"));
    Outcome::Io
}
