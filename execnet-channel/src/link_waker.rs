//! Tells a wake by the link from a wake by a handle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

/// What the link is given to wake its driver with.
///
/// A driver that a handle woke, to write, need not look whether there is something to read: the link has promised to tell. That look
/// is a hundredth of a short message's round trip over TCP. Reading, writing and flushing all get this waker, for a stream may keep
/// a single one for all of them.
#[derive(Debug)]
pub(crate) struct LinkWaker {
    inner: Arc<Inner>,
    waker: Waker,
}

#[derive(Debug)]
struct Inner {
    rang: AtomicBool,
    driver: Waker,
}

impl LinkWaker {
    /// Wakes what `driver` wakes. It has rung already: nothing was promised yet.
    pub(crate) fn new(driver: &Waker) -> Self {
        let inner = Arc::new(Inner { rang: AtomicBool::new(true), driver: driver.clone() });
        Self { waker: inner.clone().into(), inner }
    }

    /// For the link.
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Whether it wakes the same as `driver`.
    pub(crate) fn wakes(&self, driver: &Waker) -> bool {
        self.inner.driver.will_wake(driver)
    }

    /// Whether the link may have something to say: until it was asked and had to make wait.
    pub(crate) fn rang(&self) -> bool {
        self.inner.rang.load(Ordering::Acquire)
    }

    /// To be called before the link is asked; if it has something to say, [`ring`](Self::ring) afterwards.
    pub(crate) fn listen(&self) {
        self.inner.rang.store(false, Ordering::Release);
    }

    /// The link has to be asked again.
    pub(crate) fn ring(&self) {
        self.inner.rang.store(true, Ordering::Release);
    }
}

impl Wake for Inner {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rang.store(true, Ordering::Release);
        self.driver.wake_by_ref();
    }
}
