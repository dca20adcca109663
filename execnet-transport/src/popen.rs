use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fmt, io};

use tokio::net::unix::pipe;

use crate::pair;
use crate::process::Process;
use crate::{Bootstrap, BoxFuture, ConnectError, Guard, Link, SpawnFault, Stderr, Transport};

/// A far end that is a child process: an interpreter, or any command that leads to one.
///
/// ```no_run
/// use execnet_transport::{Popen, Transport};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let local = Popen::new(["python3", "-u", "-c", "…"]).connect().await?;
/// let inside = Popen::new(["docker", "exec", "-i", "web", "python3", "-u", "-c", "…"]);
/// # Ok(())
/// # }
/// ```
///
/// # The process
///
/// The program is looked up on `PATH` unless its name has a slash, and started without a shell. It
/// inherits this program's environment and directory, with the changes made here. It leads a
/// process group of its own, so a Ctrl-C at the terminal does not reach it.
///
/// Its standard input and output are one socket, which carries several times what a pipe does. To
/// the program a socket is as good as a pipe, save that it cannot be opened by a name such as
/// `/dev/stdin`. Standard error is a pipe, read by the link's [`Stderr`].
///
/// # Its end
///
/// When the process ends, whatever is left of its group is killed with `SIGKILL`. The same happens
/// to the whole group when the [`Guard`] is killed or dropped, and when the runtime is shut down
/// (a thread then collects the exit status). What survives: processes that moved to a group or
/// session of their own, as daemons do; those that this user may not signal, as below `sudo`; and
/// everything, if this program itself dies by `SIGKILL` or leaves through `exit`. All of those
/// still read end-of-file from the link, so a far end should end at end-of-file.
///
/// The exit status is told correctly as long as nothing else in this program waits for any child
/// or ignores `SIGCHLD`; if something does, it is [`Ending::Unknown`](crate::Ending::Unknown), and
/// no signal is sent to a number that may have a new owner.
///
/// # Connecting
///
/// [`connect`](Transport::connect) has no await in it: it starts the process and returns. That
/// takes some tenths of a millisecond, whatever this program's size, but it does block until the
/// system has found and loaded the program. One thing makes it slow: a `PATH` set with
/// [`env`](Self::env) for a program named without a slash. The system library then has to copy
/// this program's page tables, which was measured at 50 ms for each GiB it uses. A full path to
/// the program avoids that.
///
/// It needs a tokio runtime with I/O enabled, and panics without one.
#[must_use = "a transport does nothing before `connect`"]
#[derive(Clone)]
pub struct Popen {
    argv: Vec<OsString>,
    /// In the order of the calls; `None` removes.
    environment: Vec<(OsString, Option<OsString>)>,
    directory: Option<PathBuf>,
    label: Option<String>,
    bootstrap: Bootstrap,
    stderr_limit: usize,
}

