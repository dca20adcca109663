//! Bytes between a client and its worker, until either of them ends.

use std::future::pending;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use execnet_proto::{Fault, Frame, MAGIC};
use execnet_transport::{Ending, Guard, Link};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};

use super::down::Down;
use super::frames::Frames;
use super::greeting::Greeting;

/// Bytes read at once, and held in each direction but for the rest of a frame.
pub(super) const PIECE: usize = 64 << 10;
/// How long a worker may take to end itself once its link has ended, a second of which it gives its tasks.
const ENDING: Duration = Duration::from_millis(1_500);
/// How long a killed process may take to be gone.
const KILLED: Duration = Duration::from_secs(2);
/// How long a client may take to read the last words.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long it may take then to close its side, and what it may send until it does.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 1 << 20;

/// Limits of one connection.
#[derive(Debug)]
pub(super) struct Rules {
    /// The longest frame passed on.
    pub(super) max_frame: u32,
    /// The connection ends when nothing but PING and PONG has passed for so long.
    pub(super) idle: Option<Duration>,
}

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum Cause {
    /// The worker ended, or closed its side.
    Worker,
    /// The client left: it finished its side.
    Client,
    /// The client's connection broke.
    Broken(io::Error),
    /// The client broke its promise to show signs of life.
    Silent(Duration),
    /// Nobody had anything to say.
    Idle(Duration),
    /// The server ends.
    Shutdown,
}

impl Cause {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Worker => "the worker ended".to_owned(),
            Self::Client => "the client left".to_owned(),
            Self::Broken(error) => format!("the client's connection broke: {error}"),
            Self::Silent(time) => format!("the client showed no sign of life for {time:?}"),
            Self::Idle(time) => format!("nothing happened for {time:?}"),
            Self::Shutdown => "the server shuts down".to_owned(),
        }
    }

    /// Whether the client may still hear why.
    fn can_be_told(&self) -> bool {
        !matches!(self, Self::Broken(_) | Self::Silent(_))
    }
}

/// How a connection went.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) cause: Cause,
    pub(super) ending: Option<Ending>,
    pub(super) received: u64,
    pub(super) sent: u64,
}

/// Passes bytes on until either side ends, or `shutdown` does; then ends the other side, and tells the client
/// how its worker ended if the worker did not.
///
/// `source` is what the worker gets first, then what the client has said already.
pub(super) async fn relay<S>(
    client: S,
    link: Link,
    source: &[u8],
    greeting: &Greeting,
    rules: &Rules,
    shutdown: impl Future<Output = ()>,
) -> Report
where
    S: AsyncRead + AsyncWrite,
{
    let Link { reader, writer, stderr, guard, .. } = link;
    let (mut from_client, to_client) = tokio::io::split(client);
    let clock = Clock::new();
    let hello = &greeting.hello;
    let mut down = Down::new(reader, to_client, stderr.clone(), hello, rules.max_frame);
    let mut going_down = Box::pin(down.run(&clock));
    let mut going_up = Box::pin(up(&mut from_client, writer, source, &greeting.bytes, &clock));
    // Three times as long as it promised, it may be taken for dead.
    let silent = match hello.keepalive_ms {
        0 => None,
        promised => Some(Duration::from_millis(promised.saturating_mul(3))),
    };
    let mut down_ended = None;
    let cause = tokio::select! {
        up = &mut going_up => match up {
            Up::Finished => Cause::Client,
            Up::Broken(error) => Cause::Broken(error),
            Up::WorkerGone => Cause::Worker,
        },
        end = &mut going_down => {
            down_ended = Some(end.is_ok());
            match end {
                Ok(()) => Cause::Worker,
                Err(error) => Cause::Broken(error),
            }
        }
        time = clock.past(&clock.active, rules.idle) => Cause::Idle(time),
        time = clock.past(&clock.heard, silent) => Cause::Silent(time),
        () = shutdown => Cause::Shutdown,
    };
    // With this the worker's input ends, if it has not yet.
    drop(going_up);
    let ending = end(&guard, async {
        if down_ended.is_none() {
            down_ended = Some(going_down.as_mut().await.is_ok());
        }
    })
    .await;
    drop(going_down);
    if cause.can_be_told() {
        let fault = down.fault(&cause, ending, stderr.as_ref());
        let last_words = down.farewell(down_ended == Some(true), fault);
        if timeout(FAREWELL, last_words).await.is_ok_and(|said| said.is_ok()) {
            linger(from_client).await;
        }
    }
    let received = clock.received.load(Ordering::Relaxed);
    Report { cause, ending, received, sent: down.sent }
}

