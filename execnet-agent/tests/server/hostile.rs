//! Who knows TLS, or has the token, and means harm.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::channel;
use std::thread;

use bytes::BytesMut;
use execnet_proto::{Frame, Hello, Limits, MAGIC};
use execnet_testing::{WATCHDOG, resident};
use execnet_transport::tls::{Client, Tls, Token};
use execnet_transport::{Link, Tcp, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Secret, Served, agent, bounded, group, new_token, secret, works};

/// What a client of this server sends, from its greeting on.
async fn recorded(secret: &Secret, served: &Served) -> Vec<u8> {
    let tap = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tap.local_addr().unwrap();
    let port = served.port();
    let (tell, seen) = channel();
    thread::spawn(move || {
        let (mut client, _) = tap.accept().unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut back, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        thread::spawn(move || {
            let _ = std::io::copy(&mut back, &mut to_client);
            let _ = to_client.shutdown(Shutdown::Write);
        });
        let (mut all, mut piece) = (Vec::new(), [0; 4096]);
        while let Ok(read @ 1..) = client.read(&mut piece) {
            all.extend_from_slice(&piece[..read]);
            let _ = server.write_all(&piece[..read]);
        }
        let _ = server.shutdown(Shutdown::Write);
        tell.send(all).unwrap();
    });
    let spec = format!("socket={address}//token_file={}", secret.file.display());
    let gateway = bounded(group().make_gateway(spec.as_str())).await.unwrap();
    bounded(gateway.exit(WATCHDOG)).await;
    drop(gateway);
    let all =
        tokio::task::spawn_blocking(move || seen.recv_timeout(WATCHDOG).unwrap()).await.unwrap();
    assert!(all.len() > 600, "a handshake and a session: {}", all.len());
    all
}

fn connect(served: &Served) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", served.port())).unwrap();
    stream.set_read_timeout(Some(WATCHDOG)).unwrap();
    stream
}

/// Waits for so many lines of refusals.
fn refused(served: &mut Served, count: usize) {
    (0..count).for_each(|_| drop(served.logged(&["refused", "peer="])));
}

#[tokio::test]
async fn who_stops_at_any_byte_of_the_handshake_has_to_go() {
    let secret = secret();
    let mut served = secret.serve(&["--handshake-timeout", "5s", "--max-unauthenticated", "1000"]);
    let bytes = recorded(&secret, &served).await;
    served.logged(&["ended"]);
    let before = resident(served.pid().into());
    let stopped: Vec<TcpStream> = (0..600)
        .map(|at| {
            let mut stream = connect(&served);
            let _ = stream.write_all(&bytes[..at]);
            stream
        })
        .collect();
    works(&secret, &served).await;
    refused(&mut served, 600);
    assert_eq!(served.workers(), Vec::<u32>::new());
    for mut stream in stopped {
        // The server's half of the handshake at most, and then the end.
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.len() < 2048, "{}", answer.len());
    }
    let grown = resident(served.pid().into()).saturating_sub(before);
    assert!(grown <= 32, "{grown} MiB more");
}

#[tokio::test]
async fn a_session_that_is_sent_again_opens_nothing() {
    let secret = secret();
    let mut served = secret.serve(&[]);
    let bytes = recorded(&secret, &served).await;
    served.logged(&["ended"]);
    for _ in 0..3 {
        let mut stream = connect(&served);
        let _ = stream.write_all(&bytes);
        let _ = stream.read_to_end(&mut Vec::new());
        refused(&mut served, 1);
        assert_eq!(served.workers(), Vec::<u32>::new());
    }
    works(&secret, &served).await;
}

/// A connection of somebody who has the token, before the first word.
async fn holder(secret: &Secret, served: &Served) -> Link {
    let token = Token::read(&secret.file).unwrap();
    let tcp = Tcp::new("127.0.0.1", served.port());
    bounded(Tls::new(tcp, Client::token(&token).unwrap()).connect()).await.unwrap()
}

fn greeting(limits: Limits) -> BytesMut {
    let mut bytes = BytesMut::from(&MAGIC[..]);
    Frame::Hello(Box::new(Hello::new(limits))).encode(&mut bytes);
    bytes
}

