//! Who is let in, who is not, and what each side says about it.
#![cfg(unix)]

use std::error::Error as _;
use std::path::Path;
use std::time::Duration;

use execnet_testing::Authority;
use execnet_transport::tls::{Client, Peer, Server, Tls, Token};
use execnet_transport::{
    BoxFuture, ConnectError, Fault, Link, Memory, Stage, Tcp, Transport, memory,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What a server said of each connection; it sends `hello` to whom it lets in.
struct Listening {
    at: Tcp,
    port: u16,
    verdicts: mpsc::UnboundedReceiver<Result<Peer, String>>,
}

async fn listen(server: Server) -> Listening {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, verdicts) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (server, tell) = (server.clone(), tell.clone());
            tokio::spawn(async move {
                match server.accept(stream).await {
                    Ok((mut stream, peer)) => {
                        let _ = tell.send(Ok(peer));
                        let _ = stream.write_all(b"hello").await;
                        let _ = stream.shutdown().await;
                    }
                    Err(error) => drop(tell.send(Err(error.to_string()))),
                }
            });
        }
    });
    Listening { at: Tcp::new("127.0.0.1", port), port, verdicts }
}

impl Listening {
    /// What the client reads, or what it is told at whichever moment; then what the server says.
    async fn try_as(&mut self, client: Client) -> (Result<String, String>, Result<Peer, String>) {
        let heard = async {
            let mut link = match Tls::new(self.at.clone(), client).connect().await {
                Ok(link) => link,
                Err(error) => return Err(error.to_string()),
            };
            let mut text = String::new();
            match link.reader.read_to_string(&mut text).await {
                Ok(_) => Ok(text),
                Err(error) => Err(format!("{:?}: {error}", error.kind())),
            }
        };
        (heard.await, self.verdicts.recv().await.unwrap())
    }
}

fn hello() -> Result<String, String> {
    Ok("hello".to_owned())
}

#[tokio::test]
async fn the_holder_of_a_token_is_let_in_and_named() {
    let token = Token::generate();
    let mut server = listen(Server::new().unwrap().token(&token).unwrap()).await;
    let client = Client::token(&token).unwrap();
    assert_eq!(server.try_as(client).await, (hello(), Ok(Peer::Token(token.id()))));
}

#[tokio::test]
async fn a_server_may_have_several_tokens() {
    let (old, new, other) = (Token::generate(), Token::generate(), Token::generate());
    let server = Server::new().unwrap().token(&old).unwrap().token(&new).unwrap();
    let mut server = listen(server).await;
    for token in [&old, &new] {
        let client = Client::token(token).unwrap();
        assert_eq!(server.try_as(client).await, (hello(), Ok(Peer::Token(token.id()))));
    }
    let (heard, verdict) = server.try_as(Client::token(&other).unwrap()).await;
    assert!(heard.unwrap_err().contains("does not have this token"));
    assert_eq!(verdict, Err("a token that is not ours".to_owned()));
}

/// Somebody who has seen a greeting knows the name of the token, and not its keys.
#[tokio::test]
async fn the_name_of_a_token_opens_nothing() {
    let token = Token::generate();
    let mut server = listen(Server::new().unwrap().token(&token).unwrap()).await;
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "thief");
    let (certificate, key) = authority.sign("me", &["me"]);
    let name = format!("{}.execnet.invalid", token.id());
    let thief = Client::pki(&authority.certificate(), &certificate, &key, &name).unwrap();
    let (heard, verdict) = server.try_as(thief).await;
    assert!(heard.is_err() && verdict.is_err(), "{heard:?} {verdict:?}");
}

