//! How soon each side notices that the other one is gone, where the link itself may not tell.

use std::time::Duration;

use execnet_channel::Config;
use execnet_xspec::{Kind, XSpec};

/// Each side is heard so often. Three times as long is also how long the far end waits until it ends itself, so it is
/// more than a program that blocks its runtime for a while would take.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// How many of them are missed before the other side counts as dead; the far end counts as many.
const MISSED: u32 = 3;

/// Fills in what the program has left open. A child process needs none of it: its link ends when either does.
pub(super) fn set(config: &mut Config, spec: &XSpec) {
    if matches!(spec.kind(), Ok(Kind::Popen)) && !spec.contains("via") {
        return;
    }
    let keepalive = *config.keepalive.get_or_insert(KEEPALIVE);
    config.idle_timeout.get_or_insert(keepalive.saturating_mul(MISSED));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(spec: &str, mut config: Config) -> (Option<u64>, Option<u64>) {
        set(&mut config, &spec.parse().unwrap());
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs());
        (seconds(config.keepalive), seconds(config.idle_timeout))
    }

    #[test]
    fn links_to_other_machines_are_watched_and_children_are_not() {
        assert_eq!(times("popen", Config::default()), (None, None));
        for spec in ["ssh=web1", "socket=web1:8888", "command=kubectl exec", "popen//via=gw1"] {
            assert_eq!(times(spec, Config::default()), (Some(20), Some(60)), "{spec}");
        }
    }

    #[test]
    fn the_programs_own_times_stay() {
        let second = Duration::from_secs(1);
        let keepalive = Config { keepalive: Some(second), ..Config::default() };
        assert_eq!(times("ssh=web1", keepalive.clone()), (Some(1), Some(3)));
        assert_eq!(times("popen", keepalive), (Some(1), None));
        let timeout = Config { idle_timeout: Some(9 * second), ..Config::default() };
        assert_eq!(times("ssh=web1", timeout), (Some(20), Some(9)));
    }
}
