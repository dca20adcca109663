//! `EXECNET_LOG`.

use std::env;
use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// Names what is to be logged, as `debug` or `execnet=trace,warn`; nothing is without it.
const VARIABLE: &str = "EXECNET_LOG";

/// Logs to stderr what the variable asks for.
pub(super) fn init() -> Result<(), String> {
    let Some(text) = env::var_os(VARIABLE).filter(|text| !text.is_empty()) else { return Ok(()) };
    let text = text.to_string_lossy();
    let filter = EnvFilter::try_new(&*text).map_err(|error| {
        format!("{VARIABLE}={text:?}: {error}; expected a level (debug) or TARGET=LEVEL,…")
    })?;
    let ansi = io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(ansi)
        .with_writer(io::stderr)
        .init();
    Ok(())
}
