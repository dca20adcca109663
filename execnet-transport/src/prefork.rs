use std::collections::{HashMap, VecDeque};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use bytes::Bytes;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot, watch};

use crate::pair;
use crate::{
    BoxFuture, ConnectError, Ending, FarEnd, Fault, Guard, Link, Popen, Stage, Stderr, Transport,
};

/// How long a warm process that has ended may take to be gone, and one that was told to.
const ENDING: Duration = Duration::from_secs(2);
/// Its last lines, for the error of one that did not start.
const STDERR_LINES: usize = 20;
/// Longer lines are not among those that it may say.
const MAX_LINE: usize = 4096;

/// Far ends that are forked from one warm process, in a few milliseconds each.
///
/// The first [`connect`](Transport::connect) starts the process; it lives as long as this, a clone, or a link that came from it. When it
/// has died, the next `connect` starts another.
///
/// # The warm process
///
/// It is started as any [`Popen`] is, and fed what it needs to become a forker. Its standard input is then a control
/// socket. It says `ready`. For a line `fork`, with two descriptors, it forks a process that leads a group of its own and uses them for
/// the link and standard error, and says `forked PID` or `failed WHY`. For `kill PID` and `interrupt PID` it signals the group, or the process. When a child ends it
/// kills the rest of the child's group, reaps the child, and says `ended PID STATUS`, a status as `waitpid` gives it. At the end of the
/// control socket it kills all of them and ends.
///
/// So a link's [`Guard`] tells the same endings, and kills as safely, as that of a [`Popen`]. Unlike there, a far end that outlives the warm process ends
/// as [`Ending::Unknown`], and a kill then only closes its link.
///
/// # What children share
///
/// Whatever the warm process has when it forks: environment, directory, and in Python the seed of `hash()`. Whether a fork is safe is the
/// warm process's to see to: it must have a single thread. On macOS system libraries may have threads of their own, which
/// make a fork without exec unsafe.
///
/// It needs a tokio runtime with I/O and time enabled.
#[must_use = "a transport does nothing before `connect`"]
#[derive(Clone)]
pub struct Prefork {
    interpreter: Popen,
    source: Bytes,
    warm: Arc<tokio::sync::Mutex<Option<Warm>>>,
}

impl Prefork {
    /// Forks from what `interpreter` starts, once `source` was written to it.
    pub fn new(interpreter: Popen, source: impl Into<Bytes>) -> Self {
        Self { interpreter, source: source.into(), warm: Arc::default() }
    }

    async fn fork(&self) -> Result<Link, ConnectError> {
        let warm = {
            let mut warm = self.warm.lock().await;
            match &*warm {
                Some(warm) if !warm.requests.is_closed() => warm.clone(),
                _ => warm.insert(self.start().await?).clone(),
            }
        };
        let system = |source: io::Error| {
            let message = format!("{}: cannot make a link", self.address());
            ConnectError::other(Stage::Spawn, Fault::System, message, Some(source.into()))
        };
        let (ours, theirs) = StdUnixStream::pair().map_err(system)?;
        let to_shut = ours.try_clone().map_err(system)?;
        let (reader, writer) = pair::split(ours).map_err(system)?;
        let (errors, stderr) = pipe::pipe().map_err(system)?;
        let errors = errors.into_blocking_fd().map_err(system)?;
        let (reply, answer) = oneshot::channel();
        let fds = Box::new([OwnedFd::from(theirs), errors]);
        let asked = warm.requests.send(Request::Fork { fds, reply });
        let answer = match asked {
            Ok(()) => answer.await.ok(),
            Err(_) => None,
        };
        let child = answer.unwrap_or_else(|| Err("it has ended".to_owned())).map_err(|why| {
            let message = format!("{}: no fork of the warm process: {why}", self.address());
            ConnectError::other(Stage::Spawn, Fault::System, message, None)
        })?;
        let address = format!("{} [pid {}]", self.address(), child.pid);
        let guard = Guard::new(Worker { address, child, requests: warm.requests, link: to_shut });
        Ok(Link::new(reader, writer, guard).with_stderr(Stderr::new(stderr)))
    }

