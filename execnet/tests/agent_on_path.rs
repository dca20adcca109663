//! The agent that is installed: what `agent` alone means to a program that is none itself.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::{env, fs};

use common::bounded;
use execnet::{GatewayError, Group};

/// This program again, with such a PATH: it is the program's own, and cannot be changed while it runs.
fn find_on(path: &Path) -> Output {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "tell_what_is_found", "--ignored", "--nocapture"])
        .env("PATH", path)
        .output()
        .unwrap()
}

#[test]
fn it_is_looked_for_on_path() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("execnet-agent");
    let told = String::from_utf8(find_on(dir.path()).stdout).unwrap();
    assert!(told.contains("found: none"), "{told}");

    fs::write(&program, format!("#!/bin/sh\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_execnet")))
        .unwrap();
    let told = String::from_utf8(find_on(dir.path()).stdout).unwrap();
    assert!(told.contains("found: none"), "it is no program yet: {told}");

    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let told = String::from_utf8(find_on(dir.path()).stdout).unwrap();
    assert!(told.contains("found: native"), "{told}");
    assert!(told.contains(&format!("popen {}", program.display())), "{told}");
}

#[tokio::test]
#[ignore = "is run by it_is_looked_for_on_path"]
async fn tell_what_is_found() {
    match bounded(Group::new().make_gateway("popen//agent")).await {
        Ok(gateway) => println!("found: {}, {}", gateway.info().implementation, gateway.address()),
        Err(GatewayError::NoAgent { .. }) => println!("found: none"),
        Err(error) => panic!("{error}"),
    }
}
