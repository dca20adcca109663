//! Never to the wrong host.

use std::fs;

use execnet_transport::ssh::StrictHostKey;

use super::*;

/// The name of the server in files of known hosts.
fn name(sshd: &Sshd) -> String {
    format!("[{}]:{}", sshd.address(), sshd.port())
}

fn write(sshd: &Sshd, file: &str, text: &str) -> PathBuf {
    let path = sshd.dir().join(file);
    fs::write(&path, text).unwrap();
    path
}

/// A configuration that knows what these lines say.
fn knowing(sshd: &Sshd, lines: &str) -> Config {
    let mut config = config(sshd);
    config.user_known_hosts = vec![write(sshd, "known", lines)];
    config
}

fn key(sshd: &Sshd) -> String {
    sshd.host_key(HostKey::Ed25519)
}

/// A key of nobody's, as a known-hosts line has it.
fn other_key(sshd: &Sshd, kind: &str) -> String {
    let path = make_key(sshd, &format!("other_{kind}"), &["-t", kind, "-N", ""], false);
    let text = fs::read_to_string(path.with_extension("pub")).unwrap();
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_known_one_is_accepted_however_it_is_written() {
    let Some(sshd) = Sshd::start() else { return };
    let (name, key) = (name(&sshd), key(&sshd));
    let port = sshd.port();
    for lines in [
        format!("{name} {key}"),
        format!("# a comment\n\nweb1,{name} {key} me@here"),
        format!("[127.*]:{port},!nothing {key}"),
        // Of the host, on whatever port.
        format!("{} {key}", sshd.address()),
        format!("{name} {}\n{name} {key}", other_key(&sshd, "ecdsa")),
    ] {
        assert_eq!(output(knowing(&sshd, &lines), "echo hi").await, "hi\n", "{lines}");
    }
}

#[tokio::test]
async fn a_hashed_one_is_found() {
    let Some(sshd) = Sshd::start() else { return };
    let path = write(&sshd, "hashed", &format!("{} {}\n", name(&sshd), key(&sshd)));
    let hashing = std::process::Command::new("ssh-keygen").arg("-H").arg("-f").arg(&path).output();
    assert!(hashing.unwrap().status.success());
    assert!(fs::read_to_string(&path).unwrap().starts_with("|1|"));
    let mut config = config(&sshd);
    config.user_known_hosts = vec![path];
    assert_eq!(output(config, "echo hi").await, "hi\n");
}

#[tokio::test]
async fn an_unknown_one_is_refused_with_its_fingerprint() {
    let Some(sshd) = Sshd::start() else { return };
    let (name, key) = (name(&sshd), key(&sshd));
    for lines in [
        String::new(),
        format!("web1 {key}"),
        format!("[{}]:1 {key}", sshd.address()),
        format!("!{name},!{},* {key}", sshd.address()),
        format!("#{name} {key}"),
    ] {
        match refusal(knowing(&sshd, &lines)).await {
            SshError::HostKeyUnknown { name: told, key_type, fingerprint } => {
                assert_eq!((told.as_str(), key_type.as_str()), (name.as_str(), "ssh-ed25519"));
                assert!(fingerprint.starts_with("SHA256:"), "{fingerprint}");
            }
            other => panic!("{lines}: {other}"),
        }
    }
}

#[tokio::test]
async fn a_changed_one_is_refused_with_file_and_line() {
    let Some(mut sshd) = Sshd::start() else { return };
    let before = config(&sshd);
    assert_eq!(output(before.clone(), "echo hi").await, "hi\n");
    sshd.change_host_key(HostKey::Ed25519);
    for policy in [StrictHostKey::Yes, StrictHostKey::AcceptNew] {
        let mut config = before.clone();
        config.strict_host_key = policy;
        match refusal(config).await {
            SshError::HostKeyChanged { file, line, .. } => {
                assert_eq!((file, line), (Some(sshd.known_hosts()), Some(1)));
            }
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_revoked_one_is_refused_whatever_else_is_known() {
    let Some(sshd) = Sshd::start() else { return };
    let key = key(&sshd);
    let mut config = config(&sshd);
    config.global_known_hosts = vec![write(&sshd, "revoked", &format!("# 1\n@revoked * {key}\n"))];
    config.strict_host_key = StrictHostKey::AcceptNew;
    match refusal(config.clone()).await {
        SshError::HostKeyRevoked { file, line, .. } => {
            assert_eq!((file.as_ref(), line), (config.global_known_hosts.first(), Some(2)));
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn of_several_keys_a_known_one_is_asked_for() {
    let started = Sshd::builder()
        .host_key(HostKey::Ed25519)
        .host_key(HostKey::Ecdsa)
        .host_key(HostKey::Rsa)
        .start();
    let Some(sshd) = started else { return };
    for kind in [HostKey::Rsa, HostKey::Ecdsa, HostKey::Ed25519] {
        let lines = format!("{} {}", name(&sshd), sshd.host_key(kind));
        assert_eq!(output(knowing(&sshd, &lines), "echo hi").await, "hi\n", "{kind:?}");
    }
    // The one that is left is no less changed for being of another type.
    let lines = format!("{} {}", name(&sshd), other_key(&sshd, "rsa"));
    let error = refusal(knowing(&sshd, &lines)).await;
    assert!(matches!(error, SshError::HostKeyChanged { .. }), "{error}");
}

#[tokio::test]
async fn where_an_authority_is_to_vouch_for_the_host_it_says_so() {
    let Some(sshd) = Sshd::start() else { return };
    let lines = format!("@cert-authority * {}", other_key(&sshd, "ed25519"));
    let error = refusal(knowing(&sshd, &lines)).await;
    assert!(matches!(error, SshError::Config { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("known:1 wants") && text.contains("ssh_backend=openssh"), "{text}");
    // Where a key of its own is known as well, that will do.
    let lines = format!("{lines}\n{} {}", name(&sshd), key(&sshd));
    assert_eq!(output(knowing(&sshd, &lines), "echo hi").await, "hi\n");
}

#[tokio::test]
async fn an_alias_is_looked_up_in_place_of_the_host() {
    let Some(sshd) = Sshd::start() else { return };
    let mut config = knowing(&sshd, &format!("cluster {}", key(&sshd)));
    config.host_key_alias = Some("Cluster".to_owned());
    assert_eq!(output(config, "echo hi").await, "hi\n");
}

#[tokio::test]
async fn a_new_one_is_added_when_that_is_allowed() {
    let Some(sshd) = Sshd::start() else { return };
    for hashed in [false, true] {
        let mut config = config(&sshd);
        let file = sshd.dir().join(format!("new_{hashed}")).join("known_hosts");
        config.user_known_hosts = vec![file.clone()];
        config.strict_host_key = StrictHostKey::AcceptNew;
        config.hash_known_hosts = hashed;
        // Some at once, as a fleet would.
        let connect = || output(config.clone(), "echo hi");
        let (one, two, three) = tokio::join!(connect(), connect(), connect());
        assert_eq!((&*one, &*two, &*three), ("hi\n", "hi\n", "hi\n"));
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert_eq!(text.starts_with("|1|"), hashed, "{text}");
        config.strict_host_key = StrictHostKey::Yes;
        assert_eq!(output(config, "echo hi").await, "hi\n");
    }
}

#[tokio::test]
async fn files_that_cannot_be_read_are_not_passed_over() {
    let Some(sshd) = Sshd::start() else { return };
    let mut config = config(&sshd);
    config.global_known_hosts = vec![sshd.dir().to_owned()];
    let error = refusal(config).await;
    assert!(matches!(error, SshError::Config { .. }), "{error}");
}
