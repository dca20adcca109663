//! The other machine that other tests rely on.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use execnet_testing::{Netns, Sshd};

/// An ssh server there, and a round trip to it after the connection is made.
fn round_trip(netns: &Netns) -> Option<(Sshd, Duration)> {
    let sshd = Sshd::builder().netns(netns.name()).address(netns.far().into()).start()?;
    let start = Instant::now();
    let mut client = TcpStream::connect((netns.far(), sshd.port())).unwrap();
    let connected = start.elapsed();
    client.write_all(b"SSH-2.0-nobody\r\n").unwrap();
    let mut greeting = [0; 8];
    client.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"SSH-2.0-");
    Some((sshd, connected))
}

#[test]
fn a_cable_leads_to_another_machine() {
    let Some(netns) = Netns::new() else { return };
    netns.rate("100mbit");
    let Some((sshd, _)) = round_trip(&netns) else { return };
    netns.unplug();
    let refused =
        TcpStream::connect_timeout(&(netns.far(), sshd.port()).into(), Duration::from_millis(200));
    assert!(refused.is_err());
    netns.plug();
    TcpStream::connect((netns.far(), sshd.port())).unwrap();
    let name = netns.name().to_owned();
    drop((sshd, netns));
    let left = Command::new("ip").args(["netns", "list"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&left.stdout).contains(&name));
}

#[test]
fn a_far_machine_takes_its_time() {
    let delay = Duration::from_millis(30);
    let Some(netns) = Netns::far_away(delay) else { return };
    let Some((_sshd, connected)) = round_trip(&netns) else { return };
    assert!(connected >= 2 * delay, "{connected:?}");
}
