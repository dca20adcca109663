//! One connection: what the controller asks for runs here, until it ends.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use execnet_channel::{Channel, ChannelId, Incoming, Mux, Request, Side};
use execnet_proto::{Fault, Format, Terminate, Value, cbor};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use super::hello::{self, Scope};
use super::request::{self, Head};
use super::task::Task;
use super::{Agent, ServeError, call, command, reach};

/// The end of the stream is a TERMINATE like this (PROTOCOL.md §8).
const LOST: Terminate = Terminate { grace_ms: 0, kill_ms: 1000 };
/// How long the last messages may take to leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// What all that runs on a connection shares.
pub(super) struct Connection {
    agent: Agent,
    id: String,
    mux: Mux,
    /// Channels that the controller has opened, until something takes them.
    unclaimed: Mutex<HashMap<ChannelId, Channel>>,
    /// What runs, and how often it was interrupted.
    running: Mutex<HashMap<ChannelId, watch::Sender<u32>>>,
    /// True from TERMINATE on: no more input comes.
    ending: watch::Sender<bool>,
    executing: AtomicUsize,
    /// Connections: they hold up nobody's end.
    relays: watch::Sender<usize>,
    /// Threads of blocking tasks, which nobody can end.
    blocking: Arc<AtomicUsize>,
}

/// Counts for as long as it lives.
pub(super) struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One connection, for as long as it lives.
pub(super) struct Relay<'a>(&'a watch::Sender<usize>);

impl Drop for Relay<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// The same for what outlives the connection.
pub(super) struct Blocking(Arc<AtomicUsize>);

impl Drop for Blocking {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves the link to its end. `blocking` counts the threads that are at work, also those that still are when this is over.
pub(super) async fn serve<R, W>(
    agent: &Agent,
    mut reader: R,
    mut writer: W,
    scope: Scope,
    blocking: Arc<AtomicUsize>,
) -> Result<(), ServeError>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let mut config = agent.0.config.clone();
    let start = match hello::read(&mut reader).await {
        Ok(None) => return Ok(()),
        Ok(Some((hello, seen))) => {
            // A controller that promised to be heard and is silent for three times as long is gone.
            if let Some(promised) = NonZeroU64::new(hello.keepalive_ms) {
                let limit = Duration::from_millis(promised.get().saturating_mul(3));
                config.idle_timeout.get_or_insert(limit);
            }
            hello::apply(&hello.settings, scope).map(|()| (hello.settings, seen))
        }
        Err(error) => Err(error),
    };
    let (settings, seen) = match start {
        Ok(start) => start,
        Err(error) => {
            hello::refuse(&mut writer, &error).await;
            return Err(error);
        }
    };
    config.hello.software = concat!("execnet-agent ", env!("CARGO_PKG_VERSION")).to_owned();
    config.hello.facts = hello::facts(&settings);
    // As in the Python worker. Without a handler, a process of the background, which inherits that the signal is ignored,
    // would pass that on to every command.
    let sigint = match scope {
        Scope::Process => Some(signal(SignalKind::interrupt())?),
        _ => None,
    };
    let (mux, incoming, driver) = Mux::new(seen.chain(reader), writer, Side::FarEnd, config)?;
    let mut driver = tokio::spawn(driver);
    let _abort = AbortOnDrop(driver.abort_handle());
    let connection = Arc::new(Connection {
        agent: agent.clone(),
        id: settings.get("id").and_then(Value::as_str).unwrap_or_default().to_owned(),
        mux,
        unclaimed: Mutex::default(),
        running: Mutex::default(),
        ending: watch::Sender::new(false),
        executing: AtomicUsize::new(0),
        relays: watch::Sender::new(0),
        blocking,
    });
    connection.attend(incoming, sigint).await;
    // With the last handle the farewell follows what was sent.
    drop(connection);
    match timeout(FAREWELL, &mut driver).await {
        Ok(Ok(result)) => result.map_err(ServeError::from),
        // Whoever does not read any more has no use for the rest.
        Ok(Err(_)) | Err(_) => Ok(()),
    }
}

