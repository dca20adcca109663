//! Far ends over ssh without the `ssh` program, on real servers.
#![cfg(all(feature = "ssh-native", unix))]

mod auth;
mod bytes;
mod conformance;
mod ending;
mod giving_up;
mod host_keys;
mod jump;

use std::path::PathBuf;
use std::time::Duration;

use execnet_testing::{HostKey, Sshd, User};
use execnet_transport::ssh::{Config, Native, SshError};
use execnet_transport::{Bootstrap, ConnectError, Link, Transport};
use tokio::io::AsyncReadExt;

/// What leads to a server that the test has made, and trusts its keys alone.
fn config(sshd: &Sshd) -> Config {
    let mut config = Config::new(sshd.address().to_string());
    config.port = sshd.port();
    config.user = sshd.user();
    config.identity_files = vec![sshd.client_key()];
    config.identity_agent = None;
    config.user_known_hosts = vec![sshd.known_hosts()];
    config.global_known_hosts = Vec::new();
    config
}

fn native(config: Config, command: &str) -> Native {
    Native::new(config, command).bootstrap(Bootstrap::None)
}

async fn connect(config: Config, command: &str) -> Result<Link, ConnectError> {
    native(config, command).connect().await
}

/// The error about ssh that connecting gives.
async fn refusal(config: Config) -> SshError {
    match connect(config, "true").await {
        Ok(_) => panic!("it connected"),
        Err(ConnectError::Ssh { error, .. }) => *error,
        Err(other) => panic!("{other}"),
    }
}

/// What a command prints.
async fn output(config: Config, command: &str) -> String {
    let Link { mut reader, writer, guard: _guard, .. } = connect(config, command).await.unwrap();
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).await.unwrap();
    text
}

/// As one word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Makes a key file with ssh-keygen, and lets it in if asked to.
fn make_key(sshd: &Sshd, name: &str, arguments: &[&str], let_in: bool) -> PathBuf {
    let path = sshd.dir().join(name);
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-C", name, "-f"])
        .arg(&path)
        .args(arguments)
        .status()
        .unwrap();
    assert!(made.success());
    if let_in {
        let public = std::fs::read_to_string(sshd.dir().join(format!("{name}.pub"))).unwrap();
        let file = sshd.dir().join("authorized_keys");
        let before = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, before + &public).unwrap();
    }
    path
}

/// Fails when something hangs.
async fn watched<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(execnet_testing::WATCHDOG, future).await.expect("it stands still")
}
