//! One far end.

mod starting;
pub(crate) use self::starting::Starting;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use execnet_channel::{ConnectionError, Message, Mux, OpenError};
use execnet_proto::{ChannelId, Hello, Terminate, Value, cbor};
use execnet_transport::{Ending, Guard, Stderr};
use execnet_xspec::XSpec;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::connect::compiled;
use crate::{Channel, ExecError, GatewayLost, OutputStream, Source};

/// How long a killed process may take to be gone.
const KILLED: Duration = Duration::from_secs(2);

/// An interpreter somewhere, and the connection to it. Cheap to clone; all clones are the same far end.
///
/// Made by [`Group::make_gateway`](crate::Group::make_gateway), which keeps one clone. When the last one has been
/// dropped, channels included, its process is killed.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    id: String,
    spec: XSpec,
    mux: Mux,
    guard: Arc<Guard>,
    stderr: Stderr,
    info: Info,
    /// Both sides read and write CPython's marshal.
    marshal: bool,
    exiting: Arc<AtomicBool>,
    lost: watch::Receiver<Option<GatewayLost>>,
}

/// What a far end tells of itself when it starts.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Info {
    /// Path of the interpreter.
    pub executable: String,
    /// Its version, such as `3.11.7`.
    pub version: String,
    /// Which Python it is, such as `cpython`.
    pub implementation: String,
    /// Its `sys.platform`, such as `linux`.
    pub platform: String,
    /// The working directory, after `chdir=`.
    pub cwd: String,
    /// The process id, on its machine.
    pub pid: u64,
    /// All that it told, these included.
    pub facts: BTreeMap<String, Value>,
}

impl Info {
    fn new(hello: Hello) -> Self {
        let facts = hello.facts;
        let text = |key| facts.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            executable: text("executable"),
            version: text("version"),
            implementation: text("implementation"),
            platform: text("platform"),
            cwd: text("cwd"),
            pid: facts.get("pid").and_then(Value::as_u64).unwrap_or_default(),
            facts,
        }
    }
}

impl Gateway {
    /// The gateway's id: unique in its group, and known to the worker.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The specification it was made from.
    #[must_use]
    pub fn spec(&self) -> &XSpec {
        &self.0.spec
    }

    /// The far end in words, such as `popen python3 [pid 4711]`.
    #[must_use]
    pub fn address(&self) -> &str {
        self.0.guard.address()
    }

