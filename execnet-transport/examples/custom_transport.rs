//! A transport of your own: a TCP connection, with nothing but the public API, tried by the conformance suite.
//!
//! ```console
//! cargo run -p execnet-transport --example custom_transport
//! ```

use std::net::SocketAddr;

use execnet_transport::conformance::{Capability, Peer, Suite};
use execnet_transport::{BoxFuture, ConnectError, Fault, Link, Stage, Transport};
use tokio::net::{TcpListener, TcpStream};

/// Reaches whoever listens at an address.
#[derive(Debug)]
struct Tcp {
    to: SocketAddr,
}

impl Transport for Tcp {
    fn address(&self) -> String {
        format!("tcp {}", self.to)
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        Box::pin(async {
            let failed = |source: std::io::Error| {
                let message = format!("cannot reach {}; is the server running?", self.to);
                ConnectError::other(Stage::Connect, Fault::Link, message, Some(source.into()))
            };
            let stream = TcpStream::connect(self.to).await.map_err(failed)?;
            stream.set_nodelay(true).map_err(failed)?;
            Ok(Link::over(stream, self.address()))
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The far ends: a server that does what the suite asks of it.
    let peer = Peer::new()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = Tcp { to: listener.local_addr()? };
    let far_end = peer.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let far_end = far_end.clone();
            let (reader, writer) = stream.into_split();
            tokio::spawn(async move { far_end.serve(reader, writer).await });
        }
    });
    // An address where nobody listens any more.
    let nobody = Tcp { to: TcpListener::bind("127.0.0.1:0").await?.local_addr()? };

    let no_process = "a socket shows bytes, not the process behind it";
    let report = Suite::new(&peer, server)
        .fails(nobody, Stage::Connect, Fault::Link)
        .lacks(Capability::ExitStatus, no_process)
        .lacks(Capability::Kill, no_process)
        .lacks(Capability::Interrupt, no_process)
        .lacks(Capability::Stderr, no_process)
        .run()
        .await;
    report.assert_passed();
    Ok(())
}
