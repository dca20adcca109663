//! Why a gateway could not be made.

use std::path::PathBuf;
use std::time::Duration;
use std::{error, fmt, io};

use execnet_channel::ConnectionError;
use execnet_transport::{ConnectError, Ending};
use execnet_xspec::SpecError;

use super::lost::write_lines;
use super::{DeployError, ExecError, RemoteError};

/// A gateway could not be made. Nothing of it is left: no process, no id taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// The specification is wrong. The caller's fault.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The specification is right, but asks for something that this version cannot do.
    #[error("spec {spec:?}: `{key}` is not supported by this version")]
    NotSupported {
        /// The specification.
        spec: String,
        /// The key in it.
        key: String,
    },
    /// The value of a key is none that it takes. The caller's fault.
    #[error("spec {spec:?}: `{key}`: {source}")]
    Value {
        /// The specification.
        spec: String,
        /// The key in it.
        key: String,
        /// What is the matter with its value.
        source: Box<dyn error::Error + Send + Sync>,
    },
    /// A [`Scheme`](crate::Scheme) of your own could make no transport of the specification.
    #[error("spec {spec:?}: `{key}`: {source}")]
    Scheme {
        /// The specification.
        spec: String,
        /// The scheme's key.
        key: String,
        /// Why, in the scheme's words.
        source: Box<dyn error::Error + Send + Sync>,
    },
    /// The id is taken in this group.
    #[error(
        "a gateway with the id {0:?} exists in this group; choose another `id=` or exit that one first"
    )]
    DuplicateId(String),
    /// The specification asks for an agent, and there is no program that is one.
    #[error(
        "spec {spec:?}: there is no `execnet-agent` on PATH or beside this program; install it, name one with \
         `agent=PROGRAM`, or let a program be its own with `GroupBuilder::agent_program`"
    )]
    NoAgent {
        /// The specification.
        spec: String,
    },
    /// The agent's program cannot be read.
    #[error("cannot read the agent {}: {source}", .program.display())]
    AgentFile {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The agent's program could not be carried to the far end's host.
    #[error("{address}: the agent was not deployed: {source}{}", Printed(.ending, .output))]
    Deploy {
        /// Which far end.
        address: String,
        /// How the link's process ended, where there is one and it has.
        ending: Option<Ending>,
        /// What was printed meanwhile.
        output: Vec<String>,
        /// What went wrong.
        source: Box<DeployError>,
    },
    /// `via=` or `installvia=` names no gateway of the group.
    #[error(
        "spec {spec:?}: no gateway has the id {id:?}; {}", KnownIds(.known)
    )]
    NoSuchGateway {
        /// The specification.
        spec: String,
        /// The id in it.
        id: String,
        /// The ids that there are.
        known: Vec<String>,
    },
    /// The gateway that `via=` or `installvia=` names was being started, and did not start: its own error says why.
    #[error("spec {spec:?}: the gateway {id:?} that it goes through did not start")]
    ViaNotStarted {
        /// The specification.
        spec: String,
        /// The id in it.
        id: String,
    },
    /// Gateways that are being started go through each other.
    #[error("spec {spec:?}: these go through each other: {}", .chain.join(" via "))]
    Circular {
        /// The specification.
        spec: String,
        /// The ids, of which the last one stands there before.
        chain: Vec<String>,
    },
    /// There is no link to a far end.
    #[error("{address}: {source}")]
    Connect {
        /// Which far end.
        address: String,
        /// What went wrong, and at which stage.
        source: Box<ConnectError>,
    },
    /// The link is there, but what answers is no worker, or it ended while starting.
    #[error("{address}: the worker did not start: {}", NotStarted(.source, .ending, .output))]
    Start {
        /// Which far end.
        address: String,
        /// How its process ended, where there is one and it has.
        ending: Option<Ending>,
        /// What it printed last: its standard error, or what stood in place of the protocol.
        output: Vec<String>,
        /// How the protocol ended.
        source: Box<ConnectionError>,
    },
    /// The host is reached, and has no such interpreter.
    #[error("{address}: remote shell: {message} (exit 127){}", Found(.found))]
    NoInterpreter {
        /// Which far end.
        address: String,
        /// The shell's message.
        message: String,
        /// The interpreters that exist there, where the shell could tell: one of them may do as `python=`.
        found: Vec<String>,
    },
    /// The worker started, and refused: a setting of the specification failed there.
    #[error("{address}: {fault}")]
    Refused {
        /// Which far end.
        address: String,
        /// The worker's words.
        fault: Box<RemoteError>,
    },
    /// What was to run on it cannot be sent; see [`Group::remote_exec_at`](crate::Group::remote_exec_at).
    #[error(transparent)]
    Exec(Box<ExecError>),
    /// The worker said nothing within the time allowed.
    #[error("{address}: no answer within {after:?} while starting the worker")]
    TimedOut {
        /// Which far end.
        address: String,
        /// The limit.
        after: Duration,
    },
}

impl GatewayError {
    /// Whether the caller asked for something that cannot be had, so that trying again is useless.
    #[must_use]
    pub fn is_caller_fault(&self) -> bool {
        match self {
            Self::Spec(_)
            | Self::NotSupported { .. }
            | Self::Value { .. }
            | Self::NoInterpreter { .. }
            | Self::Scheme { .. }
            | Self::NoAgent { .. }
            | Self::AgentFile { .. }
            | Self::NoSuchGateway { .. }
            | Self::Circular { .. }
            | Self::DuplicateId(_) => true,
            Self::Connect { source, .. } => source.is_caller_fault(),
            Self::Exec(error) => !matches!(**error, ExecError::Lost(_)),
            _ => false,
        }
    }
}

/// Lists the interpreters that exist, if any are known.
struct Found<'a>(&'a [String]);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            found => write!(f, "; `python=` can be one of: {}", found.join(", ")),
        }
    }
}

struct KnownIds<'a>(&'a [String]);

impl fmt::Display for KnownIds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("the group has none yet"),
            known => write!(f, "the group has {}", known.join(", ")),
        }
    }
}

/// Says how the far end ended, else how the protocol did, and what it printed.
struct NotStarted<'a>(&'a ConnectionError, &'a Option<Ending>, &'a [String]);

impl fmt::Display for NotStarted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            // There was no process to ask.
            Some(Ending::Closed) | None => write!(f, "{}", self.0)?,
            Some(ending) => write!(f, "{ending}")?,
        }
        if self.2.is_empty() && matches!(self.1, Some(Ending::Exited(_))) {
            f.write_str(", without a word; is it an interpreter that is run there, and a login shell that runs commands?")?;
        }
        write_lines(f, self.2)
    }
}

/// How it ended and what was printed, if anything was.
struct Printed<'a>(&'a Option<Ending>, &'a [String]);

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(ending) = self.0 {
            write!(f, "; {ending}")?;
        }
        write_lines(f, self.1)
    }
}
