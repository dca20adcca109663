//! How it ends, and that it does.

use execnet_testing::Lifeline;
use execnet_transport::Ending;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::*;

#[tokio::test]
async fn a_lost_connection_is_an_error_and_not_an_end() {
    let Some(mut sshd) = Sshd::start() else { return };
    let Link { mut reader, mut writer, guard, .. } =
        connect(config(&sshd), "echo hi; exec cat").await.unwrap();
    let mut hi = [0; 3];
    reader.read_exact(&mut hi).await.unwrap();
    // The processes that serve the connection die with it, as in a crash.
    sshd.stop();
    let error = watched(reader.read(&mut hi)).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(error.to_string().contains(&sshd.address().to_string()), "{error}");
    let error = writer.write_all(b"x").await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(watched(guard.wait()).await, Ending::Closed);
}

#[tokio::test]
async fn silence_is_noticed() {
    let Some(sshd) = Sshd::start() else { return };
    let (relay, cut) = relay(&sshd).await;
    let mut config = config(&sshd);
    config.host_key_alias = Some(format!("[{}]:{}", sshd.address(), sshd.port()));
    config.hostname = "127.0.0.1".to_owned();
    config.port = relay;
    config.keepalive_interval = Duration::from_secs(1);
    config.keepalive_count = 2;
    let Link { mut reader, writer: _writer, guard, .. } =
        connect(config, "echo hi; exec cat").await.unwrap();
    let mut hi = [0; 3];
    reader.read_exact(&mut hi).await.unwrap();
    // Questions that are answered keep it: longer than the limit.
    let idle = tokio::time::timeout(Duration::from_secs(5), guard.wait()).await;
    assert!(idle.is_err(), "an idle link was given up");
    drop(cut);
    let error = watched(reader.read(&mut hi)).await.unwrap_err();
    assert_eq!(error.to_string(), "no answer from 127.0.0.1 for 3s");
    assert_eq!(watched(guard.wait()).await, Ending::Closed);
}

#[tokio::test]
async fn one_that_nobody_reads_is_not_silent() {
    let Some(sshd) = Sshd::start() else { return };
    let mut config = config(&sshd);
    config.keepalive_interval = Duration::from_secs(1);
    config.keepalive_count = 1;
    let Link { mut reader, writer: _writer, guard, .. } =
        connect(config, "exec head -c 50000000 /dev/zero").await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_secs(4), guard.wait()).await;
    assert!(waiting.is_err(), "a link that is not read was given up: {waiting:?}");
    let mut all = Vec::new();
    watched(reader.read_to_end(&mut all)).await.unwrap();
    assert_eq!(all.len(), 50_000_000);
}

#[tokio::test]
async fn signals_and_statuses_are_told() {
    let Some(sshd) = Sshd::start() else { return };
    for (command, expected) in [
        ("exit 0", "exit status 0"),
        ("exit 255", "exit status 255"),
        ("kill -9 $$", "killed by SIGKILL (signal 9)"),
        ("kill -TERM $$", "killed by SIGTERM (signal 15)"),
        ("no-such-command-here", "exit status 127"),
    ] {
        let link = connect(config(&sshd), command).await.unwrap();
        assert_eq!(watched(link.guard.wait()).await.to_string(), expected, "{command}");
    }
}

#[tokio::test]
async fn dropping_the_link_ends_a_process_that_looks_at_nothing() {
    let Some(sshd) = Sshd::start() else { return };
    let Some(user) = User::make() else { return };
    let mut config = config(&sshd);
    config.user = user.name().to_owned();
    let lifeline = Lifeline::new();
    let program = format!("{}print(flush=True)\nwhile True: pass", lifeline.source());
    let command = format!("exec python3 -c {}", quoted(&program));
    let mut link = connect(config, &command).await.unwrap();
    link.reader.read_u8().await.unwrap();
    let life = lifeline.accept();
    drop(link);
    tokio::task::spawn_blocking(move || life.wait_for_death()).await.unwrap();
}

#[tokio::test]
async fn a_command_that_is_refused_is_a_lost_link() {
    // What the host runs instead has no input of ours; a session without any is refused.
    let Some(sshd) = Sshd::builder().setting("MaxSessions 0").start() else { return };
    let error = refusal(config(&sshd)).await;
    assert!(matches!(error, SshError::ChannelRefused { .. }), "{error}");
}

/// A port that leads to the server until what is returned with it is dropped. Then nothing crosses any more, and
/// nothing is closed, as when a cable is pulled.
async fn relay(sshd: &Sshd) -> (u16, tokio::sync::oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let to = (sshd.address(), sshd.port());
    let (cut, mut pulled) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(to).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
            _ = &mut pulled => {}
        }
        // Held open.
        std::future::pending::<()>().await;
    });
    (port, cut)
}
