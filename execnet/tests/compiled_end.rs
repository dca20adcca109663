//! The end of a gateway that was to be asked for what it has compiled. Alone in its process, whose panics it counts.

mod common;

use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{WATCHDOG, bounded, group, popen};

/// The answer may be there at once, as when the far end is dead. Nobody joins the task that waits for it: only the hook would see it panic.
#[tokio::test]
async fn an_answer_that_is_there_at_once_panics_nowhere() {
    let group = group();
    let Some(gateway) = popen(&group).await else { return };
    let panics = Arc::<AtomicUsize>::default();
    let (counted, usual) = (panics.clone(), panic::take_hook());
    panic::set_hook(Box::new(move |info| {
        counted.fetch_add(1, Ordering::Relaxed);
        usual(info);
    }));
    gateway.kill();
    bounded(gateway.lost()).await;
    bounded(gateway.exit(WATCHDOG)).await;
    // The runtime has one thread: what `exit` has spawned runs now.
    tokio::task::yield_now().await;
    assert_eq!(panics.load(Ordering::Relaxed), 0);
}
