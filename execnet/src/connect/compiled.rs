//! What an interpreter has compiled of the worker, for the next one that is started in the same way: compiling takes longer than
//! all else that the worker adds to an interpreter's start (17 of 55 ms of CPU time on CPython 3.11, whose own start takes 38).
//!
//! Kept in this program's memory, for child processes only. It is not looked into: the worker's stub
//! uses it only if it bears the mark of the very same interpreter, and has the source beside it otherwise.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use execnet_proto::{Value, cbor};
use execnet_xspec::{Kind, XSpec};
use futures_util::future::maybe_done;
use tokio::time::timeout;

use super::local;
use crate::gateway::{Gateway, WeakGateway};

/// How long a start waits for what a gateway, which may be busy, has compiled; less than compiling would take.
const PATIENCE: Duration = Duration::from_millis(10);
/// The same at the end of that gateway, where nobody waits.
const LAST_PATIENCE: Duration = Duration::from_secs(1);
/// Ten times as much as there is.
const MAX_SIZE: usize = 2 << 20;
/// Ways to start an interpreter; beyond that the program makes them up.
const MAX_KEPT: usize = 64;

static KEPT: Mutex<BTreeMap<String, Compiled>> = Mutex::new(BTreeMap::new());

enum Compiled {
    /// Still to be had from this one.
    At(WeakGateway),
    Here(Bytes),
}

/// What to send along to the interpreter of this specification; empty when there is nothing yet.
pub(super) async fn find(spec: &XSpec) -> Bytes {
    let Some(key) = key(spec) else { return Bytes::new() };
    let holder = match kept().get(&key) {
        Some(Compiled::Here(compiled)) => return compiled.clone(),
        Some(Compiled::At(holder)) => holder.upgrade(),
        None => None,
    };
    let Some(holder) = holder else { return Bytes::new() };
    match timeout(PATIENCE, ask(&holder)).await {
        Ok(Some(compiled)) => {
            kept().insert(key, Compiled::Here(compiled.clone()));
            compiled
        }
        _ => Bytes::new(),
    }
}

/// Remembers a gateway that had to compile for itself.
pub(super) fn started(gateway: &Gateway) {
    let facts = &gateway.info().facts;
    if facts.get("from_source").and_then(Value::as_u64) == Some(1)
        && let Some(key) = key(gateway.spec())
    {
        let mut kept = kept();
        if kept.len() < MAX_KEPT || kept.contains_key(&key) {
            kept.insert(key, Compiled::At(gateway.downgrade()));
        }
    }
}

/// Asks a gateway that is about to be told to end, if what it has compiled is wanted; it answers before it ends.
pub(crate) fn ends(gateway: &Gateway) {
    let Some(key) = key(gateway.spec()) else { return };
    match kept().get(&key) {
        Some(Compiled::At(holder)) if holder.is(gateway) => {}
        _ => return,
    }
    let gateway = gateway.clone();
    let asking = async move { timeout(LAST_PATIENCE, ask(&gateway)).await };
    // It may be done at once, and is awaited all the same.
    let mut asking = Box::pin(maybe_done(asking));
    // Now, for what is sent behind the request to end is refused.
    let _ = asking.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    tokio::spawn(async move {
        asking.as_mut().await;
        if let Some(Ok(Some(compiled))) = asking.as_mut().take_output() {
            kept().insert(key, Compiled::Here(compiled));
        }
    });
}

async fn ask(gateway: &Gateway) -> Option<Bytes> {
    let request = Value::dict([("kind", "compiled")]);
    let mut channel = gateway.request(cbor::encode(&request).ok()?).await.ok()?;
    match channel.receive_value().await {
        Ok(Value::Bytes(compiled)) if compiled.len() <= MAX_SIZE => Some(compiled),
        _ => None,
    }
}

/// How the interpreter is started. Only what this machine's own interpreters said is kept.
fn key(spec: &XSpec) -> Option<String> {
    let far = ["via", "agent"].iter().any(|key| spec.contains(key));
    if far || !matches!(spec.kind(), Ok(Kind::Popen)) {
        return None;
    }
    local::python(spec).ok().map(|(words, _)| words.join("\0"))
}

fn kept() -> MutexGuard<'static, BTreeMap<String, Compiled>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}
