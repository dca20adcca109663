//! Who has the outlet: the driver; or nobody, and it lies in the shared state; or a sender that answers.

use std::task::{Context, Waker};

use execnet_proto::ChannelId;
use tokio::runtime::{EnterGuard, Handle};
use tokio::task;
use tokio::time::Instant;

use crate::outlet::Outlet;
use crate::shared::{Shared, State, tell, unlock};

/// So many answers in a row that were single messages let the next one be expected to be. Where they alternate with longer ones, none is.
const ENOUGH: u8 = 2;

/// What of it lies in the shared state.
#[derive(Debug, Default)]
pub(crate) struct Lending {
    /// Unless the driver or a sender has it.
    outlet: Option<Box<Outlet>>,
    /// A sender has left something to be done with it, or kept the driver from being woken.
    left: bool,
    /// The driver is no more: nobody goes on with what is left.
    driver_gone: bool,
    /// The last reading woke a single reader, which has not taken its message yet.
    lone: bool,
    /// The channel whose next message answers what that reader was given, until it is sent.
    answering: Option<ChannelId>,
    /// The channel that was answered last, how many answers in a row were single messages, and whether these were enough when the
    /// message came that is to be answered now.
    answered: Option<ChannelId>,
    single: u8,
    were_single: bool,
    /// The task that answered last, if it is in the driver's runtime.
    at_home: Option<task::Id>,
}

impl Lending {
    /// For the driver: the outlet, unless a sender has it, and whether that has left something. Returning it wakes the driver if
    /// there is something to do.
    pub(crate) fn take(&mut self) -> Option<(Box<Outlet>, bool)> {
        let outlet = self.outlet.take()?;
        Some((outlet, std::mem::take(&mut self.left)))
    }

    /// The driver, about to sleep, has nothing to do with it.
    pub(crate) fn lend(&mut self, outlet: Box<Outlet>) {
        self.outlet = Some(outlet);
    }

    /// The driver is no more. The outlet, if it is here.
    #[must_use = "writers are dropped without the lock"]
    pub(crate) fn driver_ends(&mut self) -> Option<Box<Outlet>> {
        self.driver_gone = true;
        self.outlet.take()
    }

    pub(crate) fn has_left(&self) -> bool {
        self.left
    }

    /// The driver has read, and is about to wake so many.
    pub(crate) fn has_read(&mut self, woken: usize) {
        if woken > 0 {
            self.lone = woken == 1;
        }
    }

    /// The reader of this channel, which comes back for each message, is given one that came alone.
    pub(crate) fn will_answer(&mut self, channel: ChannelId) {
        if std::mem::take(&mut self.lone) {
            self.answering = Some(channel);
            self.were_single = self.single >= ENOUGH;
        }
    }

    /// A message is sent on this channel. True when it answers a lone one, and will be the only answer, as far as the last was.
    #[inline]
    fn answers(&mut self, channel: ChannelId) -> bool {
        if self.answering != Some(channel) {
            if self.answered == Some(channel) {
                self.single = 0;
            }
            return false;
        }
        (self.answering, self.answered) = (None, Some(channel));
        self.single = self.single.saturating_add(1);
        self.were_single
    }
}

impl State {
    /// The outlet, filled with what was sent on this channel, if that answers a lone message and the driver has nothing to write; and
    /// the driver's waker, for the link to call if it has to go on.
    #[inline]
    fn borrow_outlet(&mut self, channel: ChannelId) -> Option<(Box<Outlet>, Waker)> {
        if !self.lending.answers(channel) {
            return None;
        }
        let mut outlet = self.lending.outlet.take()?;
        if let Some(driver) = self.borrow_driver() {
            let timed = self.core.needs_time();
            let now = if timed { Instant::now().into_std() } else { outlet.once };
            if self.core.poll_transmit(now, &mut outlet.batch) {
                return Some((outlet, driver));
            }
            self.return_driver(driver);
        }
        self.lending.outlet = Some(outlet);
        None
    }

    /// It comes back, and the driver is woken if there is something to do.
    fn return_outlet(&mut self, outlet: Box<Outlet>, driver: Waker) {
        self.lending.left = !outlet.is_clear();
        self.lending.outlet = Some(outlet);
        self.lending.left |= self.return_driver(driver);
    }
}

impl Shared {
    /// As [`with`](Self::with), for what sends on a channel. The answer to a lone message is written here and now: waking the driver for
    /// it costs a dialogue a tenth of its time in memory, and up to a third over TCP where it runs on another thread. All else waits for the
    /// driver, to share its writes.
    pub(crate) fn with_sending<T>(
        &self,
        channel: ChannelId,
        change: impl FnOnce(&mut State) -> T,
    ) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        match state.borrow_outlet(channel) {
            None => tell(state),
            outlet => {
                let at_home = state.lending.at_home;
                unlock(state);
                Borrowed { shared: self, outlet, at_home }.write();
            }
        }
        result
    }
}

/// The outlet with a sender. It goes back whatever happens: without it the connection could not even end.
struct Borrowed<'a> {
    shared: &'a Shared,
    outlet: Option<(Box<Outlet>, Waker)>,
    at_home: Option<task::Id>,
}

impl<'a> Borrowed<'a> {
    fn write(mut self) {
        let _context = self.enter();
        if let Some((outlet, driver)) = &mut self.outlet {
            outlet.write_now(&mut Context::from_waker(driver));
        }
    }

    /// Enters the driver's runtime, if we are not there: a writer that has to wait may make a timer there, or register with the system. That is
    /// found out once for a task, as if none blocked on another runtime between its answers: to ask takes as long as to enter, 3 % of a short
    /// dialogue over TCP.
    fn enter(&mut self) -> Option<EnterGuard<'a>> {
        let task = task::try_id();
        if task.is_some() && task == self.at_home {
            return None;
        }
        let runtime = &self.shared.runtime;
        if Handle::try_current().is_ok_and(|here| here.id() == runtime.id()) {
            self.at_home = task;
            return None;
        }
        Some(runtime.enter())
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if state.lending.driver_gone {
            // The writer is dropped with us, without the lock.
            return;
        }
        state.lending.at_home = self.at_home;
        if let Some((outlet, driver)) = self.outlet.take() {
            state.return_outlet(outlet, driver);
        }
        tell(state);
    }
}
