//! The server that other tests rely on.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use execnet_testing::{HostKey, Sshd};

fn ssh(sshd: &Sshd, command: &str) -> Child {
    Command::new("ssh")
        .arg("-F")
        .arg(sshd.client_config("here"))
        .args(["-T", "-o", "BatchMode=yes", "here", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn it_runs_commands_and_leaves_nothing() {
    let Some(sshd) = Sshd::start() else { return };
    let mut first = ssh(&sshd, "echo hello; exec sleep 1000");
    let mut lines = BufReader::new(first.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "hello\n");
    let (address, port) = (sshd.address(), sshd.port());
    drop(sshd);
    assert_eq!(lines.read_to_string(&mut line).unwrap(), 0, "the connection is over");
    assert_eq!(first.wait().unwrap().code(), Some(255));
    assert!(TcpStream::connect((address, port)).is_err(), "nobody listens");
}

#[test]
fn it_takes_settings_and_keys() {
    let builder = Sshd::builder().host_key(HostKey::Rsa).host_key(HostKey::Ecdsa);
    let Some(mut sshd) = builder.setting("ForceCommand echo forced").start() else { return };
    assert!(sshd.host_key(HostKey::Rsa).starts_with("ssh-rsa AAAA"));
    let output = ssh(&sshd, "true").wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "forced\n");

    sshd.change_host_key(HostKey::Ecdsa);
    let output = ssh(&sshd, "true").wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("HOST IDENTIFICATION HAS CHANGED"), "{complaint}\n{}", sshd.log());
}
