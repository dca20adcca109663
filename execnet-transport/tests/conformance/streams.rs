//! Links over a stream: `Link::over`.

use std::net::SocketAddr;

use execnet_transport::{BoxFuture, ConnectError, Link, Transport};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::*;

/// Reaches whoever listens there.
#[derive(Debug)]
struct Tcp(SocketAddr);

impl Transport for Tcp {
    fn address(&self) -> String {
        format!("tcp {}", self.0)
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        Box::pin(async {
            let stream = TcpStream::connect(self.0).await.map_err(|source| {
                ConnectError::other(Stage::Connect, Fault::Link, "refused", Some(source.into()))
            })?;
            Ok(Link::over(stream, self.address()))
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_conforms() {
    let peer = Peer::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let transport = Tcp(listener.local_addr().unwrap());
    let nobody = Tcp(TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap());
    let far_end = peer.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let far_end = far_end.clone();
            tokio::spawn(async move {
                let (reader, writer) = stream.into_split();
                far_end.serve(reader, writer).await
            });
        }
    });
    let suite = without_process(Suite::new(&peer, transport));
    suite.fails(nobody, Stage::Connect, Fault::Link).run().await.assert_passed();
}

/// Each connect makes two sockets, and serves one of them.
#[derive(Debug)]
struct Pairs(Peer);

impl Transport for Pairs {
    fn address(&self) -> String {
        "pair".to_owned()
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        Box::pin(async {
            let (near, far) = UnixStream::pair().map_err(|source| {
                ConnectError::other(Stage::Connect, Fault::System, "no pair", Some(source.into()))
            })?;
            let far_end = self.0.clone();
            tokio::spawn(async move {
                let (reader, writer) = far.into_split();
                far_end.serve(reader, writer).await
            });
            Ok(Link::over(near, self.address()))
        })
    }
}

#[tokio::test]
async fn a_pair_of_sockets_conforms() {
    let peer = Peer::new().unwrap();
    without_process(Suite::new(&peer, Pairs(peer.clone())))
        .lacks(Capability::ConnectErrors, "only when the system has no descriptors left")
        .run()
        .await
        .assert_passed();
}
