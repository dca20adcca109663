//! What the driver and the handles of one connection share: the core, and who waits.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use execnet_proto::{ChannelId, Fault};
use rustc_hash::FxHashMap;
use tokio::runtime::Handle;

use crate::core::{Connection, Event};
use crate::lending::Lending;
use crate::waiting::{Ticket, Waiting};

/// The state behind all handles.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Beside the lock, to be looked at, and inside, to be counted up.
    told: Arc<AtomicU64>,
    /// Where the driver was made.
    pub(crate) runtime: Handle,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) core: Connection,
    driver: Sleeper,
    /// It has nothing to write: whoever changes that wakes it.
    driver_idle: bool,
    pub(crate) lending: Lending,
    readers: FxHashMap<ChannelId, Reader>,
    /// How often readers were told that there is something.
    told: Arc<AtomicU64>,
    writers: FxHashMap<ChannelId, Waker>,
    /// The two halves of a channel may both wait for its close.
    closers: FxHashMap<ChannelId, Vec<Waker>>,
    pub(crate) waiting: Waiting,
    pub(crate) incoming: VecDeque<Event>,
    incoming_waker: Option<Waker>,
    /// Nobody will take what comes in.
    pub(crate) incoming_gone: bool,
    /// What the events in `incoming` weigh together.
    queued: usize,
    /// Wakers that nobody needs any more, until [`unlock`]: with the last of its wakers a task may go, and a channel with it, which wants
    /// the lock.
    pub(crate) old: Vec<Waker>,
}

/// What the driver is about.
#[derive(Debug)]
enum Sleeper {
    /// It runs, or is about to.
    Awake,
    Asleep(Waker),
    /// It sleeps, and a sender has its waker for the time of a write.
    Borrowed {
        /// It is to be woken afterwards, whatever for.
        wanted: bool,
    },
}

#[derive(Debug)]
struct Reader {
    waker: Waker,
    /// It comes back: it stays when it was woken.
    stays: bool,
}

/// Requests that nobody takes stop the reading when they weigh so much.
const QUEUE: usize = 256 << 10;

/// What an event in the queue weighs: bytes of output, and a little for each of what else may come
/// without end. Channels and questions are bounded by the core.
fn weight(event: &Event) -> usize {
    const EACH: usize = size_of::<Event>();
    match event {
        Event::Output { bytes, .. } => bytes.len() + EACH,
        Event::Interrupt(_) | Event::Terminate(_) => EACH,
        _ => 0,
    }
}

impl Shared {
    pub(crate) fn new(core: Connection) -> Arc<Self> {
        let told = Arc::new(AtomicU64::new(0));
        let state = State {
            core,
            told: told.clone(),
            driver: Sleeper::Awake,
            driver_idle: false,
            lending: Lending::default(),
            readers: FxHashMap::default(),
            writers: FxHashMap::default(),
            closers: FxHashMap::default(),
            waiting: Waiting::default(),
            incoming: VecDeque::new(),
            incoming_waker: None,
            incoming_gone: false,
            queued: 0,
            old: Vec::new(),
        };
        Arc::new(Self { state: Mutex::new(state), told, runtime: Handle::current() })
    }

    /// The state. A panic in another holder does not matter: no invariant of ours spans a call that can panic.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what readers were told. While it stands still no reader that is registered need look whether there is something: it is
    /// counted before they are woken, and a poll sees what was done before the wake that it follows.
    #[inline]
    pub(crate) fn told(&self) -> u64 {
        self.told.load(Ordering::Acquire)
    }

    /// Changes the state, then wakes the driver if there is something for it to do.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        tell(state);
        result
    }
}

/// Wakes whom the core's events concern, and the driver when it has something to do. Mostly nobody is to be woken, and every message
/// comes by here: asking that first gave 1.1 times as many short ones over TCP.
#[inline]
pub(crate) fn tell(state: MutexGuard<'_, State>) {
    if state.core.has_events() || state.driver_is_due() {
        tell_some(state);
    } else {
        unlock(state);
    }
}

fn tell_some(mut state: MutexGuard<'_, State>) {
    let mut wakers = Vec::new();
    state.collect(&mut wakers);
    let driver = state.take_driver_if_due();
    // A woken task may run at once and want the lock.
    unlock(state);
    wakers.into_iter().for_each(Waker::wake);
    if let Some(driver) = driver {
        driver.wake();
    }
}

