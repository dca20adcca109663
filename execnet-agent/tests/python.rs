//! The Python worker, on every interpreter that this machine has.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::thread;

use execnet_agent::{bootstrap_line, bootstrap_source, bootstrap_source_deflated};
use execnet_testing::pythons;

const PREAMBLE: [u8; 8] = *b"\x89EXN\r\n\x1a\n";
/// HELLO with `{"versions": [1, 1]}`.
const HELLO: &[u8] = b"\x01\x00\x00\x0d\x00\x00\x00\x00\xa1\x68versions\x82\x01\x01";

#[test]
fn no_shell_changes_the_line() {
    let line = bootstrap_line();
    for forbidden in "'\"$\\`!<>%*{}[]~#\r\n\t".chars() {
        assert!(!line.contains(forbidden), "{forbidden:?} in {line}");
    }
    assert!(line.is_ascii() && !line.starts_with('-'));
    for shell in ["sh", "bash", "dash", "csh", "tcsh", "fish", "zsh"] {
        for quote in ['\'', '"'] {
            let echo = format!("echo {quote}{line}{quote}");
            let Ok(output) = Command::new(shell).args(["-c", &echo]).output() else { continue };
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), line, "{shell}");
        }
    }
}

#[test]
fn the_source_is_a_stub_and_a_block_of_modules() {
    let line = bootstrap_line();
    let stub_len: usize = line
        .rsplit_once("read(")
        .and_then(|(_, rest)| rest.trim_end_matches(')').parse().ok())
        .expect("the line ends with the length of the stub");
    let (stub, mut rest) = bootstrap_source().split_at(stub_len);
    assert!(std::str::from_utf8(stub).unwrap().ends_with("execnet_worker.main.run(f)\n"));

    assert_eq!(take_len(&mut rest, 4), 0, "nothing is compiled");
    assert_eq!(take_len(&mut rest, 4), rest.len());
    let mut found = BTreeSet::new();
    while !rest.is_empty() {
        let name = take_text(&mut rest, 2);
        let text = take_text(&mut rest, 4);
        assert!(!text.contains('\r'), "{name} has line ends that others read differently");
        assert!(found.insert(name.to_owned()));
    }
    let expected = fs::read_dir(python_dir().join("execnet_worker"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
        .map(|path| match path.file_stem().unwrap().to_str().unwrap() {
            "__init__" => "execnet_worker".to_owned(),
            stem => format!("execnet_worker.{stem}"),
        })
        .collect();
    assert_eq!(found, expected);
}

fn take_len(from: &mut &[u8], width: usize) -> usize {
    let (head, rest) = from.split_at(width);
    *from = rest;
    head.iter().fold(0, |len, byte| len << 8 | usize::from(*byte))
}

fn take_text<'a>(from: &mut &'a [u8], width: usize) -> &'a str {
    let len = take_len(from, width);
    let (text, rest) = from.split_at(len);
    *from = rest;
    std::str::from_utf8(text).unwrap()
}

#[test]
fn every_interpreter_answers_and_ends_with_its_link() {
    assert!(bootstrap_source_deflated().len() * 3 < bootstrap_source().len());
    for python in pythons() {
        for source in [bootstrap_source(), bootstrap_source_deflated()] {
            answers_and_ends(&python, source);
        }
    }
}

fn answers_and_ends(python: &Path, source: &[u8]) {
    let mut child = start(python, &bootstrap_line());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&[source, &PREAMBLE, HELLO].concat()).unwrap();

    let mut start = [0; 16];
    if let Err(error) = child.stdout.as_mut().unwrap().read_exact(&mut start) {
        let stderr = child.wait_with_output().unwrap().stderr;
        panic!("{}: {error}: {}", python.display(), String::from_utf8_lossy(&stderr));
    }
    assert_eq!(start[..8], PREAMBLE, "{}", python.display());
    assert_eq!((start[8], &start[12..]), (1, &[0; 4][..]), "{}", python.display());

    drop(stdin);
    let Output { stderr, .. } = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&stderr), "", "{}", python.display());
}

#[test]
fn an_interpreter_without_zlib_says_so() {
    let Some(python) = execnet_testing::python() else { return };
    let line = format!("import sys; sys.modules['zlib'] = None; {}", bootstrap_line());
    let mut child = start(&python, &line);
    // Gone before it has read all of it, perhaps.
    let _ = child.stdin.take().unwrap().write_all(bootstrap_source_deflated());
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(!status.success() && stderr.starts_with("execnet needs zlib to start"), "{stderr}");
}

fn start(python: &Path, line: &str) -> Child {
    let mut command = Command::new(python);
    command.args(["-c", line]).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn the_workers_own_tests_pass_on_every_interpreter() {
    // PyPy is the first, and takes longest.
    let waiting = Mutex::new(pythons().into_iter());
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(python) = { waiting.lock().unwrap().next() } {
                    let Output { status, stderr, .. } = Command::new(&python)
                        .args(["-B", "-m", "unittest", "discover", "-s", "tests", "-t", "."])
                        .current_dir(python_dir())
                        .output()
                        .unwrap();
                    if !status.success() {
                        let report = String::from_utf8_lossy(&stderr).into_owned();
                        failures.lock().unwrap().push(format!("{}:\n{report}", python.display()));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn python_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}
