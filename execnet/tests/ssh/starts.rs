//! What stands in the way of a start is either passed or told.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use execnet::GatewayError;
use execnet_testing::{Sshd, User};

use crate::common::{bounded, group};
use crate::{BACKENDS, refused, spec};

/// A server whose login shell does this first.
fn login(script: &str) -> Option<Sshd> {
    let command = format!("ForceCommand {script}; exec sh -c \"$SSH_ORIGINAL_COMMAND\"");
    Sshd::builder().setting(&command).start()
}

#[tokio::test]
async fn noise_in_front_of_the_handshake_is_passed() {
    let noisy = "head -c 10240 /dev/zero | tr '\\\\0' x; echo; echo and on stderr >&2";
    let Some(sshd) = login(noisy) else { return };
    for backend in BACKENDS {
        let gw = bounded(group().make_gateway(spec(&sshd, backend, "").as_str())).await.unwrap();
        let mut channel = gw.remote_exec("channel.send(42)").await.unwrap();
        assert_eq!(bounded(channel.receive::<i64>()).await.unwrap(), 42);
        assert!(gw.last_output(10).iter().any(|line| line == "and on stderr"), "{backend}");
    }
}

#[tokio::test]
async fn a_missing_interpreter_is_named_with_those_that_exist() {
    let Some(sshd) = login("echo welcome") else { return };
    for backend in BACKENDS {
        let error = refused(&group(), &spec(&sshd, backend, "//python=9.9")).await;
        let words = "ssh web1: remote shell: python9.9: command not found (exit 127); `python=` can be one of: /";
        assert!(error.to_string().starts_with(words), "{backend}: {error}");
        assert!(error.is_caller_fault());
        let GatewayError::NoInterpreter { found, .. } = error else {
            panic!("{backend}: {error:?}")
        };
        assert!(found.iter().any(|path| path.ends_with("/python3")), "{found:?}");
    }
    let Some(sshd) = login("PATH=/nowhere; export PATH") else { return };
    for backend in BACKENDS {
        // Not even `sh` is found then: the login shell says so.
        let error = refused(&group(), &spec(&sshd, backend, "")).await;
        assert!(error.to_string().starts_with("ssh web1: remote shell: "), "{backend}: {error}");
        assert!(error.to_string().ends_with("not found (exit 127)"), "{backend}: {error}");
    }
}

#[tokio::test]
async fn a_broken_login_shell_is_told_in_its_own_words() {
    let broken = "ForceCommand echo This account is currently not available.; exit 1";
    let Some(sshd) = Sshd::builder().setting(broken).start() else { return };
    for backend in BACKENDS {
        let error = refused(&group(), &spec(&sshd, backend, "")).await;
        assert!(matches!(error, GatewayError::Start { .. }), "{backend}: {error:?}");
        let text = error.to_string();
        for words in ["ssh web1", "exit status 1", "This account is currently not available."] {
            assert!(text.contains(words), "{backend}: {text}");
        }
    }
}

/// Real shells of real users, none of which runs a command.
#[tokio::test]
async fn a_user_who_cannot_log_in_is_told_as_one() {
    let garbage = tempfile::tempdir().unwrap();
    let script = garbage.path().join("shell");
    fs::write(&script, "#!/bin/sh\nprintf '\\377\\000 out of order\\n'\nexit 7\n").unwrap();
    for path in [garbage.path(), &script] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for (shell, words) in [
        ("/usr/sbin/nologin", &["exit status 1", "This account is currently not available"][..]),
        ("/bin/false", &["exit status 1", "login shell"]),
        (script.to_str().unwrap(), &["exit status 7", "out of order"]),
    ] {
        let Some(sshd) = Sshd::start() else { return };
        let Some(user) = User::with_shell(shell) else { return };
        for backend in BACKENDS {
            let spec = format!("{}//ssh_backend={backend}", as_user(&sshd, &user));
            let text = refused(&group(), &spec).await.to_string();
            assert!(text.starts_with("ssh "), "{text}");
            for words in words {
                assert!(text.contains(words), "{shell}, {backend}: {text}");
            }
        }
    }
}

/// What sshd says before anybody has logged in.
#[tokio::test]
async fn a_banner_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let banner = dir.path().join("banner");
    fs::write(&banner, "Authorised users only.\nAll others are logged.\n").unwrap();
    let setting = format!("Banner {}", banner.display());
    let Some(sshd) = Sshd::builder().setting(&setting).start() else { return };
    for backend in BACKENDS {
        let gw = bounded(group().make_gateway(spec(&sshd, backend, "").as_str())).await.unwrap();
        let mut channel = gw.remote_exec("channel.send(42)").await.unwrap();
        assert_eq!(bounded(channel.receive::<i64>()).await.unwrap(), 42, "{backend}");
        let printed = gw.last_output(10);
        assert!(
            printed.iter().any(|line| line == "All others are logged."),
            "{backend}: {printed:?}"
        );
    }
}

/// A specification by which this user logs in.
fn as_user(sshd: &Sshd, user: &User) -> String {
    let config = sshd.client_config("web1");
    format!("ssh={}@web1//ssh_config={}", user.name(), config.display())
}

#[tokio::test]
async fn errors_of_the_connection_name_the_host_once() {
    let Some(mut sshd) = Sshd::start() else { return };
    let known_hosts = fs::read_to_string(sshd.known_hosts()).unwrap();
    fs::write(sshd.known_hosts(), "").unwrap();
    for backend in BACKENDS {
        let error = refused(&group(), &spec(&sshd, backend, "")).await;
        assert!(error.to_string().starts_with("ssh web1: host key of ["), "{error}");
    }
    fs::write(sshd.known_hosts(), known_hosts).unwrap();
    sshd.stop();
    for backend in BACKENDS {
        let error = refused(&group(), &spec(&sshd, backend, "")).await;
        let expected = format!("ssh web1: {} port {} refused", sshd.address(), sshd.port());
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
}

#[tokio::test]
async fn wrong_values_are_named() {
    for (spec, words) in [
        ("ssh=-Z web1", "`ssh`: `-Z`: unknown option"),
        ("ssh=-p 22", "`ssh`: ``: no host"),
        ("ssh=-- -oProxyCommand=x", "`ssh`: `-oProxyCommand=x`: not the name of a host"),
        ("ssh=web1 uptime", "`ssh`: `uptime`: a second host"),
        ("ssh=web1//ssh_backend=putty", "`ssh_backend`: unknown backend \"putty\""),
        ("ssh=-F a web1//ssh_config=b", "`ssh_config` beside `ssh=-F`"),
        ("ssh=web1//token_file=x", "`token_file` beside `ssh`"),
        ("vagrant_ssh=-x", "`vagrant_ssh`: `-x`: not the name of a host"),
    ] {
        let error = refused(&group(), spec).await;
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.is_caller_fault(), "{error:?}");
    }
}
