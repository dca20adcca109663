//! What goes wrong is told in the same way, whichever implementation finds it.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use execnet_testing::{HostKey, Sshd};
use execnet_transport::ssh::{Options, SshError};
use execnet_transport::{ConnectError, Stage};

use crate::{BACKENDS, Backend, has_ssh, options, with_config};

/// The error of a connection that is to fail.
async fn error(backend: Backend, options: &Options) -> SshError {
    match backend.connect(options, "true").await {
        Err(ConnectError::Ssh { error, source }) => {
            println!("{backend:?}: {error} ({source:?})");
            *error
        }
        Err(other) => panic!("{backend:?}: {other:?}"),
        Ok(link) => panic!("{backend:?}: connected to {}", link.guard.address()),
    }
}

fn name(sshd: &Sshd) -> String {
    format!("[{}]:{}", sshd.address(), sshd.port())
}

#[tokio::test]
async fn no_such_host() {
    if !has_ssh() {
        return;
    }
    let options = Options::new("no-such-host.invalid").unwrap().config_file("none");
    for backend in BACKENDS {
        let hostname = "no-such-host.invalid".to_owned();
        assert_eq!(error(backend, &options).await, SshError::Resolve { hostname });
    }
}

#[tokio::test]
async fn a_port_behind_a_colon_is_shown_its_place() {
    if !has_ssh() {
        return;
    }
    let options = Options::new("no-such-host.invalid:2222").unwrap().config_file("none");
    for backend in BACKENDS {
        let text = error(backend, &options).await.to_string();
        assert!(text.ends_with("a port is given as `-p 2222` in front of the host"), "{text}");
    }
}

/// The host takes the key, and nobody can sign with it.
#[tokio::test]
async fn a_key_that_nobody_unlocks_is_told_as_one() {
    let Some(sshd) = Sshd::start() else { return };
    let locking = Command::new("ssh-keygen")
        .args(["-q", "-p", "-P", "", "-N", "open sesame", "-f"])
        .arg(sshd.client_key())
        .status();
    assert!(locking.unwrap().success());
    for backend in BACKENDS {
        let found = error(backend, &options(&sshd)).await;
        let SshError::Denied { notes, .. } = found else { panic!("{backend:?}: {found:?}") };
        let start = format!("{}: ", sshd.client_key().display());
        let told = |note: &String| {
            note.starts_with(&start) && note.contains("passphrase") && note.contains("ssh-agent")
        };
        assert!(notes.iter().any(told), "{backend:?}: {notes:?}");
    }
}

#[tokio::test]
async fn nobody_listens() {
    let Some(mut sshd) = Sshd::start() else { return };
    sshd.stop();
    for backend in BACKENDS {
        let (hostname, port) = (sshd.address().to_string(), sshd.port());
        assert_eq!(error(backend, &options(&sshd)).await, SshError::Refused { hostname, port });
    }
}

#[tokio::test]
async fn nobody_answers() {
    if !has_ssh() {
        return;
    }
    // The system accepts for it, and nobody says a word.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = Options::new("127.0.0.1").unwrap().config_file("none").port(port);
    let options = options.set("ConnectTimeout", "1");
    for backend in BACKENDS {
        let found = error(backend, &options).await;
        let SshError::TimedOut { hostname, port: at, stage, after } = found else {
            panic!("{backend:?}: {found:?}")
        };
        assert_eq!((hostname.as_str(), at), ("127.0.0.1", port));
        assert_eq!((stage, after.as_secs()), (Stage::Handshake, 1));
    }
}

#[tokio::test]
async fn another_server_answers() {
    if !has_ssh() {
        return;
    }
    for backend in BACKENDS {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut client, _) = listener.accept().unwrap();
            client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
            let _ = client.read_to_end(&mut Vec::new());
        });
        let options = Options::new("127.0.0.1").unwrap().config_file("none").port(port);
        let found = error(backend, &options).await;
        let SshError::NotSsh { detail, .. } = found else { panic!("{backend:?}: {found:?}") };
        assert!(detail.contains("HTTP/1.1 400 Bad Request"), "{detail}");
        server.join().unwrap();
    }
}

