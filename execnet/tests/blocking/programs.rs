//! Programs on a gateway's machine.

use std::io::{BufRead, Write};

use execnet::{Ending, Stdio};

use super::common::threads::on_one;
use super::{SHORT, WATCHDOG};

#[test]
fn a_program_has_the_surroundings_it_is_given() {
    on_one(|gw| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().to_str().unwrap().to_owned();
        let script = "echo \"$1 $2 ${A-none} ${HOME-none}\"; pwd; echo bad >&2; exit 3";
        let program = gw.command(["sh"]).arg("-c").args([script, "sh", "one", "two"]);
        let program = program.current_dir(&*path).env("A", "x").env_remove("HOME");
        let output = program.clone().output_timeout(WATCHDOG).unwrap().expect("in time");
        assert_eq!(output.status, Ending::Exited(3));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("one two x none\n{path}\n"));
        assert_eq!(output.stderr, b"bad\n");
        assert_eq!(program.stderr(Stdio::Null).output().unwrap().stderr, b"");
        assert_eq!(gw.command(["false"]).status().unwrap(), Ending::Exited(1));
    });
}

#[test]
fn a_program_is_talked_with_and_then_collected() {
    on_one(|gw| {
        let cat = || gw.command(["cat"]).stdin(Stdio::Piped).stdout(Stdio::Piped);
        let mut process = cat().spawn().unwrap();
        assert_eq!(process.gateway().id(), gw.id());
        assert!(process.pid() > 1);
        let mut line = String::new();
        process.stdin.as_mut().unwrap().write_all(b"a line\nand more").unwrap();
        process.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        assert_eq!(line, "a line\n");
        let output = process.wait_with_output().unwrap();
        assert_eq!((output.status, &*output.stdout), (Ending::Exited(0), &b"and more"[..]));

        let mut process = cat().spawn_timeout(WATCHDOG).unwrap().expect("in time");
        assert_eq!(process.wait().unwrap(), Ending::Exited(0), "its input ends");
    });
}

#[test]
fn a_program_that_does_not_end_is_ended() {
    on_one(|gw| {
        let sleep = || gw.command(["sleep", "1000"]);
        let signaled = |signal| Ending::Signaled { signal, core_dumped: false };
        assert_eq!(sleep().status_timeout(SHORT).unwrap(), None);
        assert!(sleep().output_timeout(SHORT).unwrap().is_none());
        let mut process = sleep().spawn().unwrap();
        assert_eq!(process.wait_timeout(SHORT).unwrap(), None);
        process.signal(15).unwrap();
        assert_eq!(process.wait_timeout(WATCHDOG).unwrap(), Some(signaled(15)));
        assert_eq!(sleep().spawn().unwrap().kill().unwrap(), signaled(9));

        // Whatever this program inherited: what runs in the background may ignore it.
        let code = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\nprint(flush=True)\nsignal.pause()";
        let program = gw.command([&*gw.info().executable, "-c", code]).stdout(Stdio::Piped);
        let mut process = program.spawn().unwrap();
        process.stdout.as_mut().unwrap().read_line(&mut String::new()).unwrap();
        process.interrupt();
        assert_eq!(process.wait().unwrap(), signaled(2));
    });
}
