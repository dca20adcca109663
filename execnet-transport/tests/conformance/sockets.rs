//! Servers at an address, plain and encrypted.

use std::time::Duration;

use execnet_testing::Authority;
use execnet_transport::tls::{Client, Server, Tls, Token};
use execnet_transport::{Tcp, Unix};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use super::*;

/// Serves each connection that `accept` gives.
fn serve<S, F, R>(peer: &Peer, mut accept: F)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
    F: FnMut() -> R + Send + 'static,
    R: Future<Output = Option<S>> + Send,
{
    let peer = peer.clone();
    tokio::spawn(async move {
        loop {
            let Some(stream) = accept().await else { continue };
            let peer = peer.clone();
            tokio::spawn(async move {
                let (reader, writer) = tokio::io::split(stream);
                peer.serve(reader, writer).await
            });
        }
    });
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_conforms() {
    let peer = Peer::new().unwrap();
    let (listener, port) = listener().await;
    let listener = std::sync::Arc::new(listener);
    serve(&peer, move || {
        let listener = listener.clone();
        async move { listener.accept().await.ok().map(|(stream, _)| stream) }
    });
    let nobody = self::listener().await.1;
    without_process(Suite::new(&peer, Tcp::new("localhost", port)))
        .fails(Tcp::new("127.0.0.1", nobody), Stage::Connect, Fault::FarEnd)
        .fails(Tcp::new("no-such-host.invalid", 1), Stage::Resolve, Fault::Caller)
        .run()
        .await
        .assert_passed();
}

#[tokio::test]
async fn unix_conforms() {
    let peer = Peer::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let listener = std::sync::Arc::new(UnixListener::bind(&path).unwrap());
    serve(&peer, move || {
        let listener = listener.clone();
        async move { listener.accept().await.ok().map(|(stream, _)| stream) }
    });
    without_process(Suite::new(&peer, Unix::new(path)))
        .fails(Unix::new(dir.path().join("none")), Stage::Connect, Fault::FarEnd)
        .run()
        .await
        .assert_passed();
}

async fn encrypted(server: Server, client: Client, stranger: Client) {
    let peer = Peer::new().unwrap();
    let (listener, port) = listener().await;
    let listener = std::sync::Arc::new(listener);
    serve(&peer, move || {
        let (listener, server) = (listener.clone(), server.clone());
        async move {
            let (stream, _) = listener.accept().await.ok()?;
            Some(server.accept(stream).await.ok()?.0)
        }
    });
    let at = Tcp::new("127.0.0.1", port);
    let dead = Tcp::new("127.0.0.1", self::listener().await.1);
    without_process(Suite::new(&peer, Tls::new(at.clone(), client.clone())))
        .fails(Tls::new(dead, client), Stage::Connect, Fault::FarEnd)
        .fails(
            Tls::new(at, stranger).timeout(Duration::from_secs(60)),
            Stage::Authenticate,
            Fault::FarEnd,
        )
        .run()
        .await
        .assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_by_token_conforms() {
    let token = Token::generate();
    let server = Server::new().unwrap().token(&token).unwrap();
    let stranger = Client::token(&Token::generate()).unwrap();
    encrypted(server, Client::token(&token).unwrap(), stranger).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_by_certificates_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "ca");
    let (certificate, key) = authority.sign("server", &["127.0.0.1"]);
    let server = Server::new().unwrap();
    let names = ["me.example".to_owned()];
    let server = server.pki(&certificate, &key, &authority.certificate(), names).unwrap();
    let (certificate, key) = authority.sign("client", &["me.example"]);
    let client = |name| Client::pki(&authority.certificate(), &certificate, &key, name).unwrap();
    encrypted(server, client("127.0.0.1"), client("other.example")).await;
}
