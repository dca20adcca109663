//! The worker's own tests, by plain `unittest`, on every CPython from 3.6 on that is found: in pyenv's versions folder,
//! and on PATH.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Test modules that need no gateway.
const MODULES: [&str; 3] = ["tests.test_cbor", "tests.test_channel", "tests.test_golden"];

#[test]
fn the_worker_passes_its_own_tests_on_every_python() {
    let pythons = pythons();
    if pythons.is_empty() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "no CPython from 3.6 on in CI");
        eprintln!("skipped: no CPython from 3.6 on found");
    }
    for python in pythons {
        let output = Command::new(&python)
            .args(["-B", "-m", "unittest"])
            .args(MODULES)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("python"))
            .output()
            .expect("the interpreter starts");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}:\n{text}", python.display());
        assert!(!text.contains("Ran 0 tests"), "{}:\n{text}", python.display());
    }
}

fn pythons() -> Vec<PathBuf> {
    let root = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pyenv")));
    let versions = root.and_then(|root| std::fs::read_dir(root.join("versions")).ok());
    let installed =
        versions.into_iter().flatten().flatten().map(|dir| dir.path().join("bin/python3"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|dir| dir.join("python3"));
    // A version manager's shims are the same interpreters again.
    let found: BTreeSet<_> = installed
        .chain(on_path)
        .filter(|python| !python.components().any(|part| part.as_os_str() == "shims"))
        .filter_map(|python| python.canonicalize().ok())
        .filter(|python| {
            let check = "import sys; sys.exit(sys.version_info < (3, 6))";
            Command::new(python).args(["-c", check]).status().is_ok_and(|status| status.success())
        })
        .collect();
    found.into_iter().collect()
}
