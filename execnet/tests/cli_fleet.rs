//! The `execnet` command with many gateways, and `execnet ping`.

mod common;
#[path = "common/program.rs"]
mod program;

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use common::{Lifeline, bounded, python};
use execnet::{Group, StartProgress};
use program::{execnet, popen, run, status, stderr, stdout};
use serde_json::Value as Json;

/// Runs the command with a file of these lines, whose path replaces `HOSTS`.
fn run_with_hosts(args: &[&str], hosts: &str) -> Output {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("hosts.txt");
    std::fs::write(&file, hosts).unwrap();
    let file = file.to_str().unwrap();
    let args: Vec<_> = args.iter().map(|arg| if *arg == "HOSTS" { file } else { arg }).collect();
    run(&args)
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

const SEND_ID: &str = "channel.send(channel.gateway.id)";

#[test]
fn a_host_file_beside_specs() {
    let Some(popen) = popen() else { return };
    let hosts = format!("# the fleet\n\n{popen}//id=a\n  {popen}//id=b  # the second\r\n");
    let args = ["exec", "-c", SEND_ID, "--host-file", "HOSTS", &popen];
    let output = run_with_hosts(&args, &hosts);
    assert_eq!((status(&output), stderr(&output)), (0, ""));
    assert_eq!(sorted(stdout(&output)), ["a: a", "b: b", "gw0: gw0"]);

    // A file of code and one of hosts, no SPEC.
    let scratch = tempfile::tempdir().unwrap();
    let code = scratch.path().join("code.py");
    std::fs::write(&code, SEND_ID).unwrap();
    let output = run_with_hosts(&["exec", "--host-file", "HOSTS", code.to_str().unwrap()], &hosts);
    assert_eq!((status(&output), stderr(&output)), (0, ""));
    assert_eq!(sorted(stdout(&output)), ["a: a", "b: b"]);

    let output = run_with_hosts(&["info", "--json", "--host-file", "HOSTS", &popen], &hosts);
    let ids: Vec<_> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).unwrap()["gateway"].clone())
        .collect();
    assert_eq!((status(&output), ids), (0, vec!["gw0".into(), "a".into(), "b".into()]));
}

