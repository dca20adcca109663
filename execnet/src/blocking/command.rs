//! Programs on a gateway's machine.

use std::fmt;
use std::time::Duration;

use execnet_transport::Ending;

use super::runtime::{wait, wait_timeout};
use super::{ChannelReader, ChannelWriter, Gateway};
use crate::{CommandError, CommandOutput, Stdio};

/// A program to run on a gateway's machine: [`crate::Command`] for threads.
///
/// ```no_run
/// # fn example(gw: execnet::blocking::Gateway) -> Result<(), Box<dyn std::error::Error>> {
/// let listing = gw.command(["ls", "-l"]).current_dir("/var/log").output()?;
/// println!("{}", String::from_utf8_lossy(&listing.stdout));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a command does nothing before it is started"]
pub struct Command(crate::Command);

/// A program that runs on a gateway's machine: [`crate::Process`] for threads. Dropping it kills the program.
pub struct Process {
    inner: crate::Process,
    /// Its standard input, if that is piped. Dropping it is the end of that.
    pub stdin: Option<ChannelWriter>,
    /// Its standard output, if that is piped. Dropping it breaks the program's pipe.
    pub stdout: Option<ChannelReader>,
    /// Its standard error, if that is piped. Dropping it breaks the program's pipe.
    pub stderr: Option<ChannelReader>,
}

impl Gateway {
    /// A program to run on this gateway's machine; see [`crate::Gateway::command`].
    pub fn command<A: Into<String>>(&self, argv: impl IntoIterator<Item = A>) -> Command {
        Command(self.0.command(argv))
    }
}

impl Command {
    /// One more argument.
    pub fn arg(self, arg: impl Into<String>) -> Self {
        Self(self.0.arg(arg))
    }

    /// More arguments.
    pub fn args<A: Into<String>>(self, args: impl IntoIterator<Item = A>) -> Self {
        Self(self.0.args(args))
    }

    /// The directory to start in; by default the gateway's.
    pub fn current_dir(self, path: impl Into<String>) -> Self {
        Self(self.0.current_dir(path))
    }

    /// Sets a variable of the program's environment, which is otherwise the gateway's.
    pub fn env(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        Self(self.0.env(name, value))
    }

    /// Takes a variable away from the program's environment.
    pub fn env_remove(self, name: impl Into<String>) -> Self {
        Self(self.0.env_remove(name))
    }

    /// Standard input; see [`crate::Command::stdin`].
    pub fn stdin(self, stdio: Stdio) -> Self {
        Self(self.0.stdin(stdio))
    }

    /// Standard output; see [`crate::Command::stdout`].
    pub fn stdout(self, stdio: Stdio) -> Self {
        Self(self.0.stdout(stdio))
    }

    /// Standard error; see [`crate::Command::stderr`].
    pub fn stderr(self, stdio: Stdio) -> Self {
        Self(self.0.stderr(stdio))
    }

    /// Starts the program, and comes back when it runs.
    ///
    /// # Errors
    /// As [`crate::Command::spawn`].
    pub fn spawn(self) -> Result<Process, CommandError> {
        wait(self.0.spawn()).map(Process::new)
    }

    /// The same; `None` when it did not run within `limit`. It is killed then.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn spawn_timeout(self, limit: Duration) -> Result<Option<Process>, CommandError> {
        let started = wait_timeout(limit, self.0.spawn()).transpose()?;
        Ok(started.map(Process::new))
    }

    /// Runs the program to its end, and collects what it writes, all of it in memory.
    ///
    /// # Errors
    /// As [`crate::Command::output`].
    pub fn output(self) -> Result<CommandOutput, CommandError> {
        wait(self.0.output())
    }

    /// The same; `None` when it has not ended within `limit`. It is killed then.
    ///
    /// # Errors
    /// As [`output`](Self::output).
    pub fn output_timeout(self, limit: Duration) -> Result<Option<CommandOutput>, CommandError> {
        wait_timeout(limit, self.0.output()).transpose()
    }

    /// Runs the program to its end.
    ///
    /// # Errors
    /// As [`crate::Command::status`].
    pub fn status(self) -> Result<Ending, CommandError> {
        wait(self.0.status())
    }

    /// The same; `None` when it has not ended within `limit`. It is killed then.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub fn status_timeout(self, limit: Duration) -> Result<Option<Ending>, CommandError> {
        wait_timeout(limit, self.0.status()).transpose()
    }
}

impl Process {
    fn new(mut inner: crate::Process) -> Self {
        let stdin = inner.stdin.take().map(ChannelWriter::of);
        let stdout = inner.stdout.take().map(ChannelReader::of);
        let stderr = inner.stderr.take().map(ChannelReader::of);
        Self { inner, stdin, stdout, stderr }
    }

    /// The program's process id, on its machine.
    #[must_use]
    pub fn pid(&self) -> u64 {
        self.inner.pid()
    }

    /// The gateway on whose machine it runs.
    #[must_use]
    pub fn gateway(&self) -> Gateway {
        Gateway(self.inner.gateway().clone())
    }

    /// Waits for the program's end, after closing its standard input unless that was taken.
    ///
    /// # Errors
    /// The gateway ended before the program did.
    pub fn wait(&mut self) -> Result<Ending, CommandError> {
        self.stdin = None;
        wait(self.inner.wait())
    }

    /// The same; `None` when it has not ended within `limit`. It goes on.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&mut self, limit: Duration) -> Result<Option<Ending>, CommandError> {
        self.stdin = None;
        wait_timeout(limit, self.inner.wait()).transpose()
    }

    /// Closes standard input, collects what the program writes, and waits for its end.
    ///
    /// # Errors
    /// The gateway ended before the program did.
    pub fn wait_with_output(mut self) -> Result<CommandOutput, CommandError> {
        self.stdin = None;
        self.inner.stdout = self.stdout.take().map(ChannelReader::into_async);
        self.inner.stderr = self.stderr.take().map(ChannelReader::into_async);
        wait(self.inner.wait_with_output())
    }

    /// Sends a signal, by its number on that machine, to the program's process group.
    ///
    /// # Errors
    /// The gateway has ended.
    pub fn signal(&mut self, number: i32) -> Result<(), CommandError> {
        wait(self.inner.signal(number))
    }

    /// Sends SIGINT to the program's process group, as Ctrl-C at a terminal does.
    pub fn interrupt(&self) {
        self.inner.interrupt();
    }

    /// Kills the program's process group with SIGKILL, and waits for the end.
    ///
    /// # Errors
    /// The gateway has ended.
    pub fn kill(&mut self) -> Result<Ending, CommandError> {
        wait(self.inner.kill())
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
