//! Ctrl-C.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Each Ctrl-C, from when this was made.
pub(super) struct Interrupts {
    signal: Signal,
    seen: u32,
}

impl Interrupts {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { signal: signal(SignalKind::interrupt())?, seen: 0 })
    }

    /// Whether one was not enough.
    pub(super) fn insist(&self) -> bool {
        self.seen > 1
    }

    /// Waits for the next one. Cancel safe.
    pub(super) async fn next(&mut self) {
        if self.signal.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        self.seen += 1;
    }
}
