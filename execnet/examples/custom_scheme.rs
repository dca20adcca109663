//! A specification key of your own: `inetd=HOST:PORT` reaches a Python that a super-server such as inetd, or a socket
//! unit of systemd, starts for each connection with the socket as its standard input and output.
//!
//! ```text
//! $ cargo run -p execnet --example custom_scheme
//! gw0 (inetd 127.0.0.1:41507) runs in a process of its own: 42
//! ```

use std::error::Error;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::Duration;

use execnet::{ConnectError, Group, Scheme, XSpec, worker_command};
use execnet_transport::{Bootstrap, BoxFuture, Fault, Link, Stage, Transport};
use tokio::net::TcpStream;

/// Reaches the super-server.
#[derive(Debug)]
struct Inetd {
    to: SocketAddr,
}

impl Transport for Inetd {
    fn address(&self) -> String {
        format!("inetd {}", self.to)
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        Box::pin(async {
            let stream = TcpStream::connect(self.to).await.map_err(|source| {
                let message = format!("cannot reach {}; is the server running?", self.to);
                ConnectError::other(Stage::Connect, Fault::Link, message, Some(source.into()))
            })?;
            // An interpreter answers, which has yet to be sent the worker.
            Ok(Link::over(stream, self.address()).with_bootstrap(Bootstrap::Python))
        })
    }
}

/// The super-server: one interpreter for each connection.
fn serve(listener: TcpListener, program: Vec<String>) -> Result<(), Box<dyn Error + Send + Sync>> {
    for stream in listener.incoming() {
        let stream = OwnedFd::from(stream?);
        let mut worker = Command::new(&program[0]);
        worker.args(&program[1..]).stdin(stream.try_clone()?).stdout(stream);
        let mut worker = worker.spawn()?;
        std::thread::spawn(move || worker.wait());
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let to = listener.local_addr()?;
    let program = worker_command(&XSpec::parse("popen//python=python3")?);
    std::thread::spawn(move || serve(listener, program));

    let scheme = Scheme::new("inetd", |spec: &XSpec| {
        let to = spec.value("inetd").ok_or("expected `inetd=ADDRESS:PORT`")?;
        let to = to.parse().map_err(|error| format!("{to:?}: {error}"))?;
        Ok::<_, String>(Inetd { to })
    });
    let group = Group::builder().scheme(scheme).build();
    let gateway = group.make_gateway(format!("inetd={to}//nice=5")).await?;
    let mut channel = gateway.remote_exec("channel.send(6 * 7)").await?;
    let answer: i64 = channel.receive().await?;
    println!("{} (inetd {to}) runs in a process of its own: {answer}", gateway.id());

    assert_eq!(answer, 42);
    group.terminate(Duration::from_secs(5)).await?;
    Ok(())
}