/// Waits for a worker whose input has ended, and for `output` meanwhile; kills what is left.
async fn end(guard: &Guard, output: impl Future<Output = ()>) -> Option<Ending> {
    let mut both = pin!(async {
        tokio::join!(output, guard.wait());
    });
    let ended = timeout(ENDING, both.as_mut()).await;
    guard.kill();
    if ended.is_err() {
        // Its output ends now as well, and only behind that the client can be told why.
        let _ = timeout(KILLED, both).await;
    }
    timeout(KILLED, guard.wait()).await.ok()
}

/// What passed last, for limits of silence.
pub(super) struct Clock {
    start: Instant,
    /// Milliseconds from the start: when a frame other than PING and PONG passed, in either direction; when the
    /// client said anything at all.
    pub(super) active: AtomicU64,
    heard: AtomicU64,
    received: AtomicU64,
}

impl Clock {
    fn new() -> Self {
        let zero = AtomicU64::default;
        Self { start: Instant::now(), active: zero(), heard: zero(), received: zero() }
    }

    pub(super) fn touch(&self, what: &AtomicU64) {
        let passed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        what.store(passed, Ordering::Relaxed);
    }

    /// Resolves when something has not been touched for so long.
    async fn past(&self, what: &AtomicU64, limit: Option<Duration>) -> Duration {
        let Some(limit) = limit else { return pending().await };
        loop {
            let last = Duration::from_millis(what.load(Ordering::Relaxed));
            let Some(until) = self.start.checked_add(last + limit) else { return pending().await };
            if until <= Instant::now() {
                return limit;
            }
            sleep_until(until).await;
        }
    }
}

/// How the way from the client to the worker ended.
enum Up {
    Finished,
    Broken(io::Error),
    WorkerGone,
}

async fn up(
    mut client: impl AsyncRead + Unpin,
    mut worker: impl AsyncWrite + Unpin,
    source: &[u8],
    greeting: &[u8],
    clock: &Clock,
) -> Up {
    let mut frames = Frames::default();
    frames.follow(greeting);
    for piece in [source, greeting] {
        if worker.write_all(piece).await.is_err() {
            return Up::WorkerGone;
        }
    }
    let mut piece = vec![0; PIECE];
    loop {
        let read = match client.read(&mut piece).await {
            Ok(0) => return Up::Finished,
            Ok(read) => read,
            Err(error) => return Up::Broken(error),
        };
        let bytes = piece.get(..read).unwrap_or_default();
        clock.received.fetch_add(read as u64, Ordering::Relaxed);
        clock.touch(&clock.heard);
        if frames.follow(bytes).1 {
            clock.touch(&clock.active);
        }
        if worker.write_all(bytes).await.is_err() {
            return Up::WorkerGone;
        }
    }
}

/// Says to a client that has no worker why it has none, and closes.
pub(super) async fn refuse(mut client: impl AsyncRead + AsyncWrite + Unpin, fault: Fault) {
    let mut last = BytesMut::from(&MAGIC[..]);
    Frame::Close { channel: None, fault: Some(fault) }.encode(&mut last);
    let words = async {
        while last.has_remaining() {
            client.write_buf(&mut last).await?;
        }
        client.flush().await?;
        client.shutdown().await
    };
    if timeout(FAREWELL, words).await.is_ok_and(|said| said.is_ok()) {
        linger(client).await;
    }
}

/// Lets the client read what was said last: closing while bytes of its are unread would reset the connection.
async fn linger(client: impl AsyncRead + Unpin) {
    let mut rest = client.take(LINGER_BYTES);
    let _ = timeout(LINGER, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
}
