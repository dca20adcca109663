//! Connections that a far end makes.

use std::io::ErrorKind;

use execnet_agent::{Channel, Message};
use execnet_channel::proto::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use crate::support::{Far, items, with_each};

async fn connect(far: &Far) -> (Channel, Channel, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let stream = far.mux.open().unwrap();
    let rest = [("address", address.as_str().into()), ("stream", Value::Channel(stream.id()))];
    let mut control = far.request("connect", rest).await;
    let (peer, _) = listener.accept().await.unwrap();
    let said: Value = control.recv_value().await.unwrap().unwrap();
    assert_eq!(said, Value::dict([("peer", address)]));
    (control, stream, peer)
}

#[tokio::test]
async fn bytes_go_both_ways_and_each_has_its_end() {
    with_each(async |far: Far| {
        let (mut control, mut stream, mut peer) = connect(&far).await;
        stream.send(Message::bytes("ping")).await.unwrap();
        stream.finish();
        let mut heard = String::new();
        peer.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "ping");
        peer.write_all(&vec![b'x'; 3_000_000]).await.unwrap();
        drop(peer);
        let mut count = 0;
        while let Some(message) = stream.recv().await.unwrap() {
            count += message.payload.len();
        }
        assert_eq!(count, 3_000_000);
        assert_eq!(items(&mut control).await, Ok(vec![]));
        assert_eq!(far.status("executing").await, Value::Int(0));
    })
    .await;
}

#[tokio::test]
async fn either_close_ends_it() {
    with_each(async |far: Far| {
        for which in 0..2 {
            let (control, stream, mut peer) = connect(&far).await;
            let kept = if which == 0 {
                drop(stream);
                control
            } else {
                drop(control);
                stream
            };
            let mut rest = Vec::new();
            match peer.read_to_end(&mut rest).await {
                Ok(_) => assert_eq!(rest, b""),
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            }
            kept.wait_close().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn unix_sockets() {
    with_each(async |far: Far| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let mut stream = far.mux.open().unwrap();
        let address = format!("unix:{}", path.display());
        let rest = [("address", Value::from(address)), ("stream", Value::Channel(stream.id()))];
        let _control = far.request("connect", rest).await;
        let (mut peer, _) = listener.accept().await.unwrap();
        peer.write_all(b"hello").await.unwrap();
        assert_eq!(stream.recv().await.unwrap().unwrap().payload, "hello");
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_connected_is_named() {
    // A port that was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap().to_string();
    drop(listener);
    with_each(async |far: Far| {
        for (address, kind) in [
            (closed.as_str(), "ConnectionRefusedError"),
            ("no-such-host.invalid:1", "gaierror"),
            ("unix:/no/such/socket", "FileNotFoundError"),
            ("no port", "ValueError"),
        ] {
            let mut stream = far.mux.open().unwrap();
            let rest = [("address", address.into()), ("stream", Value::Channel(stream.id()))];
            let mut control = far.request("connect", rest).await;
            let fault = items(&mut control).await.unwrap_err();
            assert_eq!(fault.kind, kind, "{}: {fault}", far.name);
            assert_eq!(items(&mut stream).await.unwrap_err().kind, kind, "{}", far.name);
        }
    })
    .await;
}
