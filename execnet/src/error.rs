//! One error for each operation. Each keeps what the layer below said as its `source()`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{error, io};

use execnet_channel::{ConnectionError, OpenError};
use execnet_proto::{Fault, cbor};
use execnet_transport::{ConnectError, Ending};
use execnet_xspec::SpecError;

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

/// An agent's program could not be carried to another host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// The host is another kind of machine.
    #[error(
        "that host is {found:?}, and the program is for {ours:?}; install an agent there, or name one with `agent=PROGRAM`"
    )]
    Machine {
        /// What `uname -sm` says there.
        found: String,
        /// What the program is for.
        ours: String,
    },
    /// There is no folder in which a program may be written and run.
    #[error(
        "no folder there lets a program be written and run: neither the user's cache nor /tmp, /var/tmp or /dev/shm"
    )]
    Nowhere,
    /// What arrived is not what was sent.
    #[error("{arrived} of {size} bytes arrived, or others than were sent")]
    Corrupt {
        /// Bytes that arrived.
        arrived: u64,
        /// Bytes of the program.
        size: u64,
    },
    /// The program cannot be read here.
    #[error("cannot read {}", .program.display())]
    Read {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The link broke while it was sent.
    #[error("the link broke during the upload")]
    Send(#[source] io::Error),
    /// Whatever was reached there said nothing of what was asked.
    #[error("no shell answered that could start it")]
    Silent,
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

fn write_lines(f: &mut fmt::Formatter<'_>, lines: &[String]) -> fmt::Result {
    if !lines.is_empty() {
        f.write_str("; its last output:")?;
    }
    lines.iter().try_for_each(|line| write!(f, "\n    {line}"))
}

/// A gateway has ended: why, and what its process said last. Cheap to clone.
///
/// ```text
/// gateway gw0 (popen python3 [pid 4711]) is gone: killed by SIGKILL (signal 9)
/// ```
#[derive(Clone, Debug)]
pub struct GatewayLost(Arc<Lost>);

#[derive(Debug)]
struct Lost {
    id: String,
    address: String,
    ending: Option<Ending>,
    stderr: Vec<String>,
    cause: ConnectionError,
}

impl GatewayLost {
    pub(crate) fn new(
        id: String,
        address: String,
        ending: Option<Ending>,
        stderr: Vec<String>,
        cause: ConnectionError,
    ) -> Self {
        Self(Arc::new(Lost { id, address, ending, stderr, cause }))
    }

    /// The gateway's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// How its process ended: exit status or signal. `None` when there is no process, or it did not end in time.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.0.ending
    }

    /// The last lines of its standard error.
    #[must_use]
    pub fn stderr(&self) -> &[String] {
        &self.0.stderr
    }

    /// How the connection ended: tells the peer's fault from the link's.
    #[must_use]
    pub fn cause(&self) -> &ConnectionError {
        &self.0.cause
    }

    /// Whether it ended because somebody asked it to.
    #[must_use]
    pub fn is_exit(&self) -> bool {
        matches!(self.0.ending, None | Some(Ending::Exited(0) | Ending::Closed))
            && self.0.cause.is_clean()
    }
}

impl fmt::Display for GatewayLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lost { id, address, ending, stderr, cause } = &*self.0;
        write!(f, "gateway {id} ({address}) is gone: ")?;
        match ending {
            Some(Ending::Closed) | None => write!(f, "{cause}")?,
            // Then the ending is our own doing.
            Some(_) if matches!(cause, ConnectionError::NoAnswer(_)) => write!(f, "{cause}")?,
            // A protocol error is worth telling beside the exit that followed from it.
            Some(ending) if cause.is_peer_fault() => write!(f, "{cause}; {ending}")?,
            Some(ending) => write!(f, "{ending}")?,
        }
        if self.is_exit() { Ok(()) } else { write_lines(f, stderr) }
    }
}

impl error::Error for GatewayLost {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.0.cause)
    }
}

/// An exception in remote code. Prints as the interpreter would print it, traceback included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteError(Fault);

impl RemoteError {
    /// The exception's type, such as `ZeroDivisionError`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// Its message; may be empty.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The whole traceback, with the lines of the source that was sent.
    #[must_use]
    pub fn traceback(&self) -> Option<&str> {
        self.0.traceback.as_deref()
    }
}

impl From<Fault> for RemoteError {
    fn from(fault: Fault) -> Self {
        Self(fault)
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.traceback {
            Some(traceback) => f.write_str(traceback.trim_end()),
            None => self.0.fmt(f),
        }
    }
}

impl error::Error for RemoteError {}