/// Lets go of the lock, then of old wakers.
#[inline]
pub(crate) fn unlock(state: MutexGuard<'_, State>) {
    if !state.old.is_empty() {
        drop_old(state);
    }
}

#[cold]
fn drop_old(mut state: MutexGuard<'_, State>) {
    let old = std::mem::take(&mut state.old);
    drop(state);
    drop(old);
}

impl State {
    /// Turns the core's events into wakers. Mostly there are none, so that is asked first.
    #[inline]
    pub(crate) fn collect(&mut self, wakers: &mut Vec<Waker>) {
        if self.core.has_events() {
            self.collect_some(wakers);
        }
    }

    fn collect_some(&mut self, wakers: &mut Vec<Waker>) {
        while let Some(event) = self.core.poll_event() {
            match event {
                // Here, so that no event is moved for each message.
                Event::Readable(id) => {
                    // Under the lock: nobody else counts.
                    let told = self.told.load(Ordering::Relaxed) + 1;
                    self.told.store(told, Ordering::Release);
                    if let Entry::Occupied(reader) = self.readers.entry(id) {
                        wakers.push(match reader.get() {
                            Reader { waker, stays: true } => waker.clone(),
                            _ => reader.remove().waker,
                        });
                    }
                }
                event => self.tell_other(event, wakers),
            }
        }
    }

    /// All but `Readable`.
    fn tell_other(&mut self, event: Event, wakers: &mut Vec<Waker>) {
        match event {
            Event::Writable(id) => wakers.extend(self.writers.remove(&id)),
            Event::Closed(id) => wakers.extend(self.closers.remove(&id).into_iter().flatten()),
            Event::Hello => self.waiting.hello(wakers),
            Event::Pong { round_trip, .. } => self.waiting.pings.answered(round_trip, wakers),
            Event::Status(answer) => self.waiting.questions.answered(answer, wakers),
            Event::Ended => {
                self.waiting.ended(wakers);
                wakers.extend(self.incoming_waker.take());
            }
            Event::Opened { channel, .. } if self.incoming_gone => self.core.forget(channel),
            _ if self.incoming_gone => {}
            event => {
                self.queued += weight(&event);
                self.incoming.push_back(event);
                wakers.extend(self.incoming_waker.take());
            }
        }
    }

    pub(crate) fn next_incoming(&mut self) -> Option<Event> {
        self.take_incoming(0)
    }

    pub(crate) fn next_incoming_but_channels(&mut self) -> Option<Event> {
        let other = |event: &Event| !matches!(event, Event::Opened { .. });
        self.take_incoming(self.incoming.iter().position(other)?)
    }

    fn take_incoming(&mut self, place: usize) -> Option<Event> {
        let event = self.incoming.remove(place)?;
        self.queued -= weight(&event);
        Some(event)
    }

    /// Whether the driver should read on.
    pub(crate) fn wants_input(&self) -> bool {
        self.queued < QUEUE
    }

    /// The driver looks for itself: nobody needs to wake it.
    pub(crate) fn driver_runs(&mut self) {
        if let Sleeper::Asleep(driver) = std::mem::replace(&mut self.driver, Sleeper::Awake) {
            self.old.push(driver);
        }
    }

    /// The driver is about to sleep; `idle` when it has nothing to write. True when it has moved to another task: a sender may have called
    /// the link with the old one's waker since the driver last did.
    #[inline]
    pub(crate) fn driver_sleeps(&mut self, cx: &Context<'_>, idle: bool) -> bool {
        let mut moved = false;
        if !matches!(&self.driver, Sleeper::Asleep(driver) if driver.will_wake(cx.waker())) {
            moved = matches!(self.driver, Sleeper::Asleep(_));
            self.driver_runs();
            self.driver = Sleeper::Asleep(cx.waker().clone());
        }
        self.driver_idle = idle;
        moved
    }

    /// What the driver took to write must wait for the link: more of it is no reason to wake it.
    pub(crate) fn driver_is_stuck(&mut self) {
        self.driver_idle = false;
    }

    /// The driver's waker, if it sleeps. If a sender has that, it will wake the driver.
    pub(crate) fn take_driver(&mut self) -> Option<Waker> {
        match std::mem::replace(&mut self.driver, Sleeper::Awake) {
            Sleeper::Asleep(driver) => return Some(driver),
            Sleeper::Borrowed { .. } => self.driver = Sleeper::Borrowed { wanted: true },
            Sleeper::Awake => {}
        }
        None
    }