#[tokio::test]
async fn claims_of_who_has_the_token_cost_no_memory() {
    let secret = secret();
    let mut served = secret.serve(&[]);
    works(&secret, &served).await;
    served.logged(&["ended"]);
    let before = resident(served.pid().into());
    let longest = Limits { max_frame: (1 << 24) - 1, ..Limits::LEAST };
    let data = b"\x10\xff\xff\xff\0\0\0\x01some of it";
    for (bytes, said) in [
        // A HELLO of 16 MiB, of which nothing comes.
        ([&MAGIC[..], b"\x01\xff\xff\xff\0\0\0\0"].concat(), "16777215"),
        (greeting(longest).to_vec(), "at most"),
        // A frame of 16 MiB for the worker.
        ([&greeting(Limits::LEAST)[..], data].concat(), ""),
    ] {
        let Link { mut reader, mut writer, guard: _guard, .. } = holder(&secret, &served).await;
        writer.write_all(&bytes).await.unwrap();
        writer.flush().await.unwrap();
        let mut answer = Vec::new();
        let _ = bounded(reader.read_to_end(&mut answer)).await;
        let text = String::from_utf8_lossy(&answer);
        assert!(text.contains(said), "{text}");
        served.logged(&[if said.is_empty() { "ended" } else { "refused" }]);
    }
    let grown = resident(served.pid().into()).saturating_sub(before);
    assert!(grown <= 8, "{grown} MiB more");
    assert_eq!(served.workers(), Vec::<u32>::new());
    works(&secret, &served).await;
}

#[tokio::test]
async fn a_token_that_is_of_no_use_is_named_and_the_old_one_stays() {
    let secret = secret();
    let mut served = secret.serve(&[]);
    let kept = secret.dir.path().join("kept");
    std::fs::copy(&secret.file, &kept).unwrap();
    let whole = std::fs::read_to_string(&kept).unwrap();
    let spoil = |text: &str, mode: u32| {
        std::fs::write(&secret.file, text).unwrap();
        std::fs::set_permissions(&secret.file, PermissionsExt::from_mode(mode)).unwrap();
    };
    for (text, mode, said) in [
        (&whole[..63], 0o600, "64 hexadecimal digits"),
        ("", 0o600, "64 hexadecimal digits"),
        (&whole[..], 0o640, "chmod 600"),
    ] {
        spoil(text, mode);
        served.signal("HUP");
        let line = served.logged(&["stays in force", said]);
        assert!(text.is_empty() || !line.contains(text.trim()), "{line}");
        let spec = format!("socket={}//token_file={}", served.addresses[0], kept.display());
        let gateway = bounded(group().make_gateway(spec.as_str())).await.unwrap();
        bounded(gateway.exit(WATCHDOG)).await;
        // Neither a server nor a client starts with it.
        let file = secret.file.to_str().unwrap();
        let args = ["serve", "--listen", "127.0.0.1:0", "--token-file", file];
        let output = agent().args(args).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && printed.contains(said), "{printed}");
        let error = bounded(group().make_gateway(secret.spec(&served).as_str())).await.unwrap_err();
        assert!(error.to_string().contains(said) && !error.to_string().contains(&whole[..63]));
    }
    std::fs::remove_file(&secret.file).unwrap();
    new_token(&secret.file);
    served.signal("HUP");
    served.logged(&["read tokens and certificates again"]);
    works(&secret, &served).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_leaves_nobody_waiting() {
    let secret = secret();
    let mut served = secret.serve(&["--drain-timeout", "1s"]);
    works(&secret, &served).await;
    let spec = secret.spec(&served);
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let spec = spec.clone();
            tokio::spawn(async move {
                // Until the server takes no more.
                let mut worked = 0;
                while let Ok(gateway) = group().make_gateway(spec.as_str()).await {
                    let Ok(mut channel) = gateway.remote_exec("channel.send(1)").await else {
                        break;
                    };
                    if channel.receive::<i64>().await.is_err() {
                        break;
                    }
                    worked += 1;
                }
                worked
            })
        })
        .collect();
    // Some of them have worked by then.
    (0..8).for_each(|_| drop(served.logged(&["ended"])));
    served.signal("TERM");
    let mut worked = 0;
    for client in clients {
        worked += bounded(client).await.unwrap();
    }
    assert!(worked > 0);
    assert!(served.wait().success());
    served.logged(&["draining"]);
    assert!(served.rest_of_log().contains("ended"));
}

#[tokio::test]
async fn without_descriptors_it_waits_for_some() {
    let secret = secret();
    let mut served = Served::start_within("ulimit -n 40", &secret.args());
    let waiting: Vec<TcpStream> = (0..60).map(|_| connect(&served)).collect();
    served.logged(&["cannot accept a connection"]);
    drop(waiting);
    works(&secret, &served).await;
}