/// Running code on a gateway failed before it ran.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// The file with the source cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An argument is a value that does not cross.
    #[error("cannot send the arguments: {0}")]
    Argument(#[from] cbor::EncodeError),
    /// Keyword arguments without a function to take them.
    #[error("keyword arguments need a function to call: name it with `Source::call`")]
    ArgumentsWithoutFunction,
    /// A keyword argument takes the place of the channel.
    #[error(
        "`channel` is the function's first argument already; name the keyword argument otherwise"
    )]
    ChannelArgument,
    /// The function does not take the channel.
    #[error("`{function}` takes {} first; a function to be called takes `channel` first", .found.as_deref().unwrap_or("nothing"))]
    FirstArgument {
        /// The function.
        function: String,
        /// Its first parameter, if it has one.
        found: Option<String>,
    },
    /// No channel could be opened.
    #[error(transparent)]
    Open(OpenError),
    /// The source is longer than the far end accepts.
    #[error(transparent)]
    Send(execnet_channel::SendError),
    /// The gateway has ended.
    #[error(transparent)]
    Lost(#[from] GatewayLost),
}

/// A call of a native task failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// It was not sent: the argument does not cross, or is too long.
    #[error(transparent)]
    NotSent(ExecError),
    /// The agent has no task of this name; the error lists those that it has.
    #[error("{0}")]
    UnknownTask(RemoteError),
    /// The task failed, or panicked, or its argument was not the one that it takes, or the far end is none that has tasks.
    #[error("{0}")]
    Remote(RemoteError),
    /// The result is not of the type asked for.
    #[error("the result of the task {task:?} is another than asked for: {source}")]
    Result {
        /// The task.
        task: String,
        /// What is wrong with it.
        source: Box<ReceiveError>,
    },
    /// The far end closed the channel without a result: it was about to end.
    #[error("the task {0:?} ended without a result")]
    NoResult(String),
    /// The gateway has ended.
    #[error(transparent)]
    Lost(#[from] GatewayLost),
}

/// Running a program on a gateway's machine failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// It could not be started: [`RemoteError::kind`] is the type of the error there, such as `FileNotFoundError`.
    #[error("cannot start {program:?} on gateway {gateway}: {fault}")]
    NotStarted {
        /// The program.
        program: String,
        /// The gateway's id.
        gateway: String,
        /// Why, in the far end's words.
        fault: RemoteError,
    },
    /// The far end gave up on it.
    #[error("the far end gave up on the command: {0}")]
    Failed(RemoteError),
    /// The far end told no status. The peer's fault.
    #[error("gateway {gateway} closed the command's channel without telling how it ended")]
    NoStatus {
        /// The gateway's id.
        gateway: String,
    },
    /// The far end told something else than a status. The peer's fault.
    #[error("the far end's answer makes no sense: {0}")]
    Answer(execnet_channel::ReceiveError),
    /// What the program wrote could not be read.
    #[error("cannot read the output: {0}")]
    Read(io::Error),
    /// An argument is nothing that crosses.
    #[error("cannot send the command: {0}")]
    Argument(#[from] cbor::EncodeError),
    /// No channel could be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The request could not be sent.
    #[error(transparent)]
    Send(#[from] ExecError),
    /// The gateway has ended.
    #[error(transparent)]
    Lost(#[from] GatewayLost),
}

/// Sending an item failed; nothing of it was sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The item itself, or the state of the channel: the caller's or the remote task's doing.
    #[error(transparent)]
    Channel(execnet_channel::SendError),
    /// The gateway has ended.
    #[error("cannot send: {0}")]
    Lost(#[from] GatewayLost),
    /// There was no room for the item in time. The channel is as it was.
    #[error("the item was not sent in time: the remote code does not read")]
    TimedOut,
}

/// Receiving an item failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The channel is at its end: no further item will come.
    #[error("end of channel: the remote code has ended, or closed the channel")]
    End,
    /// The remote code raised an exception.
    #[error("{0}")]
    Remote(#[from] RemoteError),
    /// The gateway has ended while the channel was open.
    #[error("{0}")]
    Lost(#[from] GatewayLost),
    /// The item is not of the type asked for. It has been taken off the channel.
    #[error(transparent)]
    Item(execnet_channel::ReceiveError),
    /// No item came in time. The channel is as it was.
    #[error("no item came in time")]
    TimedOut,
}

/// Waiting for the remote side's close found an error.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The remote code raised an exception.
    #[error("{0}")]
    Remote(#[from] RemoteError),
    /// The gateway ended before the channel was closed.
    #[error("{0}")]
    Lost(#[from] GatewayLost),
    /// The remote code was not done in time. It goes on.
    #[error("the remote code was not done in time")]
    TimedOut,
}

/// Gateways that did not end, even when killed.
#[derive(Debug, thiserror::Error)]
#[error("{} did not end, even when killed", .stuck.join(", "))]
#[non_exhaustive]
pub struct TerminateError {
    /// Their ids. They are not in the group any more.
    pub stuck: Vec<String>,
}
