//! What several tests need.
#![allow(dead_code, unreachable_pub, reason = "shared by several tests, each of which uses a part")]

pub mod threads;

use std::collections::BTreeSet;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use execnet::{Gateway, Group, Output};

/// Long enough for any machine; only a hang takes so long.
pub const WATCHDOG: Duration = Duration::from_secs(120);

/// Every CPython from 3.6 on: in pyenv's versions folder, and on PATH.
///
/// With none at all a test has nothing to run: it says so, and fails in CI.
pub fn pythons() -> Vec<PathBuf> {
    let home = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pyenv")));
    let versions = home.and_then(|home| std::fs::read_dir(home.join("versions")).ok());
    let installed =
        versions.into_iter().flatten().flatten().map(|dir| dir.path().join("bin/python3"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|dir| dir.join("python3"));
    // A version manager's shims are the same interpreters again, by a slow way.
    let found: BTreeSet<_> = installed
        .chain(on_path)
        .filter(|python| !python.components().any(|part| part.as_os_str() == "shims"))
        .filter_map(|python| python.canonicalize().ok())
        .filter(is_new_enough)
        .collect();
    if found.is_empty() {
        skip("no CPython from 3.6 on in pyenv's versions folder or on PATH");
    }
    found.into_iter().collect()
}

fn is_new_enough(python: &PathBuf) -> bool {
    let check = "import sys; sys.exit(sys.version_info < (3, 6))";
    Command::new(python).args(["-c", check]).status().is_ok_and(|status| status.success())
}

/// Says that a test cannot run here; in CI that is a failure.
pub fn skip(reason: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "skipped in CI: {reason}");
    eprintln!("skipped: {reason}");
}

/// One interpreter, by its real path: fast to start.
pub fn python() -> Option<PathBuf> {
    pythons().pop()
}

/// A group that keeps the tests' output quiet.
pub fn group() -> Group {
    Group::builder().output(Output::discard()).build()
}

/// A popen gateway on some interpreter.
pub async fn popen(group: &Group) -> Option<Gateway> {
    let spec = format!("popen//python={}", python()?.display());
    Some(group.make_gateway(spec.as_str()).await.expect("a gateway"))
}

/// Fails instead of hanging.
pub async fn bounded<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(WATCHDOG, future).await.expect("no hang")
}

/// Resident memory of a process in MiB.
pub fn resident(pid: u64) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a live process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    let kib = line.split_whitespace().nth(1).expect("a number");
    kib.parse::<u64>().expect("a number") >> 10
}

/// Sees a process end: the process connects here and never closes, so that end-of-file on the
/// connection is its death.
pub struct Lifeline(TcpListener);

impl Lifeline {
    pub fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").expect("a port"))
    }

    /// Python that connects the process which runs it.
    pub fn source(&self) -> String {
        let port = self.0.local_addr().expect("an address").port();
        format!(
            "import socket, sys; sys.lifeline = socket.create_connection(('127.0.0.1', {port}))\n"
        )
    }

    /// Waits for a process to connect.
    pub fn accept(&self) -> Life {
        Life(self.0.accept().expect("a connection").0)
    }
}

pub struct Life(TcpStream);

impl From<TcpStream> for Life {
    fn from(connection: TcpStream) -> Self {
        Self(connection)
    }
}

impl Life {
    /// Waits until the process is gone.
    pub fn wait_for_death(mut self) {
        self.0.set_read_timeout(Some(WATCHDOG)).expect("a timeout");
        let mut rest = Vec::new();
        // A reset is an end as well; a time-out is not.
        if let Err(error) = self.0.read_to_end(&mut rest) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "still alive: {error}");
        }
    }
}
