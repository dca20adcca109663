//! When to ask whether the peer is still there, and when to give it up.

use std::time::{Duration, Instant};

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing yet.
    Nothing,
    /// Send a PING: to hear from the peer, or to keep our own promise to be heard.
    Ping,
    /// The peer has been silent for this long: it is dead.
    Dead(Duration),
}

/// Deadlines from a given `now`; never reads a clock.
#[derive(Debug)]
pub(crate) struct Keepalive {
    interval: Option<Duration>,
    timeout: Option<Duration>,
    last_received: Instant,
    last_sent: Instant,
    /// When the last PING of ours went out, unless something was received since.
    asked: Option<Instant>,
}

impl Keepalive {
    pub(crate) const fn new(
        now: Instant,
        interval: Option<Duration>,
        timeout: Option<Duration>,
    ) -> Self {
        Self { interval, timeout, last_received: now, last_sent: now, asked: None }
    }

    /// The peer promised to be heard every `interval`: three of them missed are its death.
    pub(crate) fn promised(&mut self, interval: Duration) {
        let limit = interval.saturating_mul(3);
        self.timeout = Some(self.timeout.map_or(limit, |timeout| timeout.min(limit)));
    }

    pub(crate) const fn received(&mut self, now: Instant) {
        self.last_received = now;
        self.asked = None;
    }

    pub(crate) const fn sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    /// Whether there ever is a deadline.
    #[cfg(feature = "tokio")]
    pub(crate) const fn is_on(&self) -> bool {
        self.interval.is_some() || self.timeout.is_some()
    }

    /// When [`check`](Self::check) is to be called next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let ping = self.interval.map(|interval| self.quiet_since() + interval);
        let death = self.timeout.map(|timeout| self.last_received + timeout);
        match (ping, death) {
            (Some(ping), Some(death)) => Some(ping.min(death)),
            (ping, death) => ping.or(death),
        }
    }

    /// What is due at `now`.
    pub(crate) fn check(&mut self, now: Instant) -> Due {
        let silence = now.saturating_duration_since(self.last_received);
        if self.timeout.is_some_and(|timeout| silence >= timeout) {
            return Due::Dead(silence);
        }
        match self.interval {
            Some(interval) if now >= self.quiet_since() + interval => {
                self.asked = Some(now);
                self.last_sent = now;
                Due::Ping
            }
            _ => Due::Nothing,
        }
    }

    /// The earlier of the two silences, ours and the peer's; a PING on its way counts as asked.
    fn quiet_since(&self) -> Instant {
        let received = self.asked.map_or(self.last_received, |asked| asked.max(self.last_received));
        received.min(self.last_sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[expect(clippy::disallowed_methods, reason = "some instant to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn pings_when_quiet_and_gives_up_in_the_end() {
        let t0 = start();
        let mut keepalive = Keepalive::new(t0, Some(10 * SECOND), Some(35 * SECOND));
        assert_eq!(keepalive.deadline(), Some(t0 + 10 * SECOND));
        assert_eq!(keepalive.check(t0 + 9 * SECOND), Due::Nothing);
        assert_eq!(keepalive.check(t0 + 10 * SECOND), Due::Ping);
        assert_eq!(keepalive.deadline(), Some(t0 + 20 * SECOND));
        assert_eq!(keepalive.check(t0 + 20 * SECOND), Due::Ping);
        assert_eq!(keepalive.check(t0 + 30 * SECOND), Due::Ping);
        assert_eq!(keepalive.deadline(), Some(t0 + 35 * SECOND));
        assert_eq!(keepalive.check(t0 + 35 * SECOND), Due::Dead(35 * SECOND));
    }

    #[test]
    fn traffic_both_ways_puts_everything_off() {
        let t0 = start();
        let mut keepalive = Keepalive::new(t0, Some(10 * SECOND), Some(30 * SECOND));
        keepalive.received(t0 + 9 * SECOND);
        keepalive.sent(t0 + 9 * SECOND);
        assert_eq!(keepalive.deadline(), Some(t0 + 19 * SECOND));
        assert_eq!(keepalive.check(t0 + 10 * SECOND), Due::Nothing);
    }

    #[test]
    fn a_side_that_only_listens_keeps_its_promise_to_be_heard() {
        let t0 = start();
        let mut keepalive = Keepalive::new(t0, Some(10 * SECOND), None);
        for second in 1..10 {
            keepalive.received(t0 + second * SECOND);
        }
        assert_eq!(keepalive.check(t0 + 10 * SECOND), Due::Ping);
    }

    #[test]
    fn a_promise_of_the_peer_is_a_limit_of_its_own() {
        let t0 = start();
        let mut keepalive = Keepalive::new(t0, None, None);
        assert_eq!(keepalive.deadline(), None);
        keepalive.promised(2 * SECOND);
        assert_eq!(keepalive.deadline(), Some(t0 + 6 * SECOND));
        assert_eq!(keepalive.check(t0 + 6 * SECOND), Due::Dead(6 * SECOND));
    }
}