    async fn start(&self) -> Result<Warm, ConnectError> {
        let child = self.interpreter.spawn()?;
        let stderr = Stderr::new(child.stderr);
        let guard = child.guard;
        let started = async {
            child.stream.set_nonblocking(true)?;
            let mut control = UnixStream::from_std(child.stream)?;
            control.write_all(&self.source).await?;
            let mut lines = Lines::default();
            // What an interpreter's start prints comes before.
            while let Some(line) = lines.next(&control).await? {
                if line == "ready" {
                    return Ok((control, lines));
                }
            }
            Err(io::Error::from(io::ErrorKind::UnexpectedEof))
        };
        match started.await {
            Ok((control, lines)) => Ok(Warm::attend(control, lines, guard)),
            Err(source) => {
                let ending = tokio::time::timeout(ENDING, guard.wait()).await.ok();
                let _ = tokio::time::timeout(ENDING / 4, stderr.closed()).await;
                let mut message = format!("{}: the warm process did not start", self.address());
                if let Some(ending) = ending {
                    message += &format!(": {ending}");
                }
                for line in stderr.tail_lines(STDERR_LINES) {
                    message += &format!("\n  {line}");
                }
                let source = Some(source.into());
                Err(ConnectError::other(Stage::Bootstrap, Fault::FarEnd, message, source))
            }
        }
    }
}

impl Transport for Prefork {
    fn address(&self) -> String {
        self.interpreter.address()
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        Box::pin(self.fork())
    }
}

impl fmt::Debug for Prefork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prefork").field("interpreter", &self.interpreter).finish_non_exhaustive()
    }
}

/// The way to a warm process. It ends when the last of these is dropped.
#[derive(Clone)]
struct Warm {
    requests: mpsc::UnboundedSender<Request>,
}

