//! The `execnet` program, for the tests that run it.

use std::process::{Command, Output, Stdio};

use execnet_testing::python;

pub(crate) fn execnet(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_execnet"));
    command.args(args).stdin(Stdio::null());
    command
}

/// `popen` on a real interpreter.
pub(crate) fn popen() -> Option<String> {
    Some(format!("popen//python={}", python()?.display()))
}

pub(crate) fn run(args: &[&str]) -> Output {
    execnet(args).output().expect("the command starts")
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

pub(crate) fn status(output: &Output) -> i32 {
    output.status.code().expect("an exit status")
}
