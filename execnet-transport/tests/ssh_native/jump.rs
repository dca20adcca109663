//! Through other hosts.

use super::*;

fn through(hops: &[&Sshd], sshd: &Sshd) -> Config {
    let mut config = config(sshd);
    config.jumps = hops.iter().map(|hop| super::config(hop)).collect();
    config
}

#[tokio::test]
async fn through_one_and_two() {
    let (Some(one), Some(two), Some(sshd)) = (Sshd::start(), Sshd::start(), Sshd::start()) else {
        return;
    };
    assert_eq!(output(through(&[&one], &sshd), "echo hi").await, "hi\n");
    assert_eq!(output(through(&[&one, &two], &sshd), "echo hi").await, "hi\n");
    assert!(sshd.log().contains("Accepted publickey"));
}

#[tokio::test]
async fn the_host_key_of_each_is_checked() {
    let (Some(hop), Some(sshd)) = (Sshd::start(), Sshd::start()) else { return };
    let mut config = through(&[&hop], &sshd);
    config.jumps[0].user_known_hosts = Vec::new();
    match refusal(config).await {
        SshError::Jump { hop: told, error } => {
            assert_eq!(told, hop.address().to_string());
            assert!(matches!(*error, SshError::HostKeyUnknown { .. }), "{error}");
        }
        other => panic!("{other}"),
    }
    assert!(!hop.log().contains("Accepted"));
    let mut config = through(&[&hop], &sshd);
    config.user_known_hosts = Vec::new();
    let error = refusal(config).await;
    assert!(matches!(error, SshError::HostKeyUnknown { .. }), "{error}");
}

#[tokio::test]
async fn one_that_forwards_nothing_is_told() {
    let started = Sshd::builder().setting("AllowTcpForwarding no").start();
    let (Some(hop), Some(sshd)) = (started, Sshd::start()) else { return };
    let error = refusal(through(&[&hop], &sshd)).await;
    let text = error.to_string();
    assert!(matches!(error, SshError::Unreachable { .. }), "{text}");
    assert!(text.contains("jump host") && text.contains("prohibited"), "{text}");
}

#[tokio::test]
async fn when_a_hop_goes_the_link_is_lost() {
    let (Some(mut hop), Some(sshd)) = (Sshd::start(), Sshd::start()) else { return };
    let Link { mut reader, writer: _writer, guard, .. } =
        connect(through(&[&hop], &sshd), "echo hi; exec cat").await.unwrap();
    let mut hi = [0; 3];
    reader.read_exact(&mut hi).await.unwrap();
    hop.stop();
    let error = watched(reader.read(&mut hi)).await.unwrap_err();
    assert!(error.to_string().contains("lost"), "{error}");
    watched(guard.wait()).await;
}
