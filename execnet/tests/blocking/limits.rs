//! Time limits: nothing is lost.

use std::process::Command;
use std::thread;
use std::time::Duration;

use execnet::blocking::TimedOut;
use execnet::{ReceiveError, SendError, WaitError};

use super::common::threads::{group, on_one, spec, watched};
use super::{SHORT, WATCHDOG};

#[test]
fn receiving_in_time_loses_nothing() {
    on_one(|gw| {
        let source = "for x in channel: channel.send(x)\nchannel.receive()";
        let mut channel = gw.remote_exec(source).unwrap();
        for limit in [Duration::ZERO, SHORT] {
            let nothing = channel.receive_timeout::<i64>(limit);
            assert!(matches!(nothing, Err(ReceiveError::TimedOut)), "{nothing:?}");
            let nothing = channel.receive_value_timeout(limit);
            assert!(matches!(nothing, Err(ReceiveError::TimedOut)), "{nothing:?}");
            let open = channel.wait_close_timeout(limit);
            assert!(matches!(open, Err(WaitError::TimedOut)), "{open:?}");
            assert!(gw.lost_timeout(limit).is_none());
        }
        // Asked again and again: every item once, in order.
        let (mut sender, mut receiver) = channel.split();
        let sending = thread::spawn(move || (0..2_000).try_for_each(|n| sender.send(&n)).unwrap());
        let mut items = Vec::new();
        while items.len() < 2_000 {
            match receiver.receive_timeout::<i64>(Duration::from_micros(20)) {
                Ok(item) => items.push(item),
                Err(error) => assert!(matches!(error, ReceiveError::TimedOut), "{error}"),
            }
        }
        assert!(items.iter().copied().eq(0..2_000));
        sending.join().unwrap();
        assert_eq!(
            receiver.receive_timeout::<i64>(Duration::MAX).ok(),
            None,
            "the end, not a wait"
        );
    });
}

#[test]
fn sending_in_time_sends_all_or_nothing() {
    on_one(|gw| {
        let source = "channel.gateway.go = channel\n\
             import threading; channel.gateway.event = threading.Event()\n\
             channel.send(1); channel.gateway.event.wait()\n\
             for item in channel: channel.send(item if isinstance(item, int) else item[0])";
        let mut channel = gw.remote_exec(source).unwrap();
        assert_eq!(channel.receive::<i64>().unwrap(), 1);
        // It does not read: after some items there is no room.
        let mut sent = 0u8;
        while sent < 255 {
            let result = match sent % 2 {
                0 => channel.send_bytes_timeout(vec![sent; 64 << 10], SHORT),
                _ => channel.send_timeout(&(sent, vec![0; 64 << 10]), SHORT),
            };
            match result {
                Ok(()) => sent += 1,
                Err(error) => {
                    assert!(matches!(error, SendError::TimedOut), "{error}");
                    break;
                }
            }
        }
        assert!((1..255).contains(&sent), "{sent}");
        gw.remote_exec("channel.gateway.event.set()").unwrap().wait_close().unwrap();
        channel.send_timeout(&-1, WATCHDOG).unwrap();
        channel.finish_sending();
        let mut items = channel.typed::<(), i64>();
        for n in 0..sent {
            assert_eq!(items.next().unwrap().unwrap(), i64::from(n));
        }
        assert_eq!(items.next().unwrap().unwrap(), -1, "the one that timed out was not sent");
        assert!(items.next().is_none());
    });
}

#[test]
fn a_far_end_that_stands_still_holds_nobody_up_who_has_a_limit() {
    on_one(|gw| {
        let signal = |signal: &str| {
            let pid = gw.info().pid.to_string();
            assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        };
        signal("-STOP");
        // Its threads do not all stop at once.
        while gw.ping_timeout(SHORT).unwrap().is_some() {}
        assert_eq!(gw.status_timeout(SHORT).unwrap(), None);
        // A request is never waited for, however long.
        let long = format!("#{}\nchannel.send('ran')", "x".repeat(1 << 20));
        let mut channel = gw.remote_exec(long).unwrap();
        let nothing = channel.receive_timeout::<String>(SHORT);
        assert!(matches!(nothing, Err(ReceiveError::TimedOut)), "{nothing:?}");
        signal("-CONT");
        assert!(gw.ping_timeout(WATCHDOG).unwrap().is_some());
        assert!(gw.status_timeout(WATCHDOG).unwrap().is_some());
        assert_eq!(channel.receive::<String>().unwrap(), "ran");
    });
}

#[test]
fn many_channels_with_a_limit() {
    let Some(spec) = spec() else { return };
    watched(move || {
        let group = group();
        group.make_all([spec.as_str(); 2]).unwrap();
        let source = "if channel.gateway.id == 'gw1': channel.receive()\n\
             channel.send(channel.gateway.id); channel.receive()";
        let mut channels = group.remote_exec(source).unwrap();
        assert_eq!(channels.channels_mut()[0].receive::<String>().unwrap(), "gw0");
        for item in channels.receive_each_within::<String>(SHORT) {
            assert!(matches!(item, Err(ReceiveError::TimedOut)), "{item:?}");
        }
        for closed in channels.wait_close_timeout(SHORT) {
            assert!(matches!(closed, Err(WaitError::TimedOut)), "{closed:?}");
        }
        for sent in channels.send_each_timeout(&1, WATCHDOG) {
            sent.unwrap();
        }
        let (mut senders, mut queue) = channels.receive_queue();
        let (index, end) = queue.next().unwrap();
        let mut seen = vec![(index, end.map_err(|error| error.to_string()))];
        let (index, item) = queue.next_timeout(WATCHDOG).unwrap().unwrap();
        seen.push((index, item.map_err(|error| error.to_string())));
        seen.sort_by_key(|(index, _)| *index);
        assert!(matches!(&seen[0], (0, Err(end)) if end.contains("end of channel")), "{seen:?}");
        assert!(matches!(&seen[1], (1, Ok(item)) if item.as_str() == Some("gw1")), "{seen:?}");
        assert_eq!(queue.next_timeout(SHORT).unwrap_err(), TimedOut);
        senders[1].send(&2).unwrap();
        let end = queue.next_timeout(WATCHDOG).unwrap();
        assert!(matches!(end, Some((1, Err(ReceiveError::End)))), "{end:?}");
        assert!(matches!(queue.next_timeout(WATCHDOG), Ok(None)));
        assert!(queue.next().is_none());

        let mut channels = group.remote_exec("channel.send(1)\nwhile True: pass").unwrap();
        assert!(channels.receive_each::<i64>().iter().all(Result::is_ok));
        channels.interrupt();
        for closed in channels.wait_close() {
            assert!(matches!(closed, Err(WaitError::Remote(_))), "{closed:?}");
        }
        group.terminate(Duration::from_secs(5)).unwrap();
    });
}
