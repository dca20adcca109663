//! For tests of the blocking API.

use std::sync::mpsc;
use std::thread;

use execnet::Output;
use execnet::blocking::{Gateway, Group};

/// Runs a scenario, and fails instead of hanging.
pub fn watched<T: Send + 'static>(scenario: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, finished) = mpsc::channel::<()>();
    let running = thread::spawn(move || {
        // Dropped at the end, or by a panic: either ends the waiting.
        let _done = done;
        scenario()
    });
    let result = finished.recv_timeout(super::WATCHDOG);
    assert_eq!(result, Err(mpsc::RecvTimeoutError::Disconnected), "no hang");
    match running.join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// The specification of some interpreter.
pub fn spec() -> Option<String> {
    Some(format!("popen//python={}", super::python()?.display()))
}

/// A group that keeps the tests' output quiet.
pub fn group() -> Group {
    Group::builder().output(Output::discard()).marshal(super::marshal()).build()
}

/// Runs a scenario on one gateway.
pub fn on_one(scenario: impl FnOnce(Gateway) + Send + 'static) {
    let Some(spec) = spec() else { return };
    watched(move || {
        let group = group();
        scenario(group.make_gateway(spec.as_str()).expect("a gateway"));
        group.terminate(std::time::Duration::from_secs(5)).expect("it ends");
    });
}
