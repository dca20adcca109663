//! Bounds how many strangers are at the door, without letting them keep others out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The connections that have not authenticated.
///
/// When there are too many, the oldest has to go: somebody who has a key needs milliseconds, so those who wait
/// are not among them. To keep a client out, a flood has to push all places over within that time.
#[derive(Debug)]
pub(super) struct Gate {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// In the order in which they came.
    waiting: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Gate {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, state: Mutex::default() })
    }

    /// A place, and if need be an older one less.
    pub(super) fn enter(self: &Arc<Self>) -> Place {
        let (evict, evicted) = oneshot::channel();
        let mut state = self.lock();
        if state.waiting.len() >= self.most
            && let Some((_, oldest)) = state.waiting.pop_first()
        {
            let _ = oldest.send(());
        }
        let number = state.next;
        state.next += 1;
        state.waiting.insert(number, evict);
        Place { gate: self.clone(), number, evicted }
    }

    pub(super) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One stranger's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    gate: Arc<Gate>,
    number: u64,
    evicted: oneshot::Receiver<()>,
}

impl Place {
    /// Resolves when the place went to somebody else.
    pub(super) async fn evicted(&mut self) {
        if (&mut self.evicted).await.is_err() {
            // Only dropping the place drops the sender otherwise.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.lock().waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_makes_room() {
        let gate = Gate::new(2);
        let (mut first, second) = (gate.enter(), gate.enter());
        assert!(first.evicted.try_recv().is_err());
        let mut third = gate.enter();
        first.evicted().await;
        assert_eq!(gate.len(), 2);
        drop(second);
        let _fourth = gate.enter();
        assert!(third.evicted.try_recv().is_err());
        drop((first, third));
        assert_eq!(gate.len(), 1);
    }
}
