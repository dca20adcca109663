//! Far ends over ssh, with real servers and the real `ssh` program.
#![cfg(all(feature = "ssh", unix))]

mod resolve;

use std::process::Command;

/// Whether there is an `ssh` program; says so if not.
fn has_ssh() -> bool {
    let found = Command::new("ssh").arg("-V").output().is_ok();
    if !found {
        execnet_testing::skip("no ssh: install openssh-client");
    }
    found
}
