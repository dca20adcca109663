#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

// The Python worker, as text.
mod python;
mod script;

pub use python::{
    bootstrap_line, bootstrap_source, bootstrap_source_deflated, bootstrap_source_with,
    prefork_line, prefork_source_with,
};
pub use script::{server_module, server_script};

/// The argument with which a gateway starts a program that is its own agent; `run_if_agent` (feature `native`) looks for it.
pub const AGENT_ARGUMENT: &str = "execnet-agent-stdio";

// What they read first.
#[cfg(all(any(feature = "native", feature = "server"), unix))]
mod first_frame;

// What becomes of their processes when they are killed.
#[cfg(all(any(feature = "native", feature = "server"), unix))]
mod guardian;

// The native far end.
#[cfg(all(feature = "native", unix))]
mod agent;
#[cfg(all(feature = "native", unix))]
pub use agent::{Agent, AgentBuilder, BlockingContext, Context, ServeError, run_if_agent};
// What of the layers beneath appears above.
#[cfg(all(feature = "native", unix))]
pub use execnet_channel::{
    Channel, ChannelId, Config, Message, OpenError, ReceiveError, SendError,
};

// A server that starts them.
#[cfg(all(feature = "server", unix))]
pub mod server;
