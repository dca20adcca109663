//! What the driver and the handles of one connection share: the core, and who waits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use execnet_proto::ChannelId;
use rustc_hash::FxHashMap;

use crate::core::{Connection, Event};

/// The state behind all handles.
#[derive(Debug)]
pub(crate) struct Shared(Mutex<State>);

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) core: Connection,
    /// The driver, while it sleeps with nothing to write.
    driver: Option<Waker>,
    readers: FxHashMap<ChannelId, Waker>,
    writers: FxHashMap<ChannelId, Waker>,
    closers: FxHashMap<ChannelId, Waker>,
    /// Whoever waits for the peer's HELLO, or for the connection's end.
    watchers: Vec<Waker>,
    /// Whoever waits for a PONG or a status answer, and what came, by ticket.
    answers: Answers,
    pub(crate) incoming: VecDeque<Event>,
    pub(crate) incoming_waker: Option<Waker>,
    /// Nobody will take what comes in.
    pub(crate) incoming_gone: bool,
    /// Bytes of output in `incoming`.
    output_queued: usize,
}

/// Output that nobody takes stops the reading from this many bytes on.
const OUTPUT_QUEUE: usize = 256 << 10;

#[derive(Debug, Default)]
struct Answers {
    pongs: FxHashMap<u64, Duration>,
    statuses: VecDeque<Bytes>,
    waiting: Vec<Waker>,
}

impl Shared {
    pub(crate) fn new(core: Connection) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            core,
            driver: None,
            readers: FxHashMap::default(),
            writers: FxHashMap::default(),
            closers: FxHashMap::default(),
            watchers: Vec::new(),
            answers: Answers::default(),
            incoming: VecDeque::new(),
            incoming_waker: None,
            incoming_gone: false,
            output_queued: 0,
        })))
    }

    /// The state. A panic in another holder does not matter: no invariant of ours spans a call that can panic.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, then wakes the driver if there is something for it to do.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut wakers = Vec::new();
        let (result, driver) = {
            let mut state = self.lock();
            let result = change(&mut state);
            state.collect(&mut wakers);
            let driver = if state.core.has_output() || state.core.error().is_some() {
                state.driver.take()
            } else {
                None
            };
            (result, driver)
        };
        // Outside the lock: a woken task may run at once and want it.
        wakers.into_iter().chain(driver).for_each(Waker::wake);
        result
    }
}

impl State {
    /// Turns the core's events into wakers.
    pub(crate) fn collect(&mut self, wakers: &mut Vec<Waker>) {
        while let Some(event) = self.core.poll_event() {
            match event {
                Event::Readable(id) => wakers.extend(self.readers.remove(&id)),
                Event::Writable(id) => wakers.extend(self.writers.remove(&id)),
                Event::Closed(id) => wakers.extend(self.closers.remove(&id)),
                Event::Hello => wakers.append(&mut self.watchers),
                Event::Pong { token, round_trip } => {
                    self.answers.pongs.insert(token, round_trip);
                    wakers.append(&mut self.answers.waiting);
                }
                Event::Status(answer) => {
                    self.answers.statuses.push_back(answer);
                    wakers.append(&mut self.answers.waiting);
                }
                Event::Ended => {
                    wakers.append(&mut self.watchers);
                    wakers.append(&mut self.answers.waiting);
                    wakers.extend(self.incoming_waker.take());
                }
                Event::Opened { channel, .. } if self.incoming_gone => self.core.forget(channel),
                _ if self.incoming_gone => {}
                event => {
                    if let Event::Output { bytes, .. } = &event {
                        self.output_queued += bytes.len();
                    }
                    self.incoming.push_back(event);
                    wakers.extend(self.incoming_waker.take());
                }
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
        if let Event::Output { bytes, .. } = &event {
            self.output_queued -= bytes.len();
        }
        Some(event)
    }

    /// Whether the driver should read on.
    pub(crate) fn wants_input(&self) -> bool {
        self.output_queued < OUTPUT_QUEUE
    }

    pub(crate) fn driver_runs(&mut self) {
        self.driver = None;
    }

    pub(crate) fn driver_sleeps(&mut self, cx: &Context<'_>) {
        self.driver = Some(cx.waker().clone());
    }

    pub(crate) fn take_driver(&mut self) -> Option<Waker> {
        self.driver.take()
    }

    pub(crate) fn wait_readable(&mut self, id: ChannelId, cx: &Context<'_>) {
        self.readers.insert(id, cx.waker().clone());
    }

    pub(crate) fn wait_writable(&mut self, id: ChannelId, cx: &Context<'_>) {
        self.writers.insert(id, cx.waker().clone());
    }

    pub(crate) fn wait_closed(&mut self, id: ChannelId, cx: &Context<'_>) {
        self.closers.insert(id, cx.waker().clone());
    }

    pub(crate) fn wait_changed(&mut self, cx: &Context<'_>) {
        self.watchers.push(cx.waker().clone());
    }

    pub(crate) fn wait_answer(&mut self, cx: &Context<'_>) {
        self.answers.waiting.push(cx.waker().clone());
    }

    pub(crate) fn take_pong(&mut self, token: u64) -> Option<Duration> {
        self.answers.pongs.remove(&token)
    }

    pub(crate) fn take_status(&mut self) -> Option<Bytes> {
        self.answers.statuses.pop_front()
    }

    /// The handles of a channel are gone.
    pub(crate) fn forget(&mut self, id: ChannelId) {
        self.readers.remove(&id);
        self.writers.remove(&id);
        self.closers.remove(&id);
        self.core.forget(id);
    }
}
