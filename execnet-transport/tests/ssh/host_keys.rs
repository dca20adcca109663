//! Files of known hosts say the same to either implementation.

use std::fs;
use std::process::Command;

use execnet_testing::{HostKey, Sshd};
use execnet_transport::ConnectError;
use execnet_transport::ssh::{Config, Options, SshError};

use crate::{BACKENDS, Backend, options};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Known,
    Unknown,
    Changed,
    Revoked,
}
use Verdict::*;

async fn verdict(backend: Backend, options: &Options) -> Verdict {
    let error = match backend.connect(options, "true").await {
        Ok(_) => return Known,
        Err(ConnectError::Ssh { error, .. }) => *error,
        Err(other) => panic!("{backend:?}: {other:?}"),
    };
    match error {
        SshError::HostKeyUnknown { .. } => Unknown,
        SshError::HostKeyChanged { .. } => Changed,
        SshError::HostKeyRevoked { .. } => Revoked,
        other => panic!("{backend:?}: {other:?}"),
    }
}

#[tokio::test]
async fn both_read_the_same_from_known_hosts() {
    let Some(sshd) = Sshd::start() else { return };
    let key = sshd.host_key(HostKey::Ed25519);
    let other = fs::read_to_string(sshd.dir().join("client.pub")).unwrap();
    let rsa = key_of(&sshd, "rsa");
    let (address, port) = (sshd.address(), sshd.port());
    let name = format!("[{address}]:{port}");
    for (what, lines, expected) in [
        ("nothing", String::new(), Unknown),
        ("its name", format!("{name} {key}"), Known),
        ("a list of names", format!("web0,{name},web2 {key}"), Known),
        ("wildcards", format!("[127.*]:* {key}"), Known),
        ("a wildcard that is too short", format!("[127.?]:{port} {key}"), Unknown),
        ("all but it", format!("[127.*]:*,!{name} {key}"), Unknown),
        ("another port", format!("[{address}]:1 {key}"), Unknown),
        ("no port", format!("{address} {key}"), Known),
        ("another key", format!("{name} {other}"), Changed),
        ("another key, then its own", format!("{name} {other}\n{name} {key}"), Known),
        ("a key of another kind", format!("{name} {rsa}"), Changed),
        ("a comment", format!("# {name} {key}"), Unknown),
        ("half a line", format!("{name}\n{name} {key}"), Known),
        ("revoked", format!("{name} {key}\n@revoked {name} {key}"), Revoked),
        ("revoked everywhere", format!("{name} {key}\n@revoked * {key}"), Revoked),
        ("another one revoked", format!("{name} {key}\n@revoked * {other}"), Known),
    ] {
        fs::write(sshd.known_hosts(), lines + "\n").unwrap();
        for backend in BACKENDS {
            assert_eq!(verdict(backend, &options(&sshd)).await, expected, "{what}, by {backend:?}");
        }
    }
}

#[tokio::test]
async fn hashed_names_are_found() {
    let Some(sshd) = Sshd::start() else { return };
    let hash = Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(sshd.known_hosts()).output();
    assert!(hash.unwrap().status.success());
    assert!(fs::read_to_string(sshd.known_hosts()).unwrap().starts_with("|1|"));
    for backend in BACKENDS {
        assert_eq!(verdict(backend, &options(&sshd)).await, Known, "{backend:?}");
    }
}

/// A host that has several keys shows the one that is known, and not the one that is preferred.
#[tokio::test]
async fn the_key_that_is_known_is_asked_for() {
    for known in [HostKey::Rsa, HostKey::Ecdsa] {
        let builder = Sshd::builder().host_key(HostKey::Ed25519);
        let Some(sshd) = builder.host_key(known).start() else { return };
        let line = format!("[{}]:{} {}\n", sshd.address(), sshd.port(), sshd.host_key(known));
        fs::write(sshd.known_hosts(), line).unwrap();
        for backend in BACKENDS {
            assert_eq!(verdict(backend, &options(&sshd)).await, Known, "{known:?}, {backend:?}");
        }
    }
}

#[tokio::test]
async fn aliases_and_several_files_count() {
    let Some(sshd) = Sshd::start() else { return };
    let second = sshd.dir().join("second");
    fs::write(&second, format!("web {}\n", sshd.host_key(HostKey::Ed25519))).unwrap();
    let files = format!("{} {}", sshd.known_hosts().display(), second.display());
    fs::write(sshd.known_hosts(), "").unwrap();
    let options = options(&sshd).set("UserKnownHostsFile", files);
    for backend in BACKENDS {
        assert_eq!(verdict(backend, &options).await, Unknown, "{backend:?}");
        let alias = options.clone().set("HostKeyAlias", "web");
        assert_eq!(verdict(backend, &alias).await, Known, "{backend:?}");
    }
}

#[tokio::test]
async fn authorities_are_for_the_program() {
    let Some(sshd) = Sshd::start() else { return };
    let key = sshd.host_key(HostKey::Ed25519);
    let options = options(&sshd);
    assert_eq!(Config::resolve(&options).await.unwrap().needs_openssh(), None);
    fs::write(sshd.known_hosts(), format!("@cert-authority * {key}\n")).unwrap();
    let reason = Config::resolve(&options).await.unwrap().needs_openssh();
    assert!(reason.is_some_and(|reason| reason.to_string().contains("known_hosts")));
    // The server has no certificate, so what the program sees is a key that nobody vouches for.
    assert_eq!(verdict(Backend::OpenSsh, &options).await, Unknown);
}

/// A public key of some kind that no server has.
fn key_of(sshd: &Sshd, kind: &str) -> String {
    let path = sshd.dir().join(kind);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-t", kind, "-f"])
        .arg(&path)
        .status()
        .unwrap();
    assert!(made.success());
    let text = fs::read_to_string(path.with_extension("pub")).unwrap();
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}
