//! How workers and processes end.

use std::io::{BufRead, BufReader};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use execnet::blocking::{Channel, Gateway, Group, MultiChannel};
use execnet::{Ending, ExecError, ReceiveError, SendError, WaitError};

use super::common::threads::{group, on_one, spec, watched};
use super::common::{self, Lifeline};

#[test]
fn a_dead_worker_is_told_to_every_waiting_thread() {
    on_one(|gw| {
        let mut channels: Vec<_> =
            (0..3).map(|_| gw.remote_exec("channel.receive()").unwrap()).collect();
        thread::scope(|scope| {
            let waiting: Vec<_> = channels
                .iter_mut()
                .map(|channel| scope.spawn(|| channel.receive_value()))
                .collect();
            gw.kill();
            for waiting in waiting {
                let result = waiting.join().unwrap();
                let Err(ReceiveError::Lost(lost)) = result else { panic!("{result:?}") };
                assert_eq!(lost.ending(), Some(Ending::Signaled { signal: 9, core_dumped: false }));
            }
        });
        assert!(matches!(channels[0].send(&1), Err(SendError::Lost(_))));
        assert!(matches!(channels[0].wait_close(), Err(WaitError::Lost(_))));
        assert!(matches!(gw.remote_exec("1"), Err(ExecError::Lost(_))));
        assert!(gw.status().is_err() && gw.ping().is_err() && gw.is_lost());
        assert_eq!(gw.lost().ending(), Some(Ending::Signaled { signal: 9, core_dumped: false }));
    });
}

#[test]
fn dropping_the_last_handle_kills_the_worker() {
    let Some(spec) = spec() else { return };
    watched(move || {
        let lifeline = Lifeline::new();
        let source = format!("{}while True: pass", lifeline.source());
        let group = group();
        let gw = group.make_gateway(spec.as_str()).unwrap();
        let channel = gw.remote_exec(source).unwrap();
        let life = lifeline.accept();
        drop((group, gw));
        assert!(!channel.is_closed(), "a channel is a handle");
        drop(MultiChannel::new(vec![channel]));
        life.wait_for_death();
    });
}

/// However a process ends: its workers do as well, busy ones too.
#[test]
fn the_end_of_the_process_leaves_no_worker() {
    let Some(spec) = spec() else { return };
    for way in ["return", "exit", "panic", "-TERM", "-KILL"] {
        let (spec, lifeline) = (spec.clone(), Lifeline::new());
        watched(move || {
            let mut process = Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "ends::a_program_that_forgets_its_workers",
                    "--ignored",
                    "--nocapture",
                ])
                .envs([("SPEC", &spec), ("SOURCE", &lifeline.source()), ("WAY", &way.to_owned())])
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap();
            let lives = [lifeline.accept(), lifeline.accept()];
            let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
            assert!(lines.any(|line| line.unwrap().contains("at work")), "{way}");
            if way.starts_with('-') {
                let pid = process.id().to_string();
                assert!(Command::new("kill").args([way, &pid]).status().unwrap().success());
            }
            lives.into_iter().for_each(common::Life::wait_for_death);
            process.wait().unwrap();
        });
    }
}

#[test]
#[ignore = "is run by the_end_of_the_process_leaves_no_worker"]
fn a_program_that_forgets_its_workers() {
    static HANDLES: Mutex<Vec<(Group, Gateway, Channel)>> = Mutex::new(vec![]);
    let var = |name| std::env::var(name).expect("run by the other test");
    let busy = var("SOURCE") + "channel.send(1)\nwhile True: pass";
    for _ in 0..2 {
        let group = group();
        let gw = group.make_gateway(var("SPEC").as_str()).unwrap();
        let mut channel = gw.remote_exec(busy.as_str()).unwrap();
        channel.receive::<i64>().unwrap();
        HANDLES.lock().unwrap().push((group, gw, channel));
    }
    println!("at work");
    match var("WAY").as_str() {
        "return" => {}
        "exit" => std::process::exit(3),
        "panic" => panic!("as asked"),
        _ => {
            let mut handles = HANDLES.lock().unwrap();
            let _ = handles[0].2.receive_value();
        }
    }
}
