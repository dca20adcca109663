//! How long a start may take, as long as it gets on.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// A time limit that begins anew with each sign of progress, so that a long upload on a slow link is no failure.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    deadline: watch::Sender<Instant>,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, deadline: watch::Sender::new(far(limit)) }
    }

    #[cfg(feature = "ssh-native")]
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// There was progress.
    pub(super) fn renew(&self) {
        self.deadline.send_replace(far(self.limit));
    }

    /// Waits until it is over; gives the limit.
    pub(super) async fn over(&self) -> Duration {
        let mut deadline = self.deadline.subscribe();
        loop {
            let at = *deadline.borrow_and_update();
            tokio::select! {
                () = sleep_until(at) => return self.limit,
                _ = deadline.changed() => {}
            }
        }
    }
}

/// Limits that no clock holds are centuries, too.
fn far(limit: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(limit).unwrap_or(now + Duration::from_secs(1 << 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn progress_begins_it_anew() {
        let start = Instant::now();
        let patience = Patience::new(Duration::from_secs(10));
        let work = async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(8)).await;
                patience.renew();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = work => {}
            limit = patience.over() => assert_eq!(limit, Duration::from_secs(10)),
        }
        assert_eq!(start.elapsed(), Duration::from_secs(34));
    }
}
