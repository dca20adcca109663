#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

// The Python worker, as text.
mod python;

pub use python::{bootstrap_line, bootstrap_source};

// The native far end.
#[cfg(all(feature = "native", unix))]
mod agent;
#[cfg(all(feature = "native", unix))]
pub use agent::{
    AGENT_ARGUMENT, Agent, AgentBuilder, BlockingContext, Context, ServeError, run_if_agent,
};
// What of the layers beneath appears above.
#[cfg(all(feature = "native", unix))]
pub use execnet_channel::{
    Channel, ChannelId, Config, Message, OpenError, ReceiveError, SendError,
};

// A server that starts them.
#[cfg(all(feature = "server", unix))]
pub mod server;