async fn received(signal: &mut Option<Signal>) -> Option<()> {
    signal.as_mut()?.recv().await
}

/// The driver must not outlive a `serve` that was dropped.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// When what runs is interrupted, and when it is given up on.
#[derive(Clone, Copy)]
struct Deadlines {
    interrupt: Instant,
    kill: Instant,
}

impl Deadlines {
    /// A later TERMINATE may only hasten the end.
    fn hastened(before: Option<Self>, terminate: Terminate) -> Self {
        let millis = |ms: u32| Duration::from_millis(ms.into());
        let interrupt = Instant::now() + millis(terminate.grace_ms);
        let kill = interrupt + millis(terminate.kill_ms);
        match before {
            None => Self { interrupt, kill },
            Some(before) => {
                Self { interrupt: interrupt.min(before.interrupt), kill: kill.min(before.kill) }
            }
        }
    }
}

impl Connection {
    /// Does what the controller asks for, until nothing is left to be done. A SIGINT interrupts all that runs.
    async fn attend(self: &Arc<Self>, mut incoming: Incoming, mut sigint: Option<Signal>) {
        let mut jobs = JoinSet::new();
        let mut deadlines: Option<Deadlines> = None;
        let mut linked = true;
        let mut interrupted = false;
        let mut relays = self.relays.subscribe();
        while deadlines.is_none() || jobs.len() > *relays.borrow_and_update() {
            let at = deadlines.unwrap_or_else(|| {
                let now = Instant::now();
                Deadlines { interrupt: now, kill: now }
            });
            tokio::select! {
                request = incoming.next(), if linked => match request {
                    Some(Request::Terminate(terminate)) => {
                        deadlines = Some(Deadlines::hastened(deadlines, terminate));
                        self.ending.send_replace(true);
                    }
                    Some(Request::Opened { mut channel, exec: true }) if deadlines.is_some() => {
                        let message = "the agent ends, it takes no new tasks";
                        channel.close_with_error(Fault::new("OSError", message));
                    }
                    Some(Request::Opened { channel, exec: true }) => {
                        let interrupts = watch::Sender::new(0);
                        let interrupted = interrupts.subscribe();
                        self.running().insert(channel.id(), interrupts);
                        jobs.spawn(self.clone().run(channel, interrupted));
                    }
                    Some(Request::Opened { channel, exec: false }) => self.keep(channel),
                    Some(Request::Interrupt(id)) => self.interrupt(|running| running == id),
                    Some(Request::Status) => self.mux.answer_status(self.status()),
                    Some(_) => {}
                    None => {
                        linked = false;
                        deadlines = Some(Deadlines::hastened(deadlines, LOST));
                        self.ending.send_replace(true);
                    }
                },
                Some(()) = received(&mut sigint) => self.interrupt(|_| true),
                Some(_) = jobs.join_next() => {}
                Ok(()) = relays.changed() => {}
                () = sleep_until(at.interrupt), if deadlines.is_some() && !interrupted => {
                    interrupted = true;
                    self.interrupt(|_| true);
                }
                () = sleep_until(at.kill), if deadlines.is_some() => break,
            }
        }
        if !jobs.is_empty() {
            jobs.shutdown().await;
        }
        if self.blocking.load(Ordering::Relaxed) > 0 {
            // Their threads hold handles, so the connection would never be over.
            self.mux.close(None);
        }
    }

