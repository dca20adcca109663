//! Programs that run on a gateway's machine.

use std::fmt;

use execnet_channel::{Message, ReceiveError, SendError};
use execnet_proto::cbor;
use futures_util::future::try_join3;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

use crate::{ChannelReader, ChannelWriter, CommandError, Ending, Gateway, Sender};

/// The number of SIGKILL, which is the same everywhere.
pub(crate) const SIGKILL: i32 = 9;

/// A program that runs on a gateway's machine, from [`Command::spawn`](crate::Command::spawn).
///
/// **Dropping it kills the program**, with all that is left of its process group. So does the end of the gateway.
pub struct Process {
    /// Its standard input, if that is piped. Dropping it, or shutting it down, is the end of that. Writes fail with
    /// [`BrokenPipe`](std::io::ErrorKind::BrokenPipe) when the program reads no more.
    pub stdin: Option<ChannelWriter>,
    /// Its standard output, if that is piped. Dropping it breaks the program's pipe.
    pub stdout: Option<ChannelReader>,
    /// Its standard error, if that is piped. Dropping it breaks the program's pipe.
    pub stderr: Option<ChannelReader>,
    pub(crate) pid: u64,
    pub(crate) gateway: Gateway,
    /// The request's own channel: signals there, the end from there.
    pub(crate) control: execnet_channel::Channel,
    pub(crate) ending: Option<Ending>,
    pub(crate) _discarded: [Option<Sender>; 2],
}

/// What a program left: how it ended, and what it wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommandOutput {
    /// How it ended.
    pub status: Ending,
    /// What it wrote to standard output, if that was piped.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, if that was piped.
    pub stderr: Vec<u8>,
}

impl Process {
    /// The program's process id, on its machine.
    #[must_use]
    pub fn pid(&self) -> u64 {
        self.pid
    }

    /// The gateway on whose machine it runs.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Waits for the program's end, after closing its standard input unless that was taken. Output need not be read for the status to
    /// arrive, but a program that cannot write does not end. Cancel safe; after the end it gives the same answer at once.
    ///
    /// # Errors
    /// The gateway ended before the program did.
    pub async fn wait(&mut self) -> Result<Ending, CommandError> {
        self.stdin = None;
        self.ended().await
    }

    /// Closes standard input, collects what the program writes, and waits for its end.
    ///
    /// # Errors
    /// The gateway ended before the program did.
    pub async fn wait_with_output(mut self) -> Result<CommandOutput, CommandError> {
        self.stdin = None;
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        let (status, stdout, stderr) =
            try_join3(self.ended(), read_all(stdout), read_all(stderr)).await?;
        Ok(CommandOutput { status, stdout, stderr })
    }

    /// Sends a signal, by its number on that machine, to the program's process group. Nothing happens when the program has ended.
    ///
    /// # Errors
    /// The gateway has ended.
    pub async fn signal(&mut self, number: i32) -> Result<(), CommandError> {
        if self.ending.is_some() {
            return Ok(());
        }
        match self.control.send(signal(number)?).await {
            Err(SendError::Connection(_)) => Err(self.gateway.lost().await.into()),
            // It has ended, which is still to be received.
            _ => Ok(()),
        }
    }

    /// Sends SIGINT to the program's process group, as Ctrl-C at a terminal does.
    pub fn interrupt(&self) {
        self.control.interrupt();
    }

    /// Kills the program's process group with SIGKILL, and waits for the end.
    ///
    /// # Errors
    /// The gateway has ended.
    pub async fn kill(&mut self) -> Result<Ending, CommandError> {
        self.signal(SIGKILL).await?;
        self.wait().await
    }

    async fn ended(&mut self) -> Result<Ending, CommandError> {
        if let Some(ending) = self.ending {
            return Ok(ending);
        }
        match self.control.recv_value::<Ended>().await {
            Ok(Some(ended)) => Ok(*self.ending.insert(ended.into())),
            other => Err(unexpected(other.err(), &self.gateway).await),
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Process {} of {:?}>", self.pid, self.gateway)
    }
}

async fn read_all(reader: Option<ChannelReader>) -> Result<Vec<u8>, CommandError> {
    let mut bytes = Vec::new();
    if let Some(mut reader) = reader {
        reader.read_to_end(&mut bytes).await.map_err(CommandError::Read)?;
    }
    Ok(bytes)
}

/// What the far end says first.
#[derive(Deserialize)]
pub(crate) struct Started {
    pub(crate) pid: u64,
}

/// What it says last; neither, where something else there took the status.
#[derive(Deserialize)]
pub(crate) struct Ended {
    exit: Option<i32>,
    signal: Option<i32>,
    #[serde(default)]
    core_dumped: bool,
}

impl From<Ended> for Ending {
    fn from(Ended { exit, signal, core_dumped }: Ended) -> Self {
        match (exit, signal) {
            (Some(status), _) => Self::Exited(status),
            (None, Some(signal)) => Self::Signaled { signal, core_dumped },
            (None, None) => Self::Unknown,
        }
    }
}

/// The message that asks for a signal.
pub(crate) fn signal(number: i32) -> Result<Message, cbor::EncodeError> {
    #[derive(Serialize)]
    struct Order {
        signal: i32,
    }
    Ok(Message::cbor(cbor::to_bytes(&Order { signal: number })?))
}

/// Something else than what had to come on the request's channel.
pub(crate) async fn unexpected(error: Option<ReceiveError>, gateway: &Gateway) -> CommandError {
    match error {
        None => CommandError::NoStatus { gateway: gateway.id().to_owned() },
        Some(ReceiveError::Connection(_)) => gateway.lost().await.into(),
        Some(ReceiveError::Remote(fault)) => CommandError::Failed(fault.into()),
        Some(error) => CommandError::Answer(error),
    }
}
