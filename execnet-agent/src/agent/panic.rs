//! Panics of tasks, caught, with their place and their backtrace.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::Once;
use std::task::{Context, Poll};

use execnet_proto::Fault;

thread_local! {
    /// Code of a task runs on this thread.
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
    /// What the hook saw of the last panic there.
    static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

struct Seen {
    place: String,
    backtrace: String,
}

/// Runs code of a task; a panic becomes a fault.
pub(super) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Fault> {
    static HOOK: Once = Once::new();
    HOOK.call_once(install);
    let outer = IN_TASK.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    IN_TASK.set(outer);
    result.map_err(|payload| fault(&*payload))
}

/// A future whose panics become faults. After one it must not be polled again.
pub(super) struct Caught<F>(pub(super) Pin<Box<F>>);

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match catch(|| self.0.as_mut().poll(cx)) {
            Ok(poll) => poll.map(Ok),
            Err(fault) => Poll::Ready(Err(fault)),
        }
    }
}

/// Looks at the panics of tasks, and leaves the telling to the hook that was there before.
fn install() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if IN_TASK.get() {
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            let backtrace = trim(&Backtrace::force_capture().to_string());
            SEEN.set(Some(Seen { place, backtrace }));
        }
        previous(info);
    }));
}

fn fault(payload: &(dyn Any + Send)) -> Fault {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(a payload that is no text)");
    let mut fault = Fault::new("panic", text);
    if let Some(Seen { place, backtrace }) = SEEN.take() {
        fault.message = format!("{text} ({place})");
        fault.traceback = Some(format!("panic: {}\n{backtrace}", fault.message));
    }
    fault
}

/// The frames between the panic's own and ours: those of the task.
fn trim(backtrace: &str) -> String {
    let lines: Vec<&str> = backtrace.lines().collect();
    let panics =
        |line: &&str| line.contains("core::panicking::") || line.contains("rust_begin_unwind");
    let start = lines.iter().rposition(panics).map_or(0, |at| at + 1);
    // The place of that frame, where it is known.
    let is_place = lines.get(start).is_some_and(|line| line.trim_start().starts_with("at "));
    let rest = lines.get(start + usize::from(is_place)..).unwrap_or_default();
    let ours = |line: &&str| {
        line.contains("std::panic::catch_unwind") || line.contains("panicking::catch_unwind")
    };
    let end = rest.iter().position(ours).unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_names_its_place_and_the_next_one_its_own() {
        for text in ["first", "second"] {
            let fault = catch(|| panic!("{text}")).unwrap_err();
            assert_eq!(fault.kind, "panic");
            assert!(fault.message.starts_with(text), "{}", fault.message);
            assert!(fault.message.contains("panic.rs:"), "{}", fault.message);
        }
    }

    #[test]
    fn the_backtrace_is_that_of_the_task() {
        #[inline(never)]
        fn culprit() {
            panic!("here");
        }
        let traceback = catch(culprit).unwrap_err().traceback.unwrap();
        assert!(traceback.contains("culprit"), "{traceback}");
        assert!(!traceback.contains("rust_begin_unwind"), "{traceback}");
    }
}
