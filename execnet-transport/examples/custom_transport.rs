//! A transport of your own: a TCP connection, with nothing but the public API.
//!
//! ```console
//! cargo run -p execnet-transport --example custom_transport
//! ```

use std::net::{SocketAddr, TcpStream as StdStream};

use execnet_transport::{
    BoxFuture, ConnectError, Ending, FarEnd, Fault, Guard, Link, Stage, Transport,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

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
            // A second handle to the same socket, for the guard to close it by.
            let stream = stream.into_std().map_err(failed)?;
            let socket = stream.try_clone().map_err(failed)?;
            let (reader, writer) = TcpStream::from_std(stream).map_err(failed)?.into_split();
            let closed = watch::Sender::new(false);
            let far_end = TcpEnd { address: self.address(), socket, closed };
            Ok(Link::new(reader, writer, Guard::new(far_end)))
        })
    }
}

/// The far end of a connection: there is no process to ask, so it ends when it is closed here.
struct TcpEnd {
    address: String,
    socket: StdStream,
    closed: watch::Sender<bool>,
}

impl FarEnd for TcpEnd {
    fn address(&self) -> &str {
        &self.address
    }

    fn wait(&self) -> BoxFuture<'_, Ending> {
        let mut closed = self.closed.subscribe();
        Box::pin(async move {
            // An error would mean that the sender is gone, and so the connection.
            let _ = closed.wait_for(|closed| *closed).await;
            Ending::Closed
        })
    }

    fn kill(&self) {
        // An error means that it is closed already.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        self.closed.send_replace(true);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let transport = Tcp { to: listener.local_addr()? };
    tokio::spawn(async move {
        let (mut peer, _) = listener.accept().await?;
        let (mut reader, mut writer) = peer.split();
        tokio::io::copy(&mut reader, &mut writer).await
    });

    let mut link = transport.connect().await?;
    link.writer.write_all(b"hello").await?;
    link.writer.shutdown().await?;
    let mut back = String::new();
    link.reader.read_to_string(&mut back).await?;
    assert_eq!(back, "hello");
    link.guard.kill();
    println!("{back} came back, then: {}", link.guard.wait().await);
    Ok(())
}
