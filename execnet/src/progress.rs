//! How far the start of several gateways has come.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// How far [`Group::make_gateways`](crate::Group::make_gateways) or [`Group::make_all`](crate::Group::make_all) has come; for the callback of
/// [`GroupBuilder::on_start`](crate::GroupBuilder::on_start).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StartProgress {
    /// How many have started.
    pub started: usize,
    /// How many could not start.
    pub failed: usize,
    /// How many were asked for.
    pub total: usize,
}

impl StartProgress {
    /// Whether each has started or failed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.started + self.failed == self.total
    }
}

/// Who is told of it.
#[derive(Clone, Default)]
pub(crate) struct Watcher(Option<Arc<dyn Fn(StartProgress) + Send + Sync>>);

impl Watcher {
    pub(crate) fn new(callback: impl Fn(StartProgress) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(callback)))
    }

    pub(crate) fn count(&self, total: usize) -> Count {
        let progress = StartProgress { started: 0, failed: 0, total };
        Count { watcher: self.clone(), progress: Mutex::new(progress) }
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Watcher" } else { "None" })
    }
}

/// Counts the gateways of one call.
pub(crate) struct Count {
    watcher: Watcher,
    progress: Mutex<StartProgress>,
}

impl Count {
    pub(crate) fn add<T, E>(&self, result: &Result<T, E>) {
        let Some(callback) = &self.watcher.0 else { return };
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(_) => progress.started += 1,
            Err(_) => progress.failed += 1,
        }
        let now = *progress;
        // The callback may take its time; those that start are all polled by one task, so calls stay in order.
        drop(progress);
        callback(now);
    }
}
