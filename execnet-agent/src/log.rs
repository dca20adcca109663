//! `EXECNET_LOG`.

use std::env;
use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// Names what is to be logged, as `debug` or `execnet_agent=trace,warn`.
const VARIABLE: &str = "EXECNET_LOG";

/// Logs to stderr what the variable asks for; without it what `usual` asks for, if anything.
pub(crate) fn init(usual: Option<&str>) -> Result<(), String> {
    let set = env::var_os(VARIABLE).filter(|text| !text.is_empty());
    let text = set.map(|text| text.to_string_lossy().into_owned());
    let Some(text) = text.as_deref().or(usual) else { return Ok(()) };
    let filter = EnvFilter::try_new(text).map_err(|error| {
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
