//! The interpreters of this machine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::skip;

/// Every Python from 3.6 on, by its real path: those in pyenv's versions folder, and `python3` and `pypy3` on PATH.
///
/// With none at all a test has nothing to run: it says so, and fails in CI.
#[must_use]
pub fn pythons() -> Vec<PathBuf> {
    found().iter().map(|python| python.path.clone()).collect()
}

/// One interpreter, by its real path, which is the fast way to start it: the newest CPython, where a channel is closed as soon
/// as nobody has it, or else the newest of the others.
#[must_use]
pub fn python() -> Option<PathBuf> {
    found().last().map(|python| python.path.clone())
}

/// In this order: CPython last, and the newest of it behind the others.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Python {
    is_cpython: bool,
    version: (u32, u32),
    path: PathBuf,
}

fn found() -> &'static [Python] {
    static FOUND: LazyLock<Vec<Python>> = LazyLock::new(find);
    if FOUND.is_empty() {
        skip("no Python from 3.6 on in pyenv's versions folder or on PATH");
    }
    &FOUND
}

fn find() -> Vec<Python> {
    let pyenv = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pyenv")));
    let versions = pyenv.and_then(|root| std::fs::read_dir(root.join("versions")).ok());
    let installed =
        versions.into_iter().flatten().flatten().map(|dir| dir.path().join("bin").join("python3"));
    let candidates = installed.chain(["python3", "pypy3"].map(PathBuf::from));
    let found: BTreeSet<_> = candidates.filter_map(|python| resolve(&python)).collect();
    found.into_iter().collect()
}

/// The interpreter behind a name, a link or a version manager's shim, if it is recent enough.
fn resolve(python: &Path) -> Option<Python> {
    let question = "import os, sys; print(sys.implementation.name, *sys.version_info[:2], \
                    os.path.realpath(sys.executable)); sys.exit(sys.version_info < (3, 6))";
    let output = Command::new(python).args(["-c", question]).output().ok()?;
    let answer = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let mut parts = answer.trim_end().splitn(4, ' ');
    Some(Python {
        is_cpython: parts.next()? == "cpython",
        version: (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?),
        path: parts.next()?.into(),
    })
}
