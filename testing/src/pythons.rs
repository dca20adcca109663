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
    static FOUND: LazyLock<Vec<PathBuf>> = LazyLock::new(find);
    if FOUND.is_empty() {
        skip("no Python from 3.6 on in pyenv's versions folder or on PATH");
    }
    FOUND.clone()
}

/// One interpreter, by its real path: fast to start.
#[must_use]
pub fn python() -> Option<PathBuf> {
    pythons().pop()
}

fn find() -> Vec<PathBuf> {
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
fn resolve(python: &Path) -> Option<PathBuf> {
    let question = "import os, sys; print(os.path.realpath(sys.executable)); \
                    sys.exit(sys.version_info < (3, 6))";
    let output = Command::new(python).args(["-c", question]).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(path.trim_end()))
}
