//! The table of README.md beside this file: every test that it names exists.

use std::fs;
use std::path::{Path, PathBuf};

/// The workspace.
fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn every_test_that_the_table_names_exists() {
    let table = include_str!("README.md");
    let mut rows = 0;
    let mut missing = Vec::new();
    for line in table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| row")) {
        let [_, row, verdict, tests, _] = line.split('|').collect::<Vec<_>>()[..] else {
            panic!("no row of three cells: {line}")
        };
        rows += 1;
        let left_out = verdict.trim().starts_with("left out");
        assert!(
            left_out || verdict.trim().starts_with("same") || verdict.trim().starts_with("better"),
            "{line}"
        );
        assert!(left_out || tests.contains("::"), "no test: {line}");
        let mut last = String::new();
        for name in tests.split(", ").map(|name| name.trim().split(" (").next().unwrap_or_default())
        {
            let Some((file, test)) = name.split_once("::") else { continue };
            // The file of the one before, and its class where that is not named.
            let (file, test) = match (file, last.rsplit_once("::")) {
                ("", Some((file, before))) => match (before.split_once('.'), test.contains('.')) {
                    (Some((class, _)), false) => (file.to_owned(), format!("{class}.{test}")),
                    _ => (file.to_owned(), test.to_owned()),
                },
                _ => (file.to_owned(), test.to_owned()),
            };
            if !exists(&file, &test) {
                missing.push(format!("{}: {file}::{test}", row.trim()));
            }
            last = format!("{file}::{test}");
        }
    }
    assert!(rows > 100, "{rows} rows");
    assert!(missing.is_empty(), "{missing:#?}");
}

fn exists(file: &str, test: &str) -> bool {
    if let Some(module) = file.strip_prefix("py/") {
        let path = top().join(format!("execnet-agent/python/tests/test_{module}.py"));
        let (class, method) = test.split_once('.').expect("Class.test");
        let text = fs::read_to_string(path).unwrap_or_default();
        let body = text.split(&format!("\nclass {class}(")).nth(1).unwrap_or_default();
        let body = body.split("\nclass ").next().unwrap_or_default();
        return body.contains(&format!("def {method}("));
    }
    let krate = ["server", "xspec", "channel", "proto", "transport"]
        .into_iter()
        .find_map(|name| Some((name, file.strip_prefix(name)?.strip_prefix('/')?)));
    let path = match krate {
        _ if file.starts_with("execnet/") => top().join(file),
        _ if file.starts_with("src/") => top().join("execnet-xspec").join(file),
        Some(("server", rest)) => top().join("execnet-agent/tests/server").join(rest),
        Some((name, rest)) if rest.starts_with("src/") => {
            top().join(format!("execnet-{name}")).join(rest)
        }
        Some((name, rest)) => top().join(format!("execnet-{name}/tests")).join(rest),
        None => top().join("execnet/tests").join(file),
    };
    let found = |path: &Path| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.contains(&format!("fn {test}("))
    };
    let folder = fs::read_dir(&path).into_iter().flatten().flatten();
    found(&path)
        || found(&path.with_extension("rs"))
        || folder.into_iter().any(|entry| found(&entry.path()))
}
