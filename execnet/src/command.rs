//! Programs on a gateway's machine.

use std::collections::BTreeMap;

use execnet_proto::{ChannelId, CommandRequest, Request};
use execnet_transport::Bootstrap;

use crate::process::{CommandOutput, Process, Started, unexpected};
use crate::{Channel, ChannelReader, CommandError, Ending, Gateway, OpenError, Sender};

/// A program to run on a gateway's machine, from [`Gateway::command`]: made like [`std::process::Command`], and started by
/// [`spawn`](Self::spawn), [`output`](Self::output) or [`status`](Self::status).
///
/// ```no_run
/// # async fn example(gw: execnet::Gateway) -> Result<(), Box<dyn std::error::Error>> {
/// let listing = gw.command(["ls", "-l"]).current_dir("/var/log").output().await?;
/// assert!(listing.status.success());
/// println!("{}", String::from_utf8_lossy(&listing.stdout));
///
/// // A folder, from there to here.
/// let mut tar = gw.command(["tar", "c", "."]).spawn().await?;
/// let mut archive = Vec::new();
/// tokio::io::copy(&mut tar.stdout.take().unwrap(), &mut archive).await?;
/// println!("tar: {}", tar.wait().await?);
/// # Ok(()) }
/// ```
///
/// No shell is involved; `["sh", "-c", "…"]` is one. The program has a session and a process group of its own there, and no terminal. It runs beside the gateway's
/// tasks: it occupies no thread of theirs, and a full pipe of its own holds up nothing else.
///
/// The streams have backpressure: a program that writes more than is read waits, as one that reads nothing makes the writer wait.
#[derive(Clone, Debug)]
#[must_use = "a command does nothing before it is started"]
pub struct Command {
    gateway: Gateway,
    argv: Vec<String>,
    /// What messages call it.
    label: Option<String>,
    bootstrap: Bootstrap,
    current_dir: Option<String>,
    env: BTreeMap<String, Option<String>>,
    stdin: Option<Stdio>,
    stdout: Option<Stdio>,
    stderr: Option<Stdio>,
}

/// Where a stream of a [`Command`] leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stdio {
    /// Here: the [`Process`] has the other end.
    Piped,
    /// To where all goes that the gateway's programs print: the group's [`Output`](crate::Output). There is no input to inherit, so standard
    /// input is empty.
    Inherit,
    /// Nowhere. Standard input is empty.
    Null,
}

impl Gateway {
    /// A program to run on this gateway's machine: its name, which is looked up on PATH there, and its arguments.
    pub fn command<A: Into<String>>(&self, argv: impl IntoIterator<Item = A>) -> Command {
        Command {
            gateway: self.clone(),
            argv: argv.into_iter().map(Into::into).collect(),
            label: None,
            bootstrap: Bootstrap::Python,
            current_dir: None,
            env: BTreeMap::new(),
            stdin: None,
            stdout: None,
            stderr: None,
        }
    }
}

