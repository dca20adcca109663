//! Servers that do not get there, and connects that are given up.

use std::future::poll_fn;
use std::task::Poll;

use execnet_transport::Stage;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;

/// Somebody who listens, and what a connection to it needs.
async fn listener() -> (TcpListener, Config) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = Config::new("127.0.0.1");
    config.port = listener.local_addr().unwrap().port();
    config.identity_agent = None;
    config.identity_files = Vec::new();
    config.user_known_hosts = Vec::new();
    config.global_known_hosts = Vec::new();
    (listener, config)
}

#[tokio::test]
async fn nobody_there() {
    let (listener, config) = listener().await;
    drop(listener);
    let port = config.port;
    assert_eq!(refusal(config).await, SshError::Refused { hostname: "127.0.0.1".into(), port });
}

#[tokio::test]
async fn no_such_host() {
    let (_listener, mut config) = listener().await;
    config.hostname = "no-such-host.invalid".to_owned();
    let hostname = config.hostname.clone();
    assert_eq!(refusal(config).await, SshError::Resolve { hostname });
}

#[tokio::test]
async fn a_silent_one_is_given_up_and_its_connection_closed() {
    let (listener, mut config) = listener().await;
    config.connect_timeout = Duration::from_millis(300);
    let (error, accepted) = tokio::join!(refusal(config), listener.accept());
    let after = Duration::from_millis(300);
    match error {
        SshError::TimedOut { stage: Stage::Handshake, after: told, .. } => assert_eq!(told, after),
        other => panic!("{other}"),
    }
    closes(accepted.unwrap().0).await;
}

#[tokio::test]
async fn one_that_speaks_something_else() {
    let (listener, config) = listener().await;
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 mail.example.org ESMTP\r\n").await.unwrap();
    };
    let (error, ()) = tokio::join!(refusal(config), serving);
    let text = error.to_string();
    assert!(matches!(error, SshError::NotSsh { .. }) && text.contains("ESMTP"), "{text}");
}

#[tokio::test]
async fn one_that_hangs_up_at_once() {
    let (listener, config) = listener().await;
    let serving = async { drop(listener.accept().await.unwrap()) };
    let (error, ()) = tokio::join!(refusal(config), serving);
    assert!(matches!(error, SshError::NotSsh { .. }), "{error}");
}

#[tokio::test]
async fn no_cipher_in_common() {
    let Some(sshd) = Sshd::builder().setting("Ciphers aes128-ctr").start() else { return };
    let mut config = config(&sshd);
    config.ciphers = vec!["aes256-ctr".to_owned()];
    match refusal(config).await {
        SshError::NoCommon { kind, offered, .. } => {
            assert_eq!((kind.as_str(), &*offered), ("cipher", &["aes128-ctr".to_owned()][..]));
        }
        other => panic!("{other}"),
    }
}

/// Given up at each await in turn: the server sees its connection closed every time.
#[tokio::test]
async fn connects_that_are_dropped_leave_no_connection() {
    let Some(sshd) = Sshd::start() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config(&sshd);
    config.host_key_alias = Some(format!("[{}]:{}", sshd.address(), sshd.port()));
    let to = (sshd.address(), sshd.port());
    config.hostname = "127.0.0.1".to_owned();
    config.port = listener.local_addr().unwrap().port();
    // Counts the connections that are open to the server.
    let (open, mut counting) = tokio::sync::watch::channel(0);
    let counter = std::sync::Arc::new(open);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let counter = counter.clone();
            counter.send_modify(|open| *open += 1);
            tokio::spawn(async move {
                if let Ok(mut far) = tokio::net::TcpStream::connect(to).await {
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                }
                counter.send_modify(|open| *open -= 1);
            });
        }
    });
    let transport = native(config, "exec cat");
    for polls in 1.. {
        let mut connecting = transport.connect();
        let mut polled = 0;
        let done = watched(poll_fn(|cx| {
            polled += 1;
            match connecting.as_mut().poll(cx) {
                Poll::Ready(link) => Poll::Ready(Some(link)),
                Poll::Pending if polled == polls => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        }))
        .await;
        drop(connecting);
        if let Some(link) = done {
            drop(link.unwrap());
            break;
        }
    }
    watched(counting.wait_for(|open| *open == 0)).await.unwrap();
}

/// Sees that the other side has closed.
async fn closes(mut stream: tokio::net::TcpStream) {
    let mut rest = Vec::new();
    let _ = watched(stream.read_to_end(&mut rest)).await;
}
