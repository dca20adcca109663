//! Links over a stream: `Link::over`.

use execnet_transport::{BoxFuture, ConnectError, Link, Transport};
use tokio::net::UnixStream;

use super::*;

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
