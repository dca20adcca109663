//! Standard input and output as the link, and programs that are their own agents.

use std::env;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio::{dup2_stdin, dup2_stdout, stderr, stdin, stdout};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::runtime;

use super::hello::Scope;
use super::{Agent, ServeError, connection};
use crate::AGENT_ARGUMENT;

/// Turns this process into an agent if a gateway has started it as one, and does not come back then. To be called first
/// thing in `main`: the same program is then its own far end, here and on other hosts.
///
/// The sign is [`AGENT_ARGUMENT`](crate::AGENT_ARGUMENT) as the only argument.
///
/// ```no_run
/// use execnet_agent::{Agent, run_if_agent};
///
/// fn main() {
///     run_if_agent(|| {
///         Agent::builder()
///             .task("double", |_, n: i64| async move { Ok::<_, String>(n * 2) })
///             .build()
///     });
///     // From here on it is the controller: `Group::builder().agent_program(std::env::current_exe()?)`.
/// }
/// ```
///
/// May be called inside a tokio runtime: the agent has one of its own.
pub fn run_if_agent(agent: impl FnOnce() -> Agent) {
    let mut arguments = env::args_os().skip(1);
    if arguments.next().is_some_and(|argument| argument == AGENT_ARGUMENT)
        && arguments.next().is_none()
    {
        let agent = agent();
        // A runtime cannot be run within another one, but beside it.
        let ended = thread::spawn(move || run(&agent)).join();
        std::process::exit(i32::from(ended.map_or(true, |code| code != ExitCode::SUCCESS)));
    }
}

fn run(agent: &Agent) -> ExitCode {
    let served = runtime::Builder::new_multi_thread().enable_all().build();
    match served.map_err(ServeError::from).and_then(|runtime| runtime.block_on(agent.stdio())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.report());
            ExitCode::FAILURE
        }
    }
}

/// `eprintln!` would panic when the controller, and with it the reader of our standard error, is gone.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

pub(super) async fn serve(agent: &Agent) -> Result<(), ServeError> {
    let (reader, writer) = take()?;
    let blocking = Arc::<AtomicUsize>::default();
    let result = connection::serve(agent, reader, writer, Scope::Process, blocking.clone()).await;
    let left = blocking.load(Ordering::Relaxed);
    if left > 0 {
        // Nothing may outlive the controller, and no thread can be ended from outside.
        complain(&format!("execnet-agent: exiting although {left} blocking task(s) go on"));
        std::process::exit(1);
    }
    result
}

/// How long the runtime may take to end the process once nobody is at the other end: longer than the second that tasks are
/// given.
const ORPHANED: Duration = Duration::from_secs(4);

/// Ends the process some time after the link has broken, whatever blocks the runtime: an async task that never yields
/// would otherwise live on, and nobody would know.
#[cfg(target_os = "linux")]
fn watch(link: OwnedFd) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};

    let wait = move || {
        // Only broken links end this poll: bytes are not waited for.
        let mut fds = [PollFd::new(&link, PollFlags::RDHUP)];
        while poll(&mut fds, None) == Err(rustix::io::Errno::INTR) {}
        drop(link);
        thread::sleep(ORPHANED);
        complain("execnet-agent: exiting although tasks block the runtime");
        std::process::exit(1);
    };
    thread::Builder::new().name("execnet-link".to_owned()).spawn(wait).map(drop)
}

/// Elsewhere no poll waits for a broken link alone.
#[cfg(not(target_os = "linux"))]
fn watch(_: OwnedFd) -> io::Result<()> {
    Ok(())
}

type Halves = (Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>);

/// Keeps descriptors 0 and 1 for the protocol; whatever reads or prints gets /dev/null and standard error in their
/// place.
fn take() -> Result<Halves, ServeError> {
    if rustix::termios::isatty(stdin()) {
        return Err(ServeError::Terminal);
    }
    let system = io::Error::from;
    let input = fcntl_dupfd_cloexec(stdin(), 3).map_err(system)?;
    watch(input.try_clone()?)?;
    let output = fcntl_dupfd_cloexec(stdout(), 3).map_err(system)?;
    let null = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    match null {
        Ok(null) => dup2_stdin(&null).map_err(system)?,
        // A bare root has no /dev: one end of a pipe that nobody writes reads as empty, too.
        Err(_) => dup2_stdin(rustix::pipe::pipe().map_err(system)?.0).map_err(system)?,
    }
    dup2_stdout(stderr()).map_err(system)?;
    Ok((reader(input)?, writer(output)?))
}

fn reader(fd: OwnedFd) -> Result<Box<dyn AsyncRead + Send + Unpin>, ServeError> {
    Ok(match kind(&fd)? {
        FileType::Socket => Box::new(socket(fd)?),
        FileType::Fifo => Box::new(pipe::Receiver::from_owned_fd(fd)?),
        _ => Box::new(tokio::fs::File::from_std(File::from(fd))),
    })
}

fn writer(fd: OwnedFd) -> Result<Box<dyn AsyncWrite + Send + Unpin>, ServeError> {
    Ok(match kind(&fd)? {
        FileType::Socket => Box::new(socket(fd)?),
        FileType::Fifo => Box::new(pipe::Sender::from_owned_fd(fd)?),
        _ => Box::new(tokio::fs::File::from_std(File::from(fd))),
    })
}

fn kind(fd: impl AsFd) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(fd)?.st_mode))
}

/// A stream socket of any family: all that is done with it is reading, writing and shutting down.
fn socket(fd: OwnedFd) -> io::Result<UnixStream> {
    let stream = StdUnixStream::from(fd);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}