    /// The driver's waker, if it sleeps and there is something for it to do.
    pub(crate) fn take_driver_if_due(&mut self) -> Option<Waker> {
        if self.driver_is_due() { self.take_driver() } else { None }
    }

    /// Whether the driver sleeps and there is something for it to do: something to write, unless it waits for the link anyway; what a sender
    /// has left; or the end, which must not wait for a link that is stuck.
    #[inline]
    fn driver_is_due(&self) -> bool {
        let asleep = matches!(self.driver, Sleeper::Asleep(_));
        asleep
            && (self.core.error().is_some()
                || self.driver_idle && self.core.has_output()
                || self.lending.has_left())
    }

    /// The driver's waker for a sender, if the driver sleeps, has nothing to write itself, and would be woken for what is to be sent now.
    #[inline]
    pub(crate) fn borrow_driver(&mut self) -> Option<Waker> {
        if !self.driver_idle || !self.core.has_output() {
            return None;
        }
        let borrowed = Sleeper::Borrowed { wanted: false };
        match std::mem::replace(&mut self.driver, borrowed) {
            Sleeper::Asleep(driver) => Some(driver),
            other => {
                self.driver = other;
                None
            }
        }
    }

    /// A sender returns the driver's waker. True when the driver is to be woken.
    pub(crate) fn return_driver(&mut self, waker: Waker) -> bool {
        match &self.driver {
            Sleeper::Borrowed { wanted } => {
                let wanted = *wanted;
                self.driver = Sleeper::Asleep(waker);
                wanted
            }
            // It has run. If that was in another task, a link that keeps one waker for all may have got the old one back.
            Sleeper::Asleep(new) => {
                let moved = !new.will_wake(&waker);
                self.old.push(waker);
                moved
            }
            Sleeper::Awake => {
                self.old.push(waker);
                false
            }
        }
    }

    /// Registers a reader until it is woken.
    pub(crate) fn wait_readable(&mut self, id: ChannelId, cx: &Context<'_>) {
        self.put_reader(id, Reader { waker: cx.waker().clone(), stays: false });
    }

    fn put_reader(&mut self, id: ChannelId, reader: Reader) {
        let old = self.readers.insert(id, reader);
        self.old.extend(old.map(|reader| reader.waker));
    }

    /// Registers a reader until its channel is forgotten, unless it is `known` to be so. What readers have been told so far.
    #[inline]
    pub(crate) fn stay_readable(
        &mut self,
        id: ChannelId,
        cx: &Context<'_>,
        known: &mut Option<Waker>,
    ) -> u64 {
        if !known.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.put_staying(id, cx, known);
        }
        self.told.load(Ordering::Relaxed)
    }

    #[cold]
    fn put_staying(&mut self, id: ChannelId, cx: &Context<'_>, known: &mut Option<Waker>) {
        self.old.extend(known.replace(cx.waker().clone()));
        self.put_reader(id, Reader { waker: cx.waker().clone(), stays: true });
    }

    pub(crate) fn wait_writable(&mut self, id: ChannelId, cx: &Context<'_>) {
        self.old.extend(self.writers.insert(id, cx.waker().clone()));
    }

    pub(crate) fn wait_closed(&mut self, id: ChannelId, cx: &Context<'_>) {
        let wakers = self.closers.entry(id).or_default();
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
    }

    /// Waits for what comes in.
    pub(crate) fn wait_incoming(&mut self, cx: &Context<'_>) {
        self.old.extend(self.incoming_waker.replace(cx.waker().clone()));
    }

    /// Waits for HELLO or for the end.
    pub(crate) fn watch(&mut self, ticket: &Ticket<'_>, cx: &Context<'_>) {
        self.old.extend(self.waiting.watch(ticket, cx));
    }

    /// Nobody reads this channel any more.
    pub(crate) fn discard(&mut self, id: ChannelId) {
        self.forget_reader(id);
        self.core.discard(id);
    }

    fn forget_reader(&mut self, id: ChannelId) {
        self.old.extend(self.readers.remove(&id).map(|reader| reader.waker));
    }

    /// A channel is gone. The peer's error, if nobody has been told of it.
    pub(crate) fn forget(&mut self, id: ChannelId) -> Option<Fault> {
        self.forget_reader(id);
        self.old.extend(self.writers.remove(&id));
        self.old.extend(self.closers.remove(&id).into_iter().flatten());
        let unread = self.core.unread_fault(id).cloned();
        self.core.forget(id);
        unread
    }
}