enum Request {
    Fork { fds: Box<[OwnedFd; 2]>, reply: oneshot::Sender<Result<Child, String>> },
    Signal { verb: &'static str, pid: u32 },
}

struct Child {
    pid: u32,
    ending: watch::Receiver<Option<Ending>>,
}

#[derive(Default)]
struct State {
    /// Who waits for an answer, in the order of the requests.
    replies: VecDeque<oneshot::Sender<Result<Child, String>>>,
    children: HashMap<u32, watch::Sender<Option<Ending>>>,
}

impl Warm {
    fn attend(control: UnixStream, lines: Lines, guard: Guard) -> Self {
        let (requests, receiver) = mpsc::unbounded_channel();
        let control = Arc::new(control);
        let state = Arc::new(Mutex::new(State::default()));
        tokio::spawn(ask(control.clone(), receiver, state.clone()));
        tokio::spawn(listen(control, lines, guard, state, requests.downgrade()));
        Self { requests }
    }
}

/// Passes requests on; when nobody can make any more, tells the process to end.
async fn ask(
    control: Arc<UnixStream>,
    mut requests: mpsc::UnboundedReceiver<Request>,
    state: Arc<Mutex<State>>,
) {
    while let Some(request) = requests.recv().await {
        let sent = match request {
            Request::Fork { fds, reply } => {
                lock(&state).replies.push_back(reply);
                send(&control, "fork\n", Some(&fds)).await
            }
            Request::Signal { verb, pid } => send(&control, &format!("{verb} {pid}\n"), None).await,
        };
        if sent.is_err() {
            return; // its other task sees the end
        }
    }
    let _ = rustix::net::shutdown(&*control, rustix::net::Shutdown::Write);
}

/// Hears what becomes of the children, until the process ends.
async fn listen(
    control: Arc<UnixStream>,
    mut lines: Lines,
    guard: Guard,
    state: Arc<Mutex<State>>,
    requests: mpsc::WeakUnboundedSender<Request>,
) {
    while let Ok(Some(line)) = lines.next(&control).await {
        let mut words = line.split(' ');
        let verb = words.next();
        let mut number = || words.next().and_then(|word| word.parse::<u32>().ok());
        match (verb, number()) {
            (Some("forked"), Some(pid)) => {
                let (tell, ending) = watch::channel(None);
                let reply = {
                    let mut state = lock(&state);
                    state.children.insert(pid, tell);
                    state.replies.pop_front()
                };
                let unwanted =
                    reply.is_none_or(|reply| reply.send(Ok(Child { pid, ending })).is_err());
                if unwanted && let Some(requests) = requests.upgrade() {
                    let _ = requests.send(Request::Signal { verb: "kill", pid });
                }
            }
            (Some("ended"), Some(pid)) => {
                let status = number().and_then(|status| i32::try_from(status).ok());
                if let Some(tell) = lock(&state).children.remove(&pid) {
                    let ending = status.map(|status| Ending::from(ExitStatus::from_raw(status)));
                    tell.send_replace(ending);
                }
            }
            (Some("failed"), _) => {
                if let Some(reply) = lock(&state).replies.pop_front() {
                    let _ = reply.send(Err(line["failed".len()..].trim().to_owned()));
                }
            }
            _ => break,
        }
    }
    // Both kinds of waiters learn that there is nobody to tell them.
    let left = std::mem::take(&mut *lock(&state));
    drop(left);
    let _ = rustix::net::shutdown(&*control, rustix::net::Shutdown::Both);
    drop(control);
    // It kills its children now, for which it must live.
    let _ = tokio::time::timeout(ENDING, guard.wait()).await;
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn send(control: &UnixStream, line: &str, fds: Option<&[OwnedFd; 2]>) -> io::Result<()> {
    let mut rest = line.as_bytes();
    let mut fds = fds;
    while !rest.is_empty() {
        let sent = control
            .async_io(Interest::WRITABLE, || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
                let mut ancillary = SendAncillaryBuffer::new(&mut space);
                let borrowed = fds.map(|[link, stderr]| [link.as_fd(), stderr.as_fd()]);
                if let Some(borrowed) = &borrowed {
                    ancillary.push(SendAncillaryMessage::ScmRights(borrowed));
                }
                let pieces = [io::IoSlice::new(rest)];
                Ok(sendmsg(control, &pieces, &mut ancillary, SendFlags::empty())?)
            })
            .await?;
        fds = None;
        rest = rest.get(sent..).unwrap_or_default();
    }
    Ok(())
}

/// Cuts what the warm process says into lines.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
}

impl Lines {
    /// The next line, `None` at the end.
    async fn next(&mut self, control: &UnixStream) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let rest = self.bytes.split_off(end + 1);
                let line = std::mem::replace(&mut self.bytes, rest);
                return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
            if self.bytes.len() > MAX_LINE {
                return Err(io::ErrorKind::InvalidData.into());
            }
            control.readable().await?;
            let mut chunk = [0; 1024];
            match control.try_read(&mut chunk) {
                Ok(0) => return Ok(None),
                Ok(read) => self.bytes.extend(chunk.iter().take(read)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// One forked process.
struct Worker {
    address: String,
    child: Child,
    requests: mpsc::UnboundedSender<Request>,
    link: StdUnixStream,
}

impl FarEnd for Worker {
    fn address(&self) -> &str {
        &self.address
    }

    fn pid(&self) -> Option<u32> {
        Some(self.child.pid)
    }

    fn wait(&self) -> BoxFuture<'_, Ending> {
        let mut ending = self.child.ending.clone();
        Box::pin(async move {
            ending.wait_for(Option::is_some).await.ok().and_then(|e| *e).unwrap_or(Ending::Unknown)
        })
    }

    fn kill(&self) {
        let _ = self.requests.send(Request::Signal { verb: "kill", pid: self.child.pid });
        // In case that the one who is to do it is dead.
        let _ = self.link.shutdown(Shutdown::Both);
    }

    fn interrupt(&self) {
        let _ = self.requests.send(Request::Signal { verb: "interrupt", pid: self.child.pid });
    }
}
