//! Who waits for something of the whole connection: its HELLO, its end, or an answer of the peer.
//!
//! Each waiting future has a ticket and takes everything along when it is dropped: its waker, and an
//! answer that still comes for it.

use std::collections::VecDeque;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::core::Connection;
use crate::shared::Shared;

/// A place among those who wait, until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket<'a> {
    shared: &'a Shared,
    number: u64,
}

impl<'a> Ticket<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        let mut state = shared.lock();
        state.waiting.tickets += 1;
        Self { shared, number: state.waiting.tickets }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let waiting = &mut state.waiting;
        let watcher = waiting.watchers.remove(&self.number);
        let asked = waiting.pings.askers.remove(&self.number);
        let asked = (asked, waiting.questions.askers.remove(&self.number));
        // Wakers are dropped without the lock.
        drop(state);
        drop((watcher, asked));
    }
}

#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// How many tickets were given out.
    tickets: u64,
    /// Those who wait for HELLO or for the end.
    watchers: FxHashMap<u64, Waker>,
    /// Those who wait for a PONG.
    pub(crate) pings: Askers<Duration>,
    /// Those who wait for the peer's status.
    pub(crate) questions: Askers<Bytes>,
}

impl Waiting {
    /// Waits for HELLO or for the end. The waker that did so before.
    pub(crate) fn watch(&mut self, ticket: &Ticket<'_>, cx: &Context<'_>) -> Option<Waker> {
        self.watchers.insert(ticket.number, cx.waker().clone())
    }

    pub(crate) fn hello(&mut self, wakers: &mut Vec<Waker>) {
        wakers.extend(self.watchers.drain().map(|(_, waker)| waker));
    }

    pub(crate) fn ended(&mut self, wakers: &mut Vec<Waker>) {
        self.hello(wakers);
        wakers.extend(self.pings.askers.drain().map(|(_, asker)| asker.waker));
        wakers.extend(self.questions.askers.drain().map(|(_, asker)| asker.waker));
    }
}

/// Those who ask the peer something that it answers in order.
#[derive(Debug)]
pub(crate) struct Askers<T> {
    askers: FxHashMap<u64, Asker<T>>,
    /// Whose answers come next. Some may not wait any more.
    order: VecDeque<u64>,
}

#[derive(Debug)]
struct Asker<T> {
    waker: Waker,
    /// False while so many questions are open that it could not ask.
    asked: bool,
    answer: Option<T>,
}

impl<T> Default for Askers<T> {
    fn default() -> Self {
        Self { askers: FxHashMap::default(), order: VecDeque::new() }
    }
}

impl<T> Askers<T> {
    /// The answer, if it has come. Otherwise asks, unless that was done or there is no room for it, and waits.
    pub(crate) fn poll(
        &mut self,
        ticket: &Ticket<'_>,
        core: &mut Connection,
        ask: impl FnOnce(&mut Connection) -> bool,
        cx: &Context<'_>,
        old: &mut Vec<Waker>,
    ) -> Option<T> {
        let waker = cx.waker().clone();
        let fresh = Asker { waker, asked: false, answer: None };
        let asker = self.askers.entry(ticket.number).or_insert(fresh);
        if let Some(answer) = asker.answer.take() {
            return Some(answer);
        }
        if !asker.waker.will_wake(cx.waker()) {
            old.push(std::mem::replace(&mut asker.waker, cx.waker().clone()));
        }
        if !asker.asked && ask(core) {
            asker.asked = true;
            self.order.push_back(ticket.number);
        }
        None
    }

    /// An answer has come: for the oldest question.
    pub(crate) fn answered(&mut self, answer: T, wakers: &mut Vec<Waker>) {
        let Some(number) = self.order.pop_front() else { return };
        if let Some(asker) = self.askers.get_mut(&number) {
            asker.answer = Some(answer);
            wakers.push(asker.waker.clone());
        }
        // And there is room for another one.
        let unasked = self.askers.values().filter(|asker| !asker.asked);
        wakers.extend(unasked.map(|asker| asker.waker.clone()));
    }
}
