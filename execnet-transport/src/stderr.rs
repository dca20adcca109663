use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_core::Stream;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{Notify, watch};

/// A far end's standard error: always drained, its last part kept, and live for who wants it.
///
/// A task reads it from the start of the link until its end, whether or not anybody looks, so the
/// far end never stands still for want of a reader. It goes on when all handles are dropped. What
/// was read last is kept, up to a limit, for the message that explains why the far end is gone.
///
/// Handles are cheap to clone, and stay useful after the link.
#[derive(Clone)]
pub struct Stderr {
    shared: Arc<Shared>,
    /// Its sender is dropped when the draining is over.
    draining: watch::Receiver<()>,
}

impl Stderr {
    /// How many bytes are kept unless [`with_limit`](Self::with_limit) says otherwise: 64 KiB.
    pub const DEFAULT_LIMIT: usize = 64 * 1024;

    /// Drains `reader`, keeping the last [`DEFAULT_LIMIT`](Self::DEFAULT_LIMIT) bytes. An error of
    /// the reader counts as its end.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn new(reader: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self::with_limit(reader, Self::DEFAULT_LIMIT)
    }

    /// Drains `reader`, keeping the last `limit` bytes, and at least one.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn with_limit(reader: impl AsyncRead + Send + Unpin + 'static, limit: usize) -> Self {
        let (open, draining) = watch::channel(());
        let shared = Arc::new(Shared::new(limit.max(1)));
        let drain = Drain { shared: shared.clone(), _open: open };
        tokio::spawn(drain.run(reader));
        Self { shared, draining }
    }

    /// The last bytes, as text; what is not UTF-8 shows as U+FFFD.
    pub fn tail(&self) -> String {
        let mut state = self.shared.lock();
        String::from_utf8_lossy(state.tail().0).into_owned()
    }

    /// The last `count` lines of what is kept, without their line ends.
    ///
    /// A first line whose beginning is no longer kept is left out, unless it is all there is.
    pub fn tail_lines(&self, count: usize) -> Vec<String> {
        let mut state = self.shared.lock();
        let (bytes, cut) = state.tail();
        let text = String::from_utf8_lossy(bytes);
        let mut lines: Vec<_> = text.lines().collect();
        if cut && lines.len() > 1 {
            lines.remove(0);
        }
        let skipped = lines.len().saturating_sub(count);
        lines.into_iter().skip(skipped).map(str::to_owned).collect()
    }

    /// Follows the far end's standard error.
    ///
    /// The stream begins with the first byte that is still kept and that no other stream has
    /// yielded. So the first one misses nothing of the start, and one made after another was
    /// dropped goes on where that stopped. Several at a time each get everything from then on.
    ///
    /// A live stream has backpressure: once it lags behind by the limit, draining waits for it, and
    /// a far end that writes on will wait too. Read it or drop it; dropped, it holds up nothing.
    pub fn subscribe(&self) -> StderrStream {
        let id = self.shared.lock().subscribe();
        StderrStream { shared: self.shared.clone(), id }
    }

    /// Adds what the far end printed and sent by another way than its standard error: from here on it is treated alike. Waits for room as the
    /// draining does.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: all of it is added or nothing.
    pub async fn push(&self, bytes: &[u8]) {
        self.shared.room().await;
        self.shared.append(bytes);
    }

    /// Waits until standard error has reached its end and all of it has been read.
    ///
    /// Every process that inherited it holds it open, and a stream that is not read holds up the
    /// reading, so this may be later than the end of the far end, or never: bound it with a time
    /// limit.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; callable any number of times.
    pub async fn closed(&self) {
        // Nothing is ever sent: the only change is that the sender is gone.
        let _ = self.draining.clone().changed().await;
    }
}

impl fmt::Debug for Stderr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stderr").finish_non_exhaustive()
    }
}

/// The live bytes of a [`Stderr`], from [`Stderr::subscribe`]: a `Stream` of non-empty chunks.
///
/// Chunks are cut wherever the reading was, also within a line or a character.
#[must_use = "a stream that is kept and not read makes its far end wait"]
pub struct StderrStream {
    shared: Arc<Shared>,
    id: u64,
}

impl StderrStream {
    /// The next chunk, or `None` once standard error has ended and all of it was given.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a chunk is taken only when it is returned.
    pub async fn next(&mut self) -> Option<Bytes> {
        poll_fn(|cx| self.shared.poll_next(self.id, cx)).await
    }
}

impl Stream for StderrStream {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.shared.poll_next(self.id, cx)
    }
}

impl Drop for StderrStream {
    fn drop(&mut self) {
        self.shared.lock().streams.remove(&self.id);
        self.shared.room.notify_waiters();
    }
}