#[tokio::test]
async fn host_keys_that_are_not_known() {
    let Some(sshd) = Sshd::start() else { return };
    let key = sshd.host_key(HostKey::Ed25519);
    let options = options(&sshd);
    for backend in BACKENDS {
        fs::write(sshd.known_hosts(), "").unwrap();
        let found = error(backend, &options).await;
        let SshError::HostKeyUnknown { name: of, key_type, fingerprint } = found else {
            panic!("{backend:?}: {found:?}")
        };
        assert_eq!((of, key_type.as_str()), (name(&sshd), "ssh-ed25519"));
        assert!(fingerprint.starts_with("SHA256:"), "{fingerprint}");
        assert_eq!(fs::read_to_string(sshd.known_hosts()).unwrap(), "", "nothing was added");

        // `no` is taken as `accept-new`: it is added, and from then on it is known.
        let adding = options.clone().set("StrictHostKeyChecking", "no").set("HashKnownHosts", "no");
        drop(backend.connect(&adding, "true").await.unwrap());
        let added = fs::read_to_string(sshd.known_hosts()).unwrap();
        assert!(added.contains(&key), "{backend:?}: {added}");
        drop(backend.connect(&options, "true").await.unwrap());
    }
}

#[tokio::test]
async fn host_keys_that_have_changed_or_are_revoked() {
    let Some(mut sshd) = Sshd::start() else { return };
    sshd.change_host_key(HostKey::Ed25519);
    let options = options(&sshd);
    let known = fs::read_to_string(sshd.known_hosts()).unwrap();
    for backend in BACKENDS {
        fs::write(sshd.known_hosts(), format!("# a comment\n{known}")).unwrap();
        for strict in ["yes", "no"] {
            let options = options.clone().set("StrictHostKeyChecking", strict);
            let found = error(backend, &options).await;
            let SshError::HostKeyChanged { name: of, key_type, file, line, .. } = found else {
                panic!("{backend:?}, {strict}: {found:?}")
            };
            assert_eq!((of, key_type.as_str()), (name(&sshd), "ssh-ed25519"));
            assert_eq!((file, line), (Some(sshd.known_hosts()), Some(2)));
        }

        let key = sshd.host_key(HostKey::Ed25519);
        let revoked = format!("{0} {key}\n@revoked {0} {key}\n", name(&sshd));
        fs::write(sshd.known_hosts(), revoked).unwrap();
        let found = error(backend, &options).await;
        let SshError::HostKeyRevoked { file, line, .. } = found else {
            panic!("{backend:?}: {found:?}")
        };
        assert_eq!((file, line), (Some(sshd.known_hosts()), Some(2)), "{backend:?}");
    }
}

#[tokio::test]
async fn keys_that_the_host_does_not_know() {
    let Some(sshd) = Sshd::start() else { return };
    let wrong = sshd.dir().join("host_ed25519");
    let text = fs::read_to_string(sshd.client_config("web1")).unwrap();
    let config = sshd.dir().join("wrong");
    let right = sshd.client_key().display().to_string();
    fs::write(&config, text.replace(&right, &wrong.display().to_string())).unwrap();
    for backend in BACKENDS {
        let found = error(backend, &with_config(&config)).await;
        let SshError::Denied { user, methods, keys, .. } = found else {
            panic!("{backend:?}: {found:?}")
        };
        assert_eq!((user, methods), (sshd.user(), vec!["publickey".to_owned()]));
        let [key] = &keys[..] else { panic!("{backend:?}: {keys:?}") };
        assert!(key.starts_with(&format!("{} (SHA256:", wrong.display())), "{backend:?}: {key}");
    }
}

#[tokio::test]
async fn sessions_that_the_host_does_not_open() {
    let Some(sshd) = Sshd::builder().setting("MaxSessions 0").start() else { return };
    for backend in BACKENDS {
        let found = error(backend, &options(&sshd)).await;
        assert!(matches!(found, SshError::ChannelRefused { .. }), "{backend:?}: {found:?}");
    }
}

#[tokio::test]
async fn hops_are_named() {
    let Some(mut sshd) = Sshd::start() else { return };
    let Some(hop) = Sshd::start() else { return };
    let config = sshd.dir().join("hops");
    let text = format!("{}  ProxyJump hop\n{}", sshd.client_entry("web1"), hop.client_entry("hop"));
    fs::write(&config, text).unwrap();
    let options = with_config(&config);
    for backend in BACKENDS {
        drop(backend.connect(&options, "true").await.unwrap());
    }

    sshd.stop();
    for backend in BACKENDS {
        let found = error(backend, &options).await;
        let told = found.to_string();
        assert!(told.contains("hop") && told.contains("efused"), "{backend:?}: {told}");
    }
    drop(hop);
    for backend in BACKENDS {
        let found = error(backend, &options).await;
        let SshError::Jump { hop, error } = found else { panic!("{backend:?}: {found:?}") };
        assert_eq!(hop, "hop");
        assert!(matches!(*error, SshError::Refused { .. }), "{backend:?}: {error:?}");
    }
}