impl Popen {
    /// A child process to be started with these arguments, of which the first is the program.
    ///
    /// The far end is taken for an interpreter ([`Bootstrap::Python`]) unless
    /// [`bootstrap`](Self::bootstrap) says otherwise.
    pub fn new<A: Into<OsString>>(argv: impl IntoIterator<Item = A>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            environment: Vec::new(),
            directory: None,
            label: None,
            bootstrap: Bootstrap::Python,
            stderr_limit: Stderr::DEFAULT_LIMIT,
        }
    }

    /// Sets an environment variable of the process.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), Some(value.into())));
        self
    }

    /// Takes an environment variable away from the process.
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), None));
        self
    }

    /// Sets the directory to start in. A program named by a relative path is looked up from there.
    pub fn current_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.directory = Some(path.into());
        self
    }

    /// Sets what messages call this far end; by default `popen` and the program.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Sets what the far end wants before it speaks the protocol.
    pub fn bootstrap(mut self, bootstrap: Bootstrap) -> Self {
        self.bootstrap = bootstrap;
        self
    }

    /// Sets how many bytes of standard error are kept; by default [`Stderr::DEFAULT_LIMIT`].
    pub fn stderr_limit(mut self, bytes: usize) -> Self {
        self.stderr_limit = bytes;
        self
    }

    fn program(&self) -> &OsStr {
        self.argv.first().map_or(OsStr::new(""), OsString::as_os_str)
    }

    /// Starts the process, for a transport that reads its standard error in a way of its own.
    pub(crate) fn spawn(&self) -> Result<Child, ConnectError> {
        let program = self.program().to_string_lossy().into_owned();
        if self.argv.is_empty() {
            let source = io::ErrorKind::InvalidInput.into();
            return Err(ConnectError::Spawn { program, fault: SpawnFault::EmptyArgv, source });
        }
        self.start().map_err(|source| {
            let fault = self.diagnose(&source);
            ConnectError::Spawn { program, fault, source }
        })
    }

    /// All that can fail beforehand is done beforehand.
    fn start(&self) -> io::Result<Child> {
        let (stream, theirs) = UnixStream::pair()?;
        let (errors, stderr) = pipe::pipe()?;
        let stdout = OwnedFd::from(theirs);
        let stdin = stdout.try_clone()?;

        let mut command = self.command();
        // A group of its own is what makes it possible to end all that it starts.
        command.process_group(0);
        command.stdin(stdin).stdout(stdout).stderr(errors.into_blocking_fd()?);
        let child = command.spawn()?;
        // It holds our copies of the child's descriptors: with them open there is no end-of-file.
        drop(command);

        let guard = Guard::new(Process::watch(child, &self.address())?);
        Ok(Child { stream, stderr, guard })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.program());
        command.args(self.argv.iter().skip(1));
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
    }

    /// What the system's answer to a failed start comes from.
    fn diagnose(&self, error: &io::Error) -> SpawnFault {
        use io::ErrorKind;

        let here = self.directory.as_deref().unwrap_or(Path::new("."));
        let path = here.join(self.program());
        // The system does not say whether it missed the program or the directory.
        let enters = here.join(".").metadata();
        match (error.kind(), &self.directory) {
            // Found before the system was asked.
            (ErrorKind::InvalidInput, _) if error.raw_os_error().is_none() => SpawnFault::NulByte,
            (ErrorKind::ArgumentListTooLong, _) => SpawnFault::TooLong,
            (
                ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::NotADirectory,
                Some(directory),
            ) if enters.is_err() => SpawnFault::Directory(directory.clone()),
            (ErrorKind::NotFound, _) if !self.program().as_bytes().contains(&b'/') => {
                SpawnFault::NotOnPath
            }
            (ErrorKind::NotFound, _) if path.exists() => SpawnFault::NoInterpreter,
            (ErrorKind::NotFound | ErrorKind::NotADirectory, _) => SpawnFault::NoSuchFile,
            (ErrorKind::PermissionDenied, _) => SpawnFault::NotExecutable,
            _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
                SpawnFault::BadFormat
            }
            _ => SpawnFault::System,
        }
    }
}

/// A process that was started, in its parts.
pub(crate) struct Child {
    pub(crate) stream: UnixStream,
    pub(crate) stderr: pipe::Receiver,
    pub(crate) guard: Guard,
}

impl Transport for Popen {
    fn address(&self) -> String {
        self.label.clone().unwrap_or_else(|| format!("popen {}", self.program().display()))
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        Box::pin(async {
            let Child { stream, stderr, guard } = self.spawn()?;
            let system = |source| ConnectError::system(self.program().to_string_lossy(), source);
            let (reader, writer) = pair::split(stream).map_err(system)?;
            Ok(Link::new(reader, writer, guard)
                .with_stderr(Stderr::with_limit(stderr, self.stderr_limit))
                .with_bootstrap(self.bootstrap))
        })
    }
}

impl fmt::Debug for Popen {
    /// Without the values of the environment, which are where secrets are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.environment.iter().map(|(name, _)| name).collect();
        f.debug_struct("Popen")
            .field("argv", &self.argv)
            .field("environment", &names)
            .field("directory", &self.directory)
            .field("label", &self.label)
            .field("bootstrap", &self.bootstrap)
            .finish_non_exhaustive()
    }
}