impl fmt::Debug for StderrStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StderrStream").finish_non_exhaustive()
    }
}

/// Bytes read at once. Also how far what is kept may go over the limit for a stream's sake.
const CHUNK: usize = 8 * 1024;

struct Drain {
    shared: Arc<Shared>,
    _open: watch::Sender<()>,
}

impl Drain {
    async fn run(self, mut reader: impl AsyncRead + Unpin) {
        let mut chunk = vec![0; CHUNK];
        loop {
            self.shared.room().await;
            match reader.read(&mut chunk).await {
                Ok(0) | Err(_) => return,
                Ok(read) => self.shared.append(chunk.get(..read).unwrap_or_default()),
            }
        }
    }
}

impl Drop for Drain {
    /// Also when the runtime is shut down, so that nobody waits for what will not come.
    fn drop(&mut self) {
        self.shared.change(|state| state.ended = true);
    }
}

struct Shared {
    state: Mutex<State>,
    /// Told when a stream has read on or is gone.
    room: Notify,
}

impl Shared {
    fn new(limit: usize) -> Self {
        let state = State {
            limit,
            kept: VecDeque::new(),
            end: 0,
            starts_line: true,
            yielded: 0,
            streams: BTreeMap::new(),
            next_id: 0,
            ended: false,
        };
        Self { state: Mutex::new(state), room: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn room(&self) {
        loop {
            // Made before the look, it misses nothing that happens after it.
            let change = self.room.notified();
            if !self.lock().is_full() {
                return;
            }
            change.await;
        }
    }

    fn append(&self, bytes: &[u8]) {
        self.change(|state| {
            state.kept.extend(bytes);
            state.end += bytes.len() as u64;
            state.trim();
        });
    }

    /// Makes a change that streams wait for.
    fn change(&self, how: impl FnOnce(&mut State)) {
        let wakers: Vec<Waker> = {
            let mut state = self.lock();
            how(&mut state);
            state.streams.values_mut().filter_map(|cursor| cursor.waker.take()).collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    fn poll_next(&self, id: u64, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.lock();
        let (end, ended) = (state.end, state.ended);
        let Some(cursor) = state.streams.get_mut(&id) else { return Poll::Ready(None) };
        let unread = (end - cursor.position) as usize;
        if unread > 0 {
            cursor.position = end;
            let skip = state.kept.len() - unread;
            let chunk = state.kept.range(skip..).copied().collect();
            state.yielded = end;
            state.trim();
            self.room.notify_waiters();
            Poll::Ready(Some(chunk))
        } else if ended {
            Poll::Ready(None)
        } else {
            cursor.waker = Some(cx.waker().clone());
            Poll::Pending
        }
    }
}

/// What is kept, and who has read how far. Positions count bytes from the start of the link.
struct State {
    limit: usize,
    /// The last `limit` bytes, and before them what a stream has yet to read.
    kept: VecDeque<u8>,
    /// Just behind the last byte of `kept`.
    end: u64,
    /// Whether the first byte of `kept` begins a line.
    starts_line: bool,
    /// Just behind the last byte that any stream has yielded.
    yielded: u64,
    streams: BTreeMap<u64, Cursor>,
    next_id: u64,
    ended: bool,
}

/// One stream's place.
struct Cursor {
    position: u64,
    waker: Option<Waker>,
}

impl State {
    /// The last bytes within the limit, and whether they begin within a line.
    fn tail(&mut self) -> (&[u8], bool) {
        let skip = self.kept.len().saturating_sub(self.limit);
        let bytes = &*self.kept.make_contiguous();
        let (before, tail) = bytes.split_at_checked(skip).unwrap_or((&[], bytes));
        let starts_line = before.last().map_or(self.starts_line, |byte| *byte == b'\n');
        (tail, !starts_line)
    }

    fn subscribe(&mut self) -> u64 {
        let start = self.end - self.kept.len() as u64;
        let cursor = Cursor { position: self.yielded.max(start), waker: None };
        let id = self.next_id;
        self.next_id += 1;
        self.streams.insert(id, cursor);
        id
    }

    fn is_full(&self) -> bool {
        self.unread() >= self.limit
    }

    /// How many of the kept bytes the slowest stream has yet to read.
    fn unread(&self) -> usize {
        let slowest = self.streams.values().map(|cursor| cursor.position).min();
        slowest.map_or(0, |position| (self.end - position) as usize)
    }

    /// Forgets what is neither within the limit nor still to be read.
    fn trim(&mut self) {
        let excess = self.kept.len().saturating_sub(self.limit.max(self.unread()));
        if let Some(last) = self.kept.drain(..excess).next_back() {
            self.starts_line = last == b'\n';
        }
    }
}