#[test]
fn a_host_file_from_stdin() {
    let Some(popen) = popen() else { return };
    let mut child = execnet(&["exec", "-c", SEND_ID, "--host-file", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    write!(child.stdin.take().unwrap(), "{popen}//id=only").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((status(&output), stdout(&output)), (0, "only\n"));
}

#[test]
fn mistakes_in_a_host_file_name_file_and_line() {
    let args = ["exec", "-c", "pass", "--host-file", "HOSTS"];
    let output = run_with_hosts(&args, "popen\n\npopen//pyhton=3 # a typo\nweb1\n");
    assert_eq!((status(&output), stdout(&output)), (64, ""));
    let lines: Vec<_> = stderr(&output).lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (line, place, words) in
        [(lines[0], "hosts.txt:3: ", "did you mean `python`"), (lines[1], "hosts.txt:4: ", "web1")]
    {
        assert!(line.contains(place) && line.contains(words), "{line}");
    }
    let output = run_with_hosts(&args, "# nobody\n");
    assert_eq!(status(&output), 64);
    assert!(stderr(&output).contains("no gateways"), "{}", stderr(&output));

    for (args, expected, words) in [
        (&["exec", "-c", "1", "--host-file", "/no/such/file"][..], 74, "/no/such/file"),
        (&["info", "--host-file", "/no/such/file", "popen"], 74, "/no/such/file"),
        (&["exec", "--host-file", "/dev/null"], 64, "-c CODE"),
        (&["exec", "-c", "1", "--host-file", "-", "--input", "-", "popen"], 64, "stdin"),
        (&["info"], 64, "SPEC"),
    ] {
        let output = run(args);
        assert_eq!((status(&output), stdout(&output)), (expected, ""), "{args:?}");
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
}

#[test]
fn ping_measures_both() {
    let Some(popen) = popen() else { return };
    let output = run(&["ping", "-n", "20", "--json", &popen]);
    assert_eq!((status(&output), stderr(&output)), (0, ""));
    let line: Json = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!((&line["gateway"], &line["pings"]), (&"gw0".into(), &20.into()), "{line}");
    let times = ["min", "median", "p90", "p99", "max"]
        .map(|name| line["round_trip_us"][name].as_f64().expect("a number"));
    assert!(times[0] > 0.0 && times.is_sorted(), "{line}");
    for way in ["there", "back"] {
        assert!(line["throughput_mib_s"][way].as_f64().is_some_and(|speed| speed > 0.0), "{line}");
    }

    let output = run(&["ping", "-n", "1", &popen]);
    assert_eq!((status(&output), stderr(&output)), (0, ""));
    for words in ["gw0 popen", "round trip: min ", "p99 ", "(1 ping)", " MiB/s there, "] {
        assert!(stdout(&output).contains(words), "{words}: {}", stdout(&output));
    }
}

/// A native agent has round trips, though no Python to send bytes.
#[test]
fn ping_of_a_native_agent() {
    let output = run(&["ping", "-n", "5", "--json", "popen//agent"]);
    assert_eq!((status(&output), stderr(&output)), (0, ""));
    let line: Json = serde_json::from_str(stdout(&output)).unwrap();
    assert!(line["round_trip_us"]["max"].as_f64().is_some_and(|time| time > 0.0), "{line}");
    assert_eq!(line["throughput_mib_s"], Json::Null);
}

#[test]
fn ping_says_what_is_wrong() {
    for (args, expected, words) in [
        (&["ping", "popen//python=/nonexistent/python"][..], 2, "/nonexistent/python"),
        (&["ping", "popen//pyhton=3"], 64, "did you mean `python`"),
        (&["ping", "-n", "0", "popen"], 64, "1..="),
        (&["ping", "popen", "popen"], 64, "unexpected argument"),
        (&["ping"], 64, "SPEC"),
    ] {
        let output = run(args);
        assert_eq!((status(&output), stdout(&output)), (expected, ""), "{args:?}");
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
    // Somebody who listens and says nothing, and somebody who never comes to the end of a million.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let spec = format!("ssh=-F none -p {} 127.0.0.1", silent.local_addr().unwrap().port());
    for args in [
        &["ping", "--timeout", "0.2", &*spec][..],
        &["ping", "--timeout", "200ms", "command=sh -c 'sleep 1000'"],
        &["ping", "--timeout", "3", "-n", "1000000", "popen"],
    ] {
        let output = run(args);
        assert_eq!((status(&output), stdout(&output)), (124, ""), "{args:?}");
        assert!(stderr(&output).starts_with("execnet: timed out after "), "{}", stderr(&output));
    }
    let output = run(&["info", "--timeout", "0.2", "command=sh -c 'sleep 1000'"]);
    assert_eq!((status(&output), stdout(&output)), (2, ""));
    assert!(stderr(&output).contains("no answer within 200ms"), "{}", stderr(&output));
    let help = run(&["ping", "--help"]);
    assert!(status(&help) == 0 && stdout(&help).contains("Examples:"), "{help:?}");
}

#[test]
fn ctrl_c_ends_a_ping_and_its_worker() {
    let Some(python) = python() else { return };
    let lifeline = Lifeline::new();
    // The far end runs this first, then becomes the interpreter that was asked for.
    let before =
        format!("{}import os; os.set_inheritable(sys.lifeline.fileno(), True)", lifeline.source());
    let code = format!("{before}\nos.execv(sys.executable, [sys.executable] + sys.argv[1:])");
    let scratch = tempfile::tempdir().unwrap();
    let script = scratch.path().join("interpreter.py");
    std::fs::write(&script, code).unwrap();
    let spec = format!("popen//python={} {}", python.display(), script.display());
    let child = execnet(&["ping", "-n", "1000000", &spec]).stdout(Stdio::piped()).spawn().unwrap();
    let life = lifeline.accept();
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill starts").success());
    let output = child.wait_with_output().unwrap();
    assert_eq!((status(&output), stdout(&output)), (130, ""));
    life.wait_for_death();
}

#[test]
fn where_one_does_not_start_nothing_runs() {
    let Some(popen) = popen() else { return };
    let missing = ["popen//python=/nonexistent/one", "popen//python=/nonexistent/two"];
    let output = run(&["exec", "-c", SEND_ID, missing[0], &popen, missing[1]]);
    let text = stderr(&output);
    assert_eq!((stdout(&output), status(&output)), ("", 2), "{text}");
    assert!(
        ["/nonexistent/one", "/nonexistent/two"].iter().all(|name| text.contains(name)),
        "{text}"
    );
}

#[tokio::test]
async fn progress_counts_every_start() {
    let Some(popen) = popen() else { return };
    let seen = Arc::<Mutex<Vec<StartProgress>>>::default();
    let told = seen.clone();
    let group = Group::builder().on_start(move |now| told.lock().unwrap().push(now)).build();
    let missing = "popen//python=/nonexistent/python";
    let results = bounded(group.make_gateways([popen.as_str(), missing, &popen])).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 2);
    let calls = std::mem::take(&mut *seen.lock().unwrap());
    let settled: Vec<_> = calls.iter().map(|now| now.started + now.failed).collect();
    assert_eq!(settled, [1, 2, 3]);
    assert!(calls.iter().all(|now| now.total == 3 && now.is_complete() == (*now == calls[2])));
    assert_eq!((calls[2].started, calls[2].failed), (2, 1));

    // A call counts for itself.
    bounded(group.make_all([popen.as_str()])).await.expect("a gateway");
    let calls = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(calls.iter().map(|now| (now.started, now.total)).collect::<Vec<_>>(), [(1, 1)]);
    bounded(group.terminate(common::WATCHDOG)).await.expect("all end");
}

/// Progress is for who watches: on a terminal, and nowhere else.
#[test]
fn a_terminal_shows_progress() {
    let Some(python) = python() else { return };
    let popen = format!("popen//python={}", python.display());
    let program = "
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
seen = b''
while True:
    try:
        data = os.read(terminal, 1000)
    except OSError:
        break
    if not data:
        break
    seen += data
os.waitpid(pid, 0)
sys.stdout.write(seen.decode())
";
    let args = ["exec", "-c", SEND_ID, &popen, &popen, &popen];
    let output = Command::new(python)
        .args(["-c", program, env!("CARGO_BIN_EXE_execnet")])
        .args(args)
        .output()
        .expect("Python");
    let text = stdout(&output);
    for words in ["started 1/3\r", "started 3/3\r\u{1b}[K", "gw2: gw2"] {
        assert!(text.contains(words), "{words:?} in {text:?} {}", stderr(&output));
    }
    assert_eq!(stderr(&run(&args)), "");
}