impl Command {
    /// One more argument.
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.argv.push(arg.into());
        self
    }

    /// More arguments.
    pub fn args<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.argv.extend(args.into_iter().map(Into::into));
        self
    }

    /// What messages call it, where it is the [`Transport`](execnet_transport::Transport) of a gateway; by default the program.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// What it wants on its link first, where it is the transport of a gateway; by default it is an interpreter ([`Bootstrap::Python`]).
    pub fn bootstrap(mut self, bootstrap: Bootstrap) -> Self {
        self.bootstrap = bootstrap;
        self
    }

    /// The directory to start in; by default the gateway's.
    pub fn current_dir(mut self, path: impl Into<String>) -> Self {
        self.current_dir = Some(path.into());
        self
    }

    /// Sets a variable of the program's environment, which is otherwise the gateway's.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), Some(value.into()));
        self
    }

    /// Takes a variable away from the program's environment.
    pub fn env_remove(mut self, name: impl Into<String>) -> Self {
        self.env.insert(name.into(), None);
        self
    }

    /// Standard input. By default piped for [`spawn`](Self::spawn), and empty for the others.
    pub fn stdin(mut self, stdio: Stdio) -> Self {
        self.stdin = Some(stdio);
        self
    }

    /// Standard output. By default piped, and inherited for [`status`](Self::status).
    pub fn stdout(mut self, stdio: Stdio) -> Self {
        self.stdout = Some(stdio);
        self
    }

    /// Standard error. By default inherited, and piped for [`output`](Self::output).
    pub fn stderr(mut self, stdio: Stdio) -> Self {
        self.stderr = Some(stdio);
        self
    }

    /// Starts the program, and comes back when it runs.
    ///
    /// Dropping the future ends a program that has been started.
    ///
    /// # Errors
    /// [`CommandError::NotStarted`] tells why it cannot be started; the others, that nobody could be asked.
    pub async fn spawn(self) -> Result<Process, CommandError> {
        let stdin = self.stdin.unwrap_or(Stdio::Piped);
        let stdout = self.stdout.unwrap_or(Stdio::Piped);
        let stderr = self.stderr.unwrap_or(Stdio::Inherit);
        self.start(stdin, stdout, stderr).await
    }

    /// Runs the program to its end, and collects what it writes, all of it in memory.
    ///
    /// Dropping the future ends the program.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn), or the gateway ended meanwhile. A program that fails is no error: look at the status.
    pub async fn output(self) -> Result<CommandOutput, CommandError> {
        let stdin = self.stdin.unwrap_or(Stdio::Null);
        let stdout = self.stdout.unwrap_or(Stdio::Piped);
        let stderr = self.stderr.unwrap_or(Stdio::Piped);
        self.start(stdin, stdout, stderr).await?.wait_with_output().await
    }

    /// Runs the program to its end.
    ///
    /// Dropping the future ends the program.
    ///
    /// # Errors
    /// As [`output`](Self::output).
    pub async fn status(self) -> Result<Ending, CommandError> {
        let stdin = self.stdin.unwrap_or(Stdio::Null);
        let stdout = self.stdout.unwrap_or(Stdio::Inherit);
        let stderr = self.stderr.unwrap_or(Stdio::Inherit);
        self.start(stdin, stdout, stderr).await?.wait().await
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    pub(crate) fn wants(&self) -> Bootstrap {
        self.bootstrap
    }

    pub(crate) fn name(&self) -> &str {
        self.label.as_ref().or(self.argv.first()).map_or("", String::as_str)
    }

    async fn start(
        self,
        stdin: Stdio,
        stdout: Stdio,
        stderr: Stdio,
    ) -> Result<Process, CommandError> {
        let Self { gateway, argv, current_dir: cwd, env, .. } = self;
        let program = argv.first().cloned().unwrap_or_default();
        let stdin = (stdin == Stdio::Piped).then(|| gateway.new_channel()).transpose()?;
        let stdout = End::new(&gateway, stdout)?;
        let stderr = End::new(&gateway, stderr)?;
        let request = Request::Command(CommandRequest {
            argv,
            cwd,
            env,
            stdin: stdin.as_ref().map(Channel::id),
            stdout: stdout.id,
            stderr: stderr.id,
        });
        let mut control = gateway.ask(request.to_bytes()?).await?;
        let started = match control.recv_value::<Started>().await {
            Ok(Some(started)) => started,
            Err(execnet_channel::ReceiveError::Remote(fault)) => {
                let gateway = gateway.id().to_owned();
                return Err(CommandError::NotStarted { program, gateway, fault: fault.into() });
            }
            other => return Err(unexpected(other.err(), &gateway).await),
        };
        tracing::debug!(gateway = gateway.id(), program, pid = started.pid, "command started");
        Ok(Process {
            // Nothing comes back on it.
            stdin: stdin.map(|channel| channel.split().0.into_writer()),
            stdout: stdout.reader,
            stderr: stderr.reader,
            pid: started.pid,
            gateway,
            control,
            ending: None,
            _discarded: [stdout.discarded, stderr.discarded],
        })
    }
}

/// Our end of an output.
#[derive(Default)]
struct End {
    id: Option<ChannelId>,
    reader: Option<ChannelReader>,
    /// What keeps a channel open that nobody reads: closed, it would break the program's pipe.
    discarded: Option<Sender>,
}

impl End {
    fn new(gateway: &Gateway, stdio: Stdio) -> Result<Self, OpenError> {
        if stdio == Stdio::Inherit {
            return Ok(Self::default());
        }
        let channel = gateway.new_channel()?;
        let id = Some(channel.id());
        let (sender, receiver) = channel.split();
        Ok(match stdio {
            Stdio::Null => Self { id, discarded: Some(sender), ..Self::default() },
            _ => Self { id, reader: Some(receiver.into_reader()), ..Self::default() },
        })
    }
}
