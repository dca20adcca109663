//! A far end from its start to its end: what drives its connection, and finds out how it ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use execnet_channel::{ConnectionError, Driver, Incoming, Mux, Request};
use execnet_proto::{Format, Hello};
use execnet_transport::{Ending, Guard, Stderr};
use execnet_xspec::XSpec;
use tokio::io::{AsyncRead, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::Instrument;

use super::{Gateway, Info, Inner, KILLED};
use crate::{GatewayLost, Output, RemoteError};

/// Lines of stderr that a [`GatewayLost`] keeps …
const LAST_LINES: usize = 20;
/// … unless they are faulthandler's trace of a crash: at most 100 frames, the innermost first.
const CRASH_LINES: usize = 130;
const CRASH: &str = "Fatal Python error";
/// How long a far end whose link has ended may take to end itself; longer than the worker needs to interrupt its tasks
/// and give up on them.
const ENDING: Duration = Duration::from_millis(2_500);
/// How long its last output may take to arrive; a grandchild can hold the pipe open for ever.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// A far end that has been started and has not spoken yet. Dropping it kills the far end.
pub(crate) struct Starting {
    id: String,
    spec: XSpec,
    mux: Mux,
    guard: KillOnDrop,
    stderr: Stderr,
    exiting: Arc<AtomicBool>,
}

/// Kills unless it is taken apart: the monitor's own share would keep the guard alive.
struct KillOnDrop {
    guard: Arc<Guard>,
    armed: bool,
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if self.armed {
            self.guard.kill();
        }
    }
}

impl Starting {
    pub(crate) fn new(id: String, spec: XSpec, mux: Mux, guard: Guard, stderr: Stderr) -> Self {
        let guard = KillOnDrop { guard: Arc::new(guard), armed: true };
        let exiting = Arc::<AtomicBool>::default();
        let (name, ending) = (id.clone(), exiting.clone());
        mux.on_unread_error(move |channel, fault| {
            // What the end of a gateway interrupts is nobody's error.
            if !ending.load(Ordering::Relaxed) {
                let error = RemoteError::from(fault);
                tracing::warn!(gateway = name, %channel, "dropped with an error that nobody received: {error}");
            }
        });
        Self { id, spec, mux, guard, stderr, exiting }
    }

    pub(crate) fn mux(&self) -> &Mux {
        &self.mux
    }

    /// Spawns what drives the connection, hands output on, and finds out how it all ended.
    pub(crate) fn monitor<R>(
        &self,
        driver: Driver<R>,
        incoming: Incoming,
        printed: Option<DuplexStream>,
        output: Output,
    ) -> watch::Receiver<Option<GatewayLost>>
    where
        R: AsyncRead + Send + Unpin + 'static,
    {
        let (tell, lost) = watch::channel(None);
        tokio::spawn(attend(incoming, printed, self.stderr.clone()));
        let follower = tokio::spawn(output.follow(self.id.clone(), self.stderr.clone()));
        let id = self.id.clone();
        let guard = self.guard.guard.clone();
        let stderr = self.stderr.clone();
        let exiting = self.exiting.clone();
        let span = tracing::debug_span!("gateway", id = self.id);
        tokio::spawn(async move {
            let cause = match driver.instrument(span).await {
                Err(error) => error,
                Ok(()) if exiting.load(Ordering::Relaxed) => ConnectionError::ClosedHere,
                Ok(()) => ConnectionError::ClosedByPeer,
            };
            if matches!(cause, ConnectionError::NoAnswer(_)) {
                // Whoever is silent does not end by itself, and everybody waits to hear of it.
                guard.kill();
            }
            let ending = end(&guard).await;
            last_output(&stderr, Some(follower)).await;
            let lines = last_lines(&stderr);
            let address = guard.address().to_owned();
            let lost = GatewayLost::new(id, address, ending, lines, cause);
            if exiting.load(Ordering::Relaxed) {
                tracing::info!(gateway = lost.id(), how = %lost, "ended");
            } else {
                tracing::warn!(target: "execnet::failed", gateway = lost.id(), how = %lost, "lost");
            }
            let _ = tell.send(Some(lost));
        });
        lost
    }

    pub(crate) fn started(
        self,
        hello: Hello,
        marshal: bool,
        lost: watch::Receiver<Option<GatewayLost>>,
    ) -> Gateway {
        let marshal = marshal && hello.reads(Format::Marshal);
        let info = Info::new(hello);
        let Self { id, spec, mux, mut guard, stderr, exiting } = self;
        let inner_guard = guard.guard.clone();
        guard.armed = false; // from here on the gateway kills
        Gateway(Arc::new(Inner {
            id,
            spec,
            mux,
            guard: inner_guard,
            stderr,
            info,
            marshal,
            exiting,
            lost,
        }))
    }

    /// How the far end ended, if it does within `patience`, and what it printed last.
    pub(crate) async fn post_mortem(
        &self,
        patience: Duration,
        lines: usize,
    ) -> (Option<Ending>, Vec<String>) {
        let ending = timeout(patience, self.guard.guard.wait()).await.ok();
        if ending.is_none() {
            self.guard.guard.kill();
        }
        last_output(&self.stderr, None).await;
        (ending, self.stderr.tail_lines(lines))
    }
}

/// Attends to what a far end starts. Channels that its programs open wait until an item names them.
///
/// What they print goes to `printed`, which is the far end's standard error where that has no way of its own, and to that one where it has. A
/// reader of it who is slow makes the far end wait.
async fn attend(mut incoming: Incoming, mut printed: Option<DuplexStream>, stderr: Stderr) {
    while let Some(request) = incoming.next_but_channels().await {
        let Request::Output { bytes, .. } = request else { continue };
        match &mut printed {
            // It is always read to its end, unless the runtime is ending.
            Some(printed) => drop(printed.write_all(&bytes).await),
            None => stderr.push(&bytes).await,
        }
    }
}

/// Waits for a far end whose link has ended; kills it when it does not end by itself.
async fn end(guard: &Guard) -> Option<Ending> {
    if let Ok(ending) = timeout(ENDING, guard.wait()).await {
        return Some(ending);
    }
    guard.kill();
    timeout(KILLED, guard.wait()).await.ok()
}

/// What explains a death best: the trace of a crash, or the last lines.
fn last_lines(stderr: &Stderr) -> Vec<String> {
    let mut lines = stderr.tail_lines(CRASH_LINES);
    let crash = lines.iter().rposition(|line| line.starts_with(CRASH));
    let start = crash.unwrap_or_else(|| lines.len().saturating_sub(LAST_LINES));
    lines.split_off(start)
}

/// Waits until the last output has arrived and been handed on, within bounds.
async fn last_output(stderr: &Stderr, follower: Option<JoinHandle<()>>) {
    let all = async {
        stderr.closed().await;
        if let Some(follower) = follower {
            let _ = follower.await;
        }
    };
    let _ = timeout(LAST_OUTPUT, all).await;
}
