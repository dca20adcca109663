//! What the real program makes of real files.

use std::fs;
use std::path::PathBuf;

use execnet_transport::ConnectError;
use execnet_transport::ssh::{Config, NeedsOpenSsh, Options, SshError};
use tempfile::TempDir;

use crate::has_ssh;

/// A folder with a configuration file, and the file.
fn files(text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config");
    fs::write(&path, text).unwrap();
    (dir, path)
}

async fn resolve(host: &str, text: &str) -> Result<Config, ConnectError> {
    let (_dir, path) = files(text);
    Config::resolve(&Options::new(host).unwrap().config_file(path)).await
}

#[tokio::test]
async fn sections_count_where_they_match() {
    if !has_ssh() {
        return;
    }
    let text = "\
Host web1 web2
  HostName 10.0.0.1
  User alice
Match host 10.9.9.9 user nobody
  Port 1
Host web* !web2
  Port 2201
Host *
  Port 2299
  User bob
  ConnectTimeout 4
";
    let web1 = resolve("web1", text).await.unwrap();
    assert_eq!((web1.host.as_str(), web1.hostname.as_str()), ("web1", "10.0.0.1"));
    assert_eq!((web1.user.as_str(), web1.port), ("alice", 2201));
    let web2 = resolve("web2", text).await.unwrap();
    assert_eq!((web2.user.as_str(), web2.port), ("alice", 2299));
    let other = resolve("other", text).await.unwrap();
    assert_eq!((other.hostname.as_str(), other.user.as_str()), ("other", "bob"));
    assert_eq!(other.connect_timeout.as_secs(), 4);
    assert_eq!(other.needs_openssh(), None);
}

#[tokio::test]
async fn options_come_before_files() {
    if !has_ssh() {
        return;
    }
    let (dir, path) = files("Include more\nHost *\n  Port 1\n  User b\n");
    // Relative to ~/.ssh, had it not a full path.
    fs::write(&path, format!("Include {}\nHost *\n  Port 1\n", dir.path().join("more").display()))
        .unwrap();
    fs::write(dir.path().join("more"), "Host web1\n  User included\n  IdentityFile ~/k\n").unwrap();
    let first = dir.path().join("first");
    fs::write(&first, "").unwrap();
    let words = ["-p", "2222", "-oServerAliveInterval=9", "web1"];
    let options = Options::parse(words).unwrap().config_file(path).identity_file(&first);
    let config = Config::resolve(&options).await.unwrap();
    assert_eq!((config.user.as_str(), config.port), ("included", 2222));
    let home = std::env::home_dir().unwrap();
    assert_eq!(config.identity_files, [first.clone(), home.join("k")]);
    assert_eq!(config.keepalive_interval.as_secs(), 9);

    fs::remove_file(&first).unwrap();
    let error = Config::resolve(&options).await.unwrap_err();
    let expected = format!("identity file {}: No such file", first.display());
    assert!(error.to_string().contains(&expected), "{error}");
}

#[tokio::test]
async fn hops_have_configurations_of_their_own() {
    if !has_ssh() {
        return;
    }
    let text = "\
Host target
  ProxyJump one,me@two:2222
Host one
  HostName 10.0.0.1
  ProxyJump before
Host two
  HostName 10.0.0.2
  Port 99
  ProxyJump never
";
    let target = resolve("target", text).await.unwrap();
    let hops: Vec<_> = target
        .jumps
        .iter()
        .map(|hop| (hop.host.as_str(), hop.hostname.as_str(), hop.port, hop.jumps.len()))
        .collect();
    assert_eq!(
        hops,
        [("before", "before", 22, 0), ("one", "10.0.0.1", 22, 0), ("two", "10.0.0.2", 2222, 0)]
    );
    assert_eq!(target.jumps[2].user, "me");
}

#[tokio::test]
async fn what_cannot_be_used_is_told_with_its_place() {
    if !has_ssh() {
        return;
    }
    let error = resolve("a", "Host *\n  Colour blue\n").await.unwrap_err();
    assert!(error.to_string().contains("line 2: Bad configuration option: colour"), "{error}");
    assert!(error.is_caller_fault());
    let circle = "Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n";
    let error = resolve("a", circle).await.unwrap_err();
    assert!(error.to_string().contains("leads in a circle"), "{error}");
    let error = resolve("a", "Host a\n  ProxyJump a\n").await.unwrap_err();
    assert!(error.to_string().contains("jumphost loop via a"), "{error}");
    let missing = Options::new("a").unwrap().config_file("/nowhere/config");
    let error = Config::resolve(&missing).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/config"), "{error}");
    let ConnectError::Ssh { error, .. } = error else { panic!("{error:?}") };
    assert!(matches!(*error, SshError::Config { .. }));
}

#[tokio::test]
async fn what_needs_the_program_is_found() {
    if !has_ssh() {
        return;
    }
    let needs = |text: &str| {
        let text = text.to_owned();
        async move { resolve("a", &text).await.unwrap().needs_openssh() }
    };
    let command = "nc %h %p".to_owned();
    let proxy = Some(NeedsOpenSsh::ProxyCommand(command));
    assert_eq!(needs("Host a\n  ProxyCommand nc %h %p\n").await, proxy);
    assert_eq!(needs("Host a\n  ProxyJump b\nHost b\n  ProxyCommand nc %h %p\n").await, proxy);
    let agent = Some(NeedsOpenSsh::Keyword("ForwardAgent".to_owned()));
    assert_eq!(needs("Host a\n  ForwardAgent yes\n").await, agent);

    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let key = format!("Host a\n  IdentityFile {}\n", path("key").display());
    fs::write(path("key"), "").unwrap();
    assert_eq!(needs(&key).await, None);
    fs::write(path("key-cert.pub"), "").unwrap();
    assert_eq!(needs(&key).await, Some(NeedsOpenSsh::Certificate(path("key-cert.pub"))));
    fs::remove_file(path("key-cert.pub")).unwrap();
    fs::write(path("key.pub"), "sk-ssh-ed25519@openssh.com AAAA\n").unwrap();
    let hardware = Some(NeedsOpenSsh::SecurityKey(path("key")));
    assert_eq!(needs(&format!("{key}  IdentityAgent none\n")).await, hardware);

    let master = format!("Host a\n  ControlPath {}/%n:%p\n", dir.path().display());
    assert_eq!(needs(&master).await, None, "there is no master yet");
    fs::write(path("a:22"), "").unwrap();
    assert_eq!(needs(&master).await, Some(NeedsOpenSsh::ControlMaster(path("a:22"))));
}
