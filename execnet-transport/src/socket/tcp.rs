use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::{CONNECT_TIMEOUT, SocketAddress, refused};
use crate::{BoxFuture, ConnectError, Fault, Link, Stage, Transport};

/// A server on a TCP port.
///
/// The name is resolved without blocking; all its addresses are tried in the system's order, each
/// with its share of the time that is left, so that a dead first one does not hide a live second. What is sent is sent at once (`TCP_NODELAY`).
///
/// The bytes are neither encrypted nor authenticated: put [`Tls`](crate::tls::Tls) around it, unless the network is trusted.
#[derive(Debug, Clone)]
#[must_use = "a transport does nothing before `connect`"]
pub struct Tcp {
    host: String,
    port: u16,
    timeout: Duration,
}

impl Tcp {
    /// A port of a host, which is a name or a number.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, timeout: CONNECT_TIMEOUT }
    }

    /// Sets how long resolving and connecting may take together; by default 10 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    fn place(&self) -> String {
        SocketAddress::Tcp { host: self.host.clone(), port: self.port }.to_string()
    }

    async fn resolve(&self, until: Instant) -> Result<Vec<SocketAddr>, ConnectError> {
        let stage = Stage::Resolve;
        let lookup = tokio::net::lookup_host((self.host.as_str(), self.port));
        let found = match timeout_at(until, lookup).await {
            Ok(found) => found,
            Err(_) => return Err(ConnectError::TimedOut { stage, after: self.timeout }),
        };
        match found.map(Iterator::collect::<Vec<_>>) {
            Ok(addresses) if !addresses.is_empty() => Ok(addresses),
            Ok(_) => {
                let message = format!("the name {:?} has no address", self.host);
                Err(ConnectError::other(stage, Fault::Caller, message, None))
            }
            Err(source) => {
                // The system tells its reasons apart in words only.
                let temporary = source.to_string().contains("Temporary");
                let fault = if temporary { Fault::Link } else { Fault::Caller };
                let message = format!("no host {:?} is known; check the name", self.host);
                Err(ConnectError::other(stage, fault, message, Some(source.into())))
            }
        }
    }

    /// Tries all addresses in turn.
    async fn open(&self) -> Result<TcpStream, ConnectError> {
        let until = Instant::now() + self.timeout;
        let addresses = self.resolve(until).await?;
        let mut failed = ConnectError::TimedOut { stage: Stage::Connect, after: self.timeout };
        for (at, address) in addresses.iter().enumerate() {
            let left = until.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Refused for a connection that is gone already: the first read will tell.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(source)) => failed = refused(&self.place(), source),
                // Of a silent address and one that answers, the answer says more.
                Err(_) => {}
            }
        }
        Err(failed)
    }
}

impl Transport for Tcp {
    fn address(&self) -> String {
        format!("socket {}", self.place())
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        Box::pin(async { Ok(Link::over(self.open().await?, self.address())) })
    }
}