#[tokio::test]
async fn a_server_without_the_token_is_not_spoken_to() {
    let (token, other) = (Token::generate(), Token::generate());
    let (near, far) = memory::pair(64 << 10);
    let impostor = Server::new().unwrap().token(&other).unwrap();
    let accepting = tokio::spawn(async move {
        let Link { reader, writer, guard: _guard, .. } = far;
        impostor.accept(tokio::io::join(reader, writer)).await.map(drop)
    });
    let Link { reader, writer, guard: _guard, .. } = near;
    let error = Client::token(&token)
        .unwrap()
        .handshake(tokio::io::join(reader, writer))
        .await
        .expect_err("the server has another token");
    assert_eq!((error.stage(), error.fault()), (Stage::Authenticate, Fault::FarEnd));
    assert!(error.source().is_some());
    assert!(accepting.await.unwrap().is_err());
}

fn pki(dir: &Path) -> (Authority, Authority, Server) {
    let servers = Authority::new(dir, "servers");
    let clients = Authority::new(dir, "clients");
    let (certificate, key) = servers.sign("lab", &["lab.example", "127.0.0.1"]);
    let names = ["ann.example", "spiffe://lab/bob"].map(str::to_owned);
    let server = Server::new().unwrap().pki(&certificate, &key, &clients.certificate(), names);
    (servers, clients, server.unwrap())
}

#[tokio::test]
async fn certificates_need_the_right_authority_and_an_allowed_name() {
    let dir = tempfile::tempdir().unwrap();
    let (servers, clients, server) = pki(dir.path());
    let mut server = listen(server).await;
    let strangers = Authority::new(dir.path(), "strangers");
    let client = |authority: &Authority, names: &[&str], server: &str| {
        let (certificate, key) = authority.sign("client", names);
        Client::pki(&servers.certificate(), &certificate, &key, server).unwrap()
    };
    for (name, at) in [("ann.example", "lab.example"), ("ANN.example", "127.0.0.1")] {
        let peer = Ok(Peer::Name("ann.example".to_owned()));
        let ann = client(&clients, &["x.example", name], at);
        assert_eq!(server.try_as(ann).await, (hello(), peer));
    }
    let bob = client(&clients, &["spiffe://lab/bob"], "lab.example");
    let peer = Ok(Peer::Name("spiffe://lab/bob".to_owned()));
    assert_eq!(server.try_as(bob).await, (hello(), peer));
    for (client, said) in [
        (client(&strangers, &["ann.example"], "lab.example"), "a certificate that is not accepted"),
        (
            client(&clients, &["eve.example"], "lab.example"),
            "the key or the name is not one that is allowed",
        ),
        (
            client(&clients, &["*.example"], "lab.example"),
            "the key or the name is not one that is allowed",
        ),
        (
            client(&clients, &["the common name"], "lab.example"),
            "the key or the name is not one that is allowed",
        ),
    ] {
        let (heard, verdict) = server.try_as(client).await;
        let heard = heard.unwrap_err();
        assert!(heard.starts_with("PermissionDenied") && heard.contains("refuses us"), "{heard}");
        assert_eq!(verdict, Err(said.to_owned()));
    }
    let lost = client(&clients, &["ann.example"], "other.example");
    let (heard, verdict) = server.try_as(lost).await;
    assert!(heard.unwrap_err().contains("not for this name"));
    assert_eq!(verdict, Err("the client does not accept us".to_owned()));
}

#[tokio::test]
async fn tokens_and_certificates_go_together() {
    let dir = tempfile::tempdir().unwrap();
    let (servers, clients, server) = pki(dir.path());
    let token = Token::generate();
    let mut server = listen(server.token(&token).unwrap()).await;
    let (certificate, key) = clients.sign("ann", &["ann.example"]);
    let ann = Client::pki(&servers.certificate(), &certificate, &key, "lab.example").unwrap();
    assert_eq!(server.try_as(ann).await.0, hello());
    assert_eq!(server.try_as(Client::token(&token).unwrap()).await.0, hello());
}

