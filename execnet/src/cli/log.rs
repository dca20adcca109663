//! `EXECNET_LOG`.

use std::env;
use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// Names what is to be logged, as `debug` or `execnet=trace,warn`.
const VARIABLE: &str = "EXECNET_LOG";

/// Without it: warnings, but for those that the command itself turns into an error and an exit code.
const DEFAULT: &str = "warn,execnet::failed=off";

/// Logs to stderr what the variable asks for.
pub(super) fn init() -> Result<(), String> {
    let text = env::var_os(VARIABLE).filter(|text| !text.is_empty());
    let text = text.unwrap_or_else(|| DEFAULT.into());
    let text = text.to_string_lossy();
    let filter = EnvFilter::try_new(&*text).map_err(|error| {
        format!("{VARIABLE}={text:?}: {error}; expected a level (debug) or TARGET=LEVEL,…")
    })?;
    let ansi = io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(ansi)
        .with_writer(io::stderr)
        // It would complain to stderr, and panic where the disk of the log is full or its reader has gone.
        .log_internal_errors(false)
        .init();
    Ok(())
}