    /// What the far end told of itself. Nothing is asked: it came with its first words.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.0.info
    }

    /// Runs source code on the far end: text, or a [`Source`] with a file, a function, arguments.
    ///
    /// Returns as soon as the request is on its way. What the code raises, a syntax error too, comes
    /// out of the channel. Cancel safe: dropping the future runs nothing.
    ///
    /// ```no_run
    /// # async fn example(gw: execnet::Gateway) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut channel = gw.remote_exec("for x in channel: channel.send(x * 2)").await?;
    /// channel.send(&21).await?;
    /// let n: i64 = channel.receive().await?;
    /// assert_eq!(n, 42);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ExecError`]: nothing was run.
    pub async fn remote_exec(&self, source: impl Into<Source>) -> Result<Channel, ExecError> {
        self.request(source.into().into_request()?).await
    }

    /// Asks the far end to run something: the channel on which it does.
    pub(crate) async fn request(&self, request: Bytes) -> Result<Channel, ExecError> {
        Ok(Channel::new(self.ask(request).await?, self.clone()))
    }

    /// The same, for what is to be said there in the multiplexer's own terms.
    pub(crate) async fn ask(&self, request: Bytes) -> Result<execnet_channel::Channel, ExecError> {
        let mut channel = match self.0.mux.exec() {
            Ok(channel) => channel,
            Err(OpenError::Connection(_)) => return Err(self.lost().await.into()),
            Err(error) => return Err(ExecError::Open(error)),
        };
        tracing::debug!(gateway = self.id(), channel = %channel.id(), bytes = request.len(), "exec");
        match channel.send(Message::cbor(request)).await {
            Ok(()) => Ok(channel),
            Err(execnet_channel::SendError::Connection(_)) => Err(self.lost().await.into()),
            Err(error) => Err(ExecError::Send(error)),
        }
    }

    /// Opens a channel on which nothing runs: it becomes useful when it is sent over another one.
    ///
    /// # Errors
    /// Too many channels are open, or the gateway has ended.
    pub fn new_channel(&self) -> Result<Channel, OpenError> {
        let channel = self.0.mux.open()?;
        tracing::debug!(gateway = self.id(), channel = %channel.id(), "open");
        Ok(Channel::new(channel, self.clone()))
    }

    /// Takes a channel that remote code has opened and that a received [`Value::Channel`] names. `None` when
    /// there is no such channel, or it was taken before; one that was opened here is the one you have.
    ///
    /// Receiving a type with a [`Channel`] in it does the same.
    #[must_use]
    pub fn channel(&self, id: ChannelId) -> Option<Channel> {
        Some(Channel::new(self.0.mux.claim(id)?, self.clone()))
    }

    /// Whether items may travel as marshal.
    pub(crate) fn reads_marshal(&self) -> bool {
        self.0.marshal
    }

    pub(crate) fn downgrade(&self) -> WeakGateway {
        WeakGateway(Arc::downgrade(&self.0))
    }

    /// Whether both are the same far end.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Asks the worker how it is; it answers while tasks run, and before what was sent just now has begun. A dict with at least `channels`,
    /// `executing`, `queued` and `execmodel`. Cancel safe.
    ///
    /// # Errors
    /// The gateway has ended.
    pub async fn status(&self) -> Result<Value, GatewayLost> {
        match self.0.mux.peer_status().await {
            // The multiplexer has checked the frame, not the map in it.
            Ok(answer) => Ok(cbor::decode(&answer).unwrap_or(Value::None)),
            Err(_) => Err(self.lost().await),
        }
    }

    /// Round-trip time to the worker's reader, which answers while tasks run. Cancel safe.
    ///
    /// # Errors
    /// The gateway has ended.
    pub async fn ping(&self) -> Result<Duration, GatewayLost> {
        match self.0.mux.ping().await {
            Ok(time) => Ok(time),
            Err(_) => Err(self.lost().await),
        }
    }

    /// What the far end prints, from what is still kept of the start on, beside what the group's [`Output`](crate::Output) gets.
    #[must_use]
    pub fn output(&self) -> OutputStream {
        OutputStream::new(&self.0.stderr)
    }

    /// The last lines that the far end printed.
    #[must_use]
    pub fn last_output(&self, lines: usize) -> Vec<String> {
        self.0.stderr.tail_lines(lines)
    }

    /// Ends the far end: tasks that run, and those already sent, may go on for three quarters of `patience`, then are
    /// interrupted, and killed when all of it has passed. An idle one ends at once, and so does a task that waits for input: after what was
    /// sent before this, there is no more.
    ///
    /// Comes back when the process is gone, with how it ended; `None` when there is no process, or when not even killing helped
    /// within 2 s. Dropping the future does not take the request back: the worker ends within `patience` all the same, only nobody here
    /// kills it should it be stuck, until the last handle is dropped.
    pub async fn exit(&self, patience: Duration) -> Option<Ending> {
        self.0.exiting.store(true, Ordering::Relaxed);
        tracing::debug!(gateway = self.id(), ?patience, "exit");
        compiled::ends(self);
        let grace = patience.mul_f32(0.75);
        let millis = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        self.0.mux.terminate(Terminate {
            grace_ms: millis(grace),
            kill_ms: millis(patience.saturating_sub(grace)),
        });
        if let Ok(lost) = timeout(patience, self.lost()).await {
            return lost.ending();
        }
        // Without any patience it was meant so.
        if !patience.is_zero() {
            tracing::warn!(gateway = self.id(), ?patience, "still alive: killing it");
        }
        self.kill();
        timeout(KILLED, self.lost()).await.ok()?.ending()
    }

    /// Kills the far end at once, with all processes of its group.
    pub fn kill(&self) {
        self.0.guard.kill();
    }

    /// Waits until the gateway has ended, and tells how. Cancel safe; every caller gets the same.
    pub async fn lost(&self) -> GatewayLost {
        let mut lost = self.0.lost.clone();
        let found = lost.wait_for(Option::is_some).await.map(|lost| lost.clone());
        // The monitor tells before it goes, unless its runtime was shut down under it.
        found.ok().flatten().unwrap_or_else(|| {
            let cause = self.0.mux.error().unwrap_or(ConnectionError::ClosedHere);
            GatewayLost::new(self.id().to_owned(), self.address().to_owned(), None, vec![], cause)
        })
    }

    /// Whether the gateway has ended.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.0.mux.error().is_some()
    }
}

/// Does not keep its gateway alive.
pub(crate) struct WeakGateway(Weak<Inner>);

impl WeakGateway {
    pub(crate) fn upgrade(&self) -> Option<Gateway> {
        self.0.upgrade().map(Gateway)
    }

    pub(crate) fn is(&self, gateway: &Gateway) -> bool {
        self.0.as_ptr() == Arc::as_ptr(&gateway.0)
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Gateway {} {}>", self.id(), self.address())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.guard.kill();
        // What cannot be killed from here, as below sudo or in a session of its own, ends with its link.
        self.mux.close(None);
    }
}