#[tokio::test]
async fn a_client_of_certificates_gets_nowhere_at_a_server_of_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "any");
    let (certificate, key) = authority.sign("me", &["ann.example"]);
    let client = Client::pki(&authority.certificate(), &certificate, &key, "127.0.0.1").unwrap();
    let mut server = listen(Server::new().unwrap().token(&Token::generate()).unwrap()).await;
    let (heard, verdict) = server.try_as(client).await;
    assert!(heard.unwrap_err().contains("refuses us"));
    assert_eq!(verdict, Err("no token".to_owned()));
}

/// Sends these bytes, and reads what comes back until the end.
async fn raw(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

#[tokio::test]
async fn what_is_no_tls_gets_an_alert_at_most() {
    let mut server = listen(Server::new().unwrap().token(&Token::generate()).unwrap()).await;
    for (bytes, said) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "not TLS"),
        (b"\x89EXN\r\n\x1a\n\x01\0\0\0\0\0\0\0", "not TLS"),
        (b"", "hung up before a greeting"),
        (b"\x16\x03\x01\x00\x05\x01", "hung up before a greeting"),
    ] {
        let answer = raw(server.port, bytes).await;
        assert!(answer.len() <= 7, "{answer:?}");
        assert_eq!(server.verdicts.recv().await.unwrap(), Err(said.to_owned()), "{bytes:?}");
    }
}

/// Copies what a client sends, for somebody who listens on the wire.
#[tokio::test]
async fn bytes_that_were_sent_once_open_nothing_when_sent_again() {
    let token = Token::generate();
    let mut server = listen(Server::new().unwrap().token(&token).unwrap()).await;
    let tap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tapped = Tcp::new("127.0.0.1", tap.local_addr().unwrap().port());
    let port = server.port;
    let tapping = tokio::spawn(async move {
        let (client, _) = tap.accept().await.unwrap();
        let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let back = tokio::spawn(async move {
            let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
        });
        let mut seen = Vec::new();
        let mut rest = Vec::new();
        while from_client.read_buf(&mut rest).await.is_ok_and(|read| read > 0) {
            if to_server.write_all(&rest).await.is_err() {
                break;
            }
            seen.append(&mut rest);
        }
        drop(to_server);
        let _ = back.await;
        seen
    });
    let mut link = Tls::new(tapped, Client::token(&token).unwrap()).connect().await.unwrap();
    let mut text = String::new();
    link.reader.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "hello");
    drop(link);
    assert!(server.verdicts.recv().await.unwrap().is_ok());
    let seen = tapping.await.unwrap();
    assert!(seen.len() > 200, "{}", seen.len());
    raw(server.port, &seen).await;
    assert!(server.verdicts.recv().await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_given_up_on() {
    let silent = Memory::new(|far| {
        tokio::spawn(async move {
            let _far = far;
            std::future::pending::<()>().await;
        });
    });
    let client = Client::token(&Token::generate()).unwrap();
    let error = Tls::new(silent, client).timeout(Duration::from_secs(3)).connect().await;
    let error = error.expect_err("no answer");
    assert_eq!(error.to_string(), "timed out after 3s while shaking hands");
}

/// A transport in its own right, over whatever the server is reached by.
#[derive(Debug)]
struct InMemory(Server);

impl Transport for InMemory {
    fn address(&self) -> String {
        "memory".to_owned()
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        Box::pin(async {
            let (near, far) = memory::pair(1024);
            let server = self.0.clone();
            tokio::spawn(async move {
                let Link { reader, writer, guard: _guard, .. } = far;
                let joined = tokio::io::join(reader, writer);
                let (mut stream, _) = server.accept(joined).await.expect("the same token");
                let _ = stream.write_all(b"hello").await;
                let _ = stream.shutdown().await;
            });
            Ok(near)
        })
    }
}

#[tokio::test]
async fn any_link_can_be_encrypted() {
    let token = Token::generate();
    let server = InMemory(Server::new().unwrap().token(&token).unwrap());
    let mut link = Tls::new(server, Client::token(&token).unwrap()).connect().await.unwrap();
    let mut text = String::new();
    link.reader.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "hello");
}
