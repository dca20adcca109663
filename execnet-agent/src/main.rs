//! The `execnet-agent` command: the far ends of gateways, as a program.
#![forbid(unsafe_code)]

mod args;
mod log;
mod serve;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use args::{Args, Command, TokenCommand};
use clap::Parser;
use execnet_transport::tls::Token;

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
                let _ = writeln!(io::stderr(), "{}", error.report());
                Outcome::Failed
            }
        },
        Command::Serve(args) => serve::run(&args).await,
        Command::Token { command: TokenCommand::New { file } } => {
            let token = Token::generate();
            match token.write_new(&file) {
                Ok(()) => print(format_args!("{}: token {}\n", file.display(), token.id())),
                Err(error) => fail(error),
            }
        }
        Command::Script => print(execnet_agent::server_script()),
        Command::Status { control } => match execnet_agent::server::status(&control).await {
            Ok(line) => print(line),
            Err(error) => fail(format_args!("{}: {error}", control.display())),
        },
    }
}

/// Prints to standard output. A reader that has seen enough is no error.
fn print(text: impl Display) -> Outcome {
    let mut out = io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            fail(format_args!("cannot write to stdout: {error}"))
        }
        _ => Outcome::Success,
    }
}

fn fail(message: impl Display) -> Outcome {
    complain(message);
    Outcome::Failed
}

/// Whoever would read it may be gone: the exit status says the rest.
fn complain(message: impl Display) {
    let _ = writeln!(io::stderr(), "execnet-agent: {message}");
}