    /// Reads the request on a channel, and does what it says.
    async fn run(self: Arc<Self>, mut channel: Channel, interrupts: watch::Receiver<u32>) {
        let id = channel.id();
        let _registered = Registered { connection: self.clone(), id };
        let refuse = |mut channel: Channel, text: String| {
            channel.close_with_error(Fault::new("ValueError", text));
        };
        let request = match channel.recv().await {
            Ok(Some(message)) if message.format == Format::Cbor => message,
            Ok(Some(_)) => {
                return refuse(channel, "the request is no map in the format cbor".into());
            }
            Ok(None) | Err(_) => {
                return refuse(channel, "the channel ended before its request".into());
            }
        };
        let kind = match request::parse::<Head>(&request) {
            Ok(head) => head.kind,
            Err(fault) => return channel.close_with_error(fault),
        };
        match kind.as_str() {
            "call" => call::run(self, channel, request, interrupts).await,
            "command" => command::run(self, channel, request, interrupts).await,
            "connect" => reach::run(self, channel, request, interrupts).await,
            other => refuse(
                channel,
                format!("a request of the kind {other:?}; known are: call, command, connect"),
            ),
        }
    }

    fn interrupt(&self, which: impl Fn(ChannelId) -> bool) {
        for (_, count) in self.running().iter().filter(|(id, _)| which(**id)) {
            count.send_modify(|count| *count += 1);
        }
    }

    fn status(&self) -> bytes::Bytes {
        let status = self.mux.status();
        let count = |count: usize| Value::from(i64::try_from(count).unwrap_or(i64::MAX));
        let waiting = status.waiting_for_credit.into_iter().take(1000);
        let waiting = waiting.map(|id| Value::from(i64::from(id.get())));
        let map = Value::dict([
            ("channels", count(status.channels)),
            ("executing", count(self.executing.load(Ordering::Relaxed))),
            ("queued", Value::Int(0)),
            ("execmodel", "native".into()),
            ("waiting_for_credit", Value::List(waiting.collect())),
        ]);
        cbor::encode(&map).unwrap_or_default()
    }

    /// Keeps a channel that the controller has opened until a request or an item names it.
    fn keep(&self, channel: Channel) {
        let mut unclaimed = lock(&self.unclaimed);
        // One that was closed again cannot be named any more.
        if unclaimed.len() == unclaimed.capacity() {
            unclaimed.retain(|_, channel| !channel.is_closed());
        }
        unclaimed.insert(channel.id(), channel);
    }

    pub(super) fn claim(&self, id: ChannelId) -> Option<Channel> {
        lock(&self.unclaimed).remove(&id)
    }

    /// The channel that a request names.
    pub(super) fn named(&self, what: &str, id: ChannelId) -> Result<Channel, Fault> {
        self.claim(id).ok_or_else(|| {
            Fault::new("ValueError", format!("{what}: there is no channel {id}, or it is in use"))
        })
    }

    /// Waits until no more input will come: the agent is to end.
    pub(super) async fn input_ends(&self) {
        let mut ending = self.ending.subscribe();
        // This keeps the sender alive.
        let _ = ending.wait_for(|&ending| ending).await;
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn mux(&self) -> &Mux {
        &self.mux
    }

    pub(super) fn tasks(&self) -> &BTreeMap<String, Task> {
        &self.agent.0.tasks
    }

    pub(super) fn cancel_grace(&self) -> Duration {
        self.agent.0.cancel_grace
    }

    pub(super) fn executing(&self) -> Counted<'_> {
        Counted::new(&self.executing)
    }

    /// Says that what runs is a connection.
    pub(super) fn relay(&self) -> Relay<'_> {
        self.relays.send_modify(|count| *count += 1);
        Relay(&self.relays)
    }

    pub(super) fn blocking(&self) -> Blocking {
        self.blocking.fetch_add(1, Ordering::Relaxed);
        Blocking(self.blocking.clone())
    }

    fn running(&self) -> MutexGuard<'_, HashMap<ChannelId, watch::Sender<u32>>> {
        lock(&self.running)
    }
}

/// Takes what ran off the list, however it ended.
struct Registered {
    connection: Arc<Connection>,
    id: ChannelId,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.connection.running().remove(&self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
