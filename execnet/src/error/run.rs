//! Why source, tasks and programs did not run.

use std::io;
use std::path::PathBuf;

use execnet_channel::OpenError;
use execnet_proto::cbor;

use super::{GatewayLost, ReceiveError, RemoteError};

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
