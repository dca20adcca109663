//! The runtime in the background, and threads that wait for it.

use std::cell::Cell;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, EnterGuard, Runtime};
use tokio::task::{block_in_place, coop};

thread_local! {
    /// Whether this is a thread of the runtime, which others may depend on.
    static IS_OURS: Cell<bool> = const { Cell::new(false) };
}

/// Makes this thread one on which timers and tasks are those of the background runtime, which is started if need be.
pub(super) fn enter() -> EnterGuard<'static> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("execnet")
            .on_thread_start(|| IS_OURS.set(true))
            .enable_all()
            .build()
            .expect("the system starts a thread")
    });
    runtime.enter()
}

/// Waits for a future on this thread. `Runtime::block_on` would refuse to where another runtime is at work.
pub(super) fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Some(output) = wait_timeout(Duration::MAX, future.as_mut()) {
            return output;
        }
    }
}

/// Waits no longer than that; `None` drops the future.
pub(super) fn wait_timeout<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    // A limit beyond the clock's end is none.
    let deadline = Instant::now().checked_add(limit);
    let _entered = enter();
    // A task that calls us may have used up its budget: asking it to yield first would be asking for ever.
    let mut future = pin!(coop::unconstrained(future));
    let parked = Arc::new(Parked { thread: thread::current(), woken: AtomicBool::new(false) });
    let waker = Waker::from(parked.clone());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        if !parked.park(deadline) {
            return None;
        }
    }
}

/// A thread that waits. The flag stays right when somebody else's waiting takes the thread's own wake-up.
struct Parked {
    thread: Thread,
    woken: AtomicBool,
}

impl Parked {
    /// Sleeps until woken; false when the deadline has passed instead.
    fn park(&self, deadline: Option<Instant>) -> bool {
        while !self.woken.swap(false, Ordering::Acquire) {
            let Some(deadline) = deadline else {
                give_way(thread::park);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            give_way(|| thread::park_timeout(left));
        }
        true
    }
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Blocks this thread; if it is one of the runtime's, another takes its place meanwhile.
pub(super) fn give_way<T>(block: impl FnOnce() -> T) -> T {
    if IS_OURS.get() { block_in_place(block) } else { block() }
}
