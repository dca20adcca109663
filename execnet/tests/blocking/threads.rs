//! Many threads, and groups in several of them.

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use execnet::blocking::Group;
use execnet::{GatewayError, Output, ReceiveError};

use super::WATCHDOG;
use super::common::threads::{group, on_one, spec, watched};

#[test]
fn many_threads_use_one_gateway() {
    on_one(|gw| {
        thread::scope(|scope| {
            for n in 0..16i64 {
                let gw = gw.clone();
                scope.spawn(move || {
                    let mut channel =
                        gw.remote_exec("for x in channel: channel.send(x * 2)").unwrap();
                    for x in 0..200 {
                        channel.send(&(n * x)).unwrap();
                        assert_eq!(channel.receive::<i64>().unwrap(), n * x * 2);
                    }
                });
            }
        });
    });
}

#[test]
fn the_halves_of_a_channel_are_used_by_two_threads_and_a_third_interrupts() {
    on_one(|gw| {
        let source = "for x in channel: channel.send(x)\nchannel.send('end')\nwhile True: pass";
        let (mut sender, mut receiver) = gw.remote_exec(source).unwrap().split();
        let sending = thread::spawn(move || {
            for n in 0..20_000 {
                sender.send(&n).unwrap();
            }
            sender.finish_sending();
            sender
        });
        for n in 0..20_000 {
            assert_eq!(receiver.receive::<i64>().unwrap(), n);
        }
        let sender = sending.join().unwrap();
        assert_eq!(receiver.receive::<String>().unwrap(), "end");
        thread::spawn(move || sender.interrupt());
        let Err(ReceiveError::Remote(error)) = receiver.receive_value() else { panic!("an error") };
        assert_eq!(error.kind(), "KeyboardInterrupt");
    });
}

#[test]
fn groups_work_in_parallel() {
    let Some(spec) = spec() else { return };
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let spec = spec.clone();
            thread::spawn(move || {
                watched(move || {
                    let group = group();
                    let gateways = group.make_all([spec.as_str(); 2]).unwrap();
                    assert_eq!(gateways.len(), 2);
                    let channels = group.remote_exec("import os; channel.send(os.getpid())");
                    let pids = channels.unwrap().receive_each::<u64>();
                    let told: Vec<_> = group.gateways().iter().map(|gw| gw.info().pid).collect();
                    let pids: Vec<_> = pids.into_iter().map(Result::unwrap).collect();
                    assert_eq!(pids, told);
                    group.terminate(Duration::from_secs(5)).unwrap();
                    assert!(group.is_empty());
                    pids
                })
            })
        })
        .collect();
    let pids: HashSet<_> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
    assert_eq!(pids.len(), 4);
}

#[test]
fn a_group_starts_names_and_ends() {
    let Some(spec) = spec() else { return };
    watched(move || {
        let group = Group::builder()
            .default_spec(spec.clone())
            .output(Output::discard())
            .start_timeout(WATCHDOG)
            .build();
        assert_eq!(group.make_default_gateway().unwrap().id(), "gw0");
        let named = format!("{spec}//id=me");
        let results = group.make_gateways([named.as_str(), named.as_str(), "popen//pyhton=3"]);
        assert_eq!(results[0].as_ref().unwrap().id(), "me");
        assert!(matches!(&results[1], Err(GatewayError::DuplicateId(_))));
        assert!(matches!(&results[2], Err(GatewayError::Spec(_))));
        assert_eq!(group.len(), 2);
        let me = group.get("me").unwrap();
        group.exit(&me, Duration::from_secs(5));
        assert!(me.is_lost() && group.get("me").is_none());
        let errors = group.make_all([spec.as_str(), "popen//python=/nonexistent"]).unwrap_err();
        assert_eq!(errors.len(), 1);
        assert_eq!(group.len(), 1);
        group.terminate(Duration::from_secs(5)).unwrap();
    });
}
