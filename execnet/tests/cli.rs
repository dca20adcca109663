//! The `execnet` command as a shell and other programs see it.

mod common;
#[path = "common/program.rs"]
mod program;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use common::{Lifeline, WATCHDOG};
use program::{execnet, popen, run, status, stderr, stdout};
use serde_json::{Value as Json, json};

fn run_with_input(args: &[&str], input: &str) -> Output {
    let mut child = execnet(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn the_answer() {
    let Some(popen) = popen() else { return };
    let output = run(&["exec", "-c", "channel.send(6*7)", &popen]);
    assert_eq!((stdout(&output), stderr(&output), status(&output)), ("42\n", "", 0));
}

#[test]
fn input_is_sent_then_finished() {
    let Some(popen) = popen() else { return };
    let code = "for x in channel: channel.send(x*x)";
    let output = run_with_input(&["exec", "-c", code, "--input", "-", &popen], "1\n2\n\n3\n");
    assert_eq!((stdout(&output), status(&output)), ("1\n4\n9\n", 0), "{}", stderr(&output));

    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("items.jsonl");
    std::fs::write(&file, "{\"a\": [1, null]}\n\"x\"").unwrap();
    let code = "for x in channel: channel.send(repr(x))";
    let output = run(&["exec", "-c", code, "--input", file.to_str().unwrap(), &popen]);
    assert_eq!(
        (stdout(&output), status(&output)),
        ("{'a': [1, None]}\nx\n".replace("x\n", "'x'\n").as_str(), 0)
    );

    // Ints of any length, and keys in their order.
    let there = format!("{{\"z\": {}, \"a\": -0.0}}\n", "9".repeat(10_000));
    let add = "for x in channel: x['z'] += 1; channel.send(x)";
    let output = run_with_input(&["exec", "--json", "-c", add, "--input", "-", &popen], &there);
    let back = format!("{{\"z\":1{},\"a\":-0.0}}", "0".repeat(10_000));
    assert_eq!(stdout(&output), format!("{{\"gateway\":\"gw0\",\"item\":{back}}}\n"));

    let output = run_with_input(&["exec", "-c", code, "--input", "-", &popen], "1\n{oops\n");
    assert_eq!(status(&output), 64);
    let said = "execnet: input line 2: column 2: key must be a string\n";
    assert_eq!(stderr(&output), said);
    let output = run(&["exec", "-c", code, "--input", "/no/such/file", &popen]);
    assert_eq!(status(&output), 74);
}

#[test]
fn items_are_printed_as_python_shows_them() {
    let Some(popen) = popen() else { return };
    let code = "
for item in ['text', b'bytes', 1.5, (1,), {'k': {2}}, None, 10**30]:
    channel.send(item)
";
    let output = run(&["exec", "-c", code, &popen]);
    let expected =
        format!("text\nb'bytes'\n1.5\n(1,)\n{{'k': {{2}}}}\nNone\n1{}\n", "0".repeat(30));
    assert_eq!((stdout(&output), status(&output)), (expected.as_str(), 0));

    let code = "
for item in ['text', b'hi', (1, 2), float('nan'), {1: 2}, {'a': True}, 10**30]:
    channel.send(item)
";
    let output = run(&["exec", "--json", "-c", code, &popen]);
    let expected = [
        r#"{"gateway":"gw0","item":"text"}"#,
        r#"{"gateway":"gw0","item":{"$bytes":"aGk="}}"#,
        r#"{"gateway":"gw0","item":[1,2]}"#,
        r#"{"gateway":"gw0","item":{"$float":"nan"}}"#,
        r#"{"gateway":"gw0","item":{"$map":[[1,2]]}}"#,
        r#"{"gateway":"gw0","item":{"a":true}}"#,
        r#"{"gateway":"gw0","item":1000000000000000000000000000000}"#,
    ];
    assert_eq!(stdout(&output).lines().collect::<Vec<_>>(), expected);
}

#[test]
fn several_gateways_are_labelled() {
    let Some(popen) = popen() else { return };
    let code = "import os; print('printed'); channel.send(os.getpid())";
    let output = run(&["exec", "-c", code, &popen, &popen, &popen]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let mut lines: Vec<_> = stdout(&output)
        .lines()
        .map(|line| {
            line.split_once(": ").map(|(id, pid)| (id, pid.parse::<u32>().unwrap())).unwrap()
        })
        .collect();
    lines.sort();
    assert_eq!(lines.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ["gw0", "gw1", "gw2"]);
    lines.dedup_by_key(|(_, pid)| *pid);
    assert_eq!(lines.len(), 3, "three processes");
    let mut printed: Vec<_> = stderr(&output).lines().collect();
    printed.sort_unstable();
    assert_eq!(printed, ["gw0: printed", "gw1: printed", "gw2: printed"]);

    let output = run(&["exec", "--json", "-c", code, &popen, &popen]);
    let gateways: Vec<Json> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).unwrap()["gateway"].clone())
        .collect();
    assert!(gateways.contains(&json!("gw0")) && gateways.contains(&json!("gw1")), "{gateways:?}");
}

#[test]
fn a_remote_exception_prints_its_traceback() {
    let Some(popen) = popen() else { return };
    let output = run(&["exec", "-c", "1/0", &popen]);
    assert_eq!((stdout(&output), status(&output)), ("", 1));
    let text = stderr(&output);
    for part in ["Traceback (most recent call last)", "    1/0\n", "ZeroDivisionError"] {
        assert!(text.contains(part), "{part:?} in:\n{text}");
    }
}

#[test]
fn a_death_is_told() {
    let Some(popen) = popen() else { return };
    for (code, words) in [
        ("import os; os._exit(3)", "exit status 3"),
        ("import os,signal; os.kill(os.getpid(),9)", "SIGKILL"),
    ] {
        let output = run(&["exec", "-c", code, &popen]);
        assert_eq!((stdout(&output), status(&output)), ("", 2), "{code}");
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
}

#[test]
fn what_is_printed_goes_to_stderr() {
    let Some(popen) = popen() else { return };
    let code = "
import os, subprocess
print('one')
os.write(1, b'two\\n')
subprocess.call(['echo', 'three'])
channel.send('item')
";
    let output = run(&["exec", "-c", code, &popen]);
    assert_eq!((stdout(&output), status(&output)), ("item\n", 0));
    for line in ["one", "two", "three"] {
        assert!(stderr(&output).lines().any(|found| found == line), "{}", stderr(&output));
    }
}

#[test]
fn files_functions_and_arguments() {
    let Some(popen) = popen() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let file: PathBuf = scratch.path().join("tasks.py");
    std::fs::write(
        &file,
        "def join(channel, items, sep='-'):\n    channel.send(sep.join(items))\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let args = ["exec", "--call", "join", "--arg", r#"items=["a","b"]"#, file, &popen];
    let output = run(&args);
    assert_eq!((stdout(&output), status(&output)), ("a-b\n", 0), "{}", stderr(&output));

    std::fs::write(file, "raise ValueError('in a file')\n").unwrap();
    let output = run(&["exec", file, &popen]);
    assert_eq!(status(&output), 1);
    assert!(stderr(&output).contains("tasks.py\", line 1"), "{}", stderr(&output));
}

#[test]
fn time_limits_end_everything() {
    let Some(popen) = popen() else { return };
    let lifeline = Lifeline::new();
    let code = lifeline.source() + "while True: pass";
    let output = run(&["exec", "--timeout", "6s", "-c", &code, &popen]);
    assert_eq!((stderr(&output), status(&output)), ("execnet: timed out after 6s\n", 124));
    lifeline.accept().wait_for_death();
}

#[test]
fn mistakes_are_named_and_leave_nothing() {
    let code = ["exec", "-c", "pass"];
    for (spec, expected, words) in [
        ("popen//python=/nonexistent/python", 2, "/nonexistent/python"),
        ("pyhton=3", 64, "python"),
        ("popen//pyhton=3", 64, "did you mean `python`"),
        ("popen//popen", 64, "twice"),
        ("", 64, "empty"),
        ("ssh", 64, "ssh"),
        ("ssh=-Z host", 64, "-Z"),
        ("ssh=nowhere.invalid", 2, "cannot resolve"),
        ("popen//nice=low", 64, "low"),
    ] {
        let output = run(&[code[0], code[1], code[2], spec]);
        let text = stderr(&output);
        assert_eq!((stdout(&output), status(&output)), ("", expected), "{spec}: {text}");
        assert!(text.starts_with("execnet: ") && text.contains(words), "{spec}: {text}");
        assert!(!text.contains("panicked"), "{spec}: {text}");
    }
    for args in
        [&["exec"][..], &["exec", "-c", "1"], &["exec", "no-such-file.py", "popen"], &["fly"], &[]]
    {
        assert_eq!(status(&run(args)), 64, "{args:?}");
    }
    assert_eq!(status(&run(&["exec", "--help"])), 0);
    assert_eq!(status(&run(&["--version"])), 0);
}

#[test]
fn info_tells_facts() {
    let Some(popen) = popen() else { return };
    let output = run(&["info", &popen, &popen]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert!(
        stdout(&output).contains("gw1") && stdout(&output).contains("pid: "),
        "{}",
        stdout(&output)
    );
    let output = run(&["info", "--json", &popen]);
    let line: Json = serde_json::from_str(stdout(&output).trim_end()).unwrap();
    assert_eq!(line["gateway"], "gw0");
    assert!(
        line["facts"]["executable"].as_str().is_some_and(|path| path.contains("python")),
        "{line}"
    );
    assert_eq!(status(&run(&["info", "popen//python=/nonexistent/python"])), 2);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let Some(popen) = popen() else { return };
    let mut child = execnet(&["exec", "-c", "for n in range(10**9): channel.send(n)", &popen])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 2];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"0\n");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_stderr_that_takes_nothing_changes_nothing() {
    let Some(popen) = popen() else { return };
    for (code, said, left_with) in [("channel.send(1)", "1\n", 0), ("1/0", "", 1)] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut command = execnet(&["exec", "-c", code, &popen]);
        let output = command.env("EXECNET_LOG", "debug").stderr(full).output().unwrap();
        assert_eq!((stdout(&output), status(&output)), (said, left_with), "{code}");
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    assert_eq!(
        execnet(&["exec", "-c", "1", "popem"]).stderr(full).status().unwrap().code(),
        Some(64)
    );
}

#[test]
fn the_log_tells_what_happened() {
    let Some(popen) = popen() else { return };
    let args = ["exec", "-c", "channel.send(1)", &popen];
    let output = execnet(&args).env("EXECNET_LOG", "execnet=debug").output().unwrap();
    assert_eq!((stdout(&output), status(&output)), ("1\n", 0));
    for words in ["the link is up", "started", "exec", "ended"] {
        assert!(stderr(&output).contains(words), "{words}: {}", stderr(&output));
    }
    let output = execnet(&args).env("EXECNET_LOG", "execnet_channel=trace").output().unwrap();
    for words in ["sent kind=EXEC channel=1", "received kind=DATA channel=1", "kind=CLOSE"] {
        assert!(stderr(&output).contains(words), "{words}: {}", stderr(&output));
    }
    let output = execnet(&args).env("EXECNET_LOG", "execnet=loud").output().unwrap();
    assert!(stderr(&output).contains("EXECNET_LOG"), "{}", stderr(&output));
    assert_eq!(status(&output), 64);
}

/// Nothing survives its controller, however that ends and whatever the worker does.
#[test]
fn a_killed_controller_leaves_no_worker() {
    let Some(popen) = popen() else { return };
    for busy in ["channel.receive()", "while True: pass", "import time; time.sleep(1000)"] {
        let lifeline = Lifeline::new();
        let code = format!("{}channel.send(1)\n{busy}", lifeline.source());
        let mut controller = execnet(&["exec", "-c", &code, "--input", "-", &popen])
            // An input that stays open, so that the controller does not end by itself.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let life = lifeline.accept();
        let mut first = [0; 2];
        controller.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
        controller.kill().unwrap();
        controller.wait().unwrap();
        life.wait_for_death();
    }
}

fn ctrl_c(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill starts").success());
}

/// The next line that the command prints.
fn next_line(child: &mut Child) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    let stdout = child.stdout.as_mut().expect("a pipe");
    while stdout.read(&mut byte).expect("a line") == 1 && byte != *b"\n" {
        line.push(byte[0]);
    }
    String::from_utf8(line).expect("text")
}

#[test]
fn ctrl_c_interrupts_what_runs() {
    let Some(popen) = popen() else { return };
    let lifeline = Lifeline::new();
    // One line: the interrupt may be there before the call that it answers has come back.
    let line = "for n in range(10**15): n or channel.send('up')\n";
    let code = lifeline.source() + line;
    let mut child = execnet(&["exec", "-c", &code, &popen])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let life = lifeline.accept();
    assert_eq!(next_line(&mut child), "up");
    ctrl_c(&child);
    let output = child.wait_with_output().unwrap();
    for words in [line, "\nKeyboardInterrupt\n"] {
        assert!(stderr(&output).contains(words), "{output:?}");
    }
    assert_eq!(status(&output), 130);
    life.wait_for_death();
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let Some(popen) = popen() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // Tells each interrupt, and goes on.
    let code = format!(
        "import socket, time\nlife = socket.create_connection(('127.0.0.1', {}))\nhere = False\n\
         while True:\n  try:\n    here = here or not channel.send('up')\n    time.sleep(1000)\n  \
         except KeyboardInterrupt: life.sendall(b'!'); channel.send('no')",
        listener.local_addr().unwrap().port()
    );
    let mut child = execnet(&["exec", "-c", &code, &popen]).stdout(Stdio::piped()).spawn().unwrap();
    let mut life = listener.accept().unwrap().0;
    life.set_read_timeout(Some(WATCHDOG)).unwrap();
    assert_eq!(next_line(&mut child), "up");
    ctrl_c(&child);
    assert_eq!(next_line(&mut child), "no");
    ctrl_c(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    // Nobody asked it a second time, and waited for that.
    let mut told = Vec::new();
    let end = life.read_to_end(&mut told);
    assert!(end.is_ok() || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    assert_eq!(told, b"!");
}

#[test]
fn ctrl_c_while_gateways_start_leaves_nothing() {
    let Some(_) = popen() else { return };
    let lifeline = Lifeline::new();
    let code = format!("{}sys.lifeline.recv(1)", lifeline.source());
    // A far end that never speaks.
    let spec = format!("command=python3 -c \"exec('''{}''')\"", code.replace('\n', ";"));
    let child = execnet(&["exec", "-c", "pass", &spec]).spawn().unwrap();
    let life = lifeline.accept();
    ctrl_c(&child);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    life.wait_for_death();
}
