//! From a name to a TCP connection.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::ConnectError;
use crate::ssh::{AddressFamily, Config, SshError};

/// How long an address has for itself before the next one is tried beside it (RFC 8305).
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to the first address that answers. Dropping the future drops all attempts.
pub(super) async fn dial(config: &Config) -> Result<TcpStream, ConnectError> {
    let addresses = resolve(config).await?;
    let from = match &config.bind_address {
        Some(address) => Some(source(address).await?),
        None => None,
    };
    let mut attempts = JoinSet::new();
    let mut first_error = None;
    let mut addresses = addresses.into_iter();
    let mut next = addresses.next();
    loop {
        if let Some(address) = next.take() {
            attempts.spawn(connect(address, from));
        }
        let waiting = attempts.join_next();
        let done = match addresses.len() {
            0 => waiting.await,
            _ => match timeout(HEAD_START, waiting).await {
                Ok(done) => done,
                Err(_) => {
                    next = addresses.next();
                    continue;
                }
            },
        };
        match done {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => {
                first_error.get_or_insert(error);
                next = addresses.next();
            }
            // Nobody cancels an attempt, and none panics.
            Some(Err(_)) => next = addresses.next(),
            None if next.is_none() => break,
            None => {}
        }
    }
    let error = first_error.unwrap_or_else(|| ErrorKind::AddrNotAvailable.into());
    Err(unreachable(config, error))
}

async fn resolve(config: &Config) -> Result<Vec<SocketAddr>, ConnectError> {
    let hostname = config.hostname.clone();
    let unresolved = |source: Option<io::Error>| {
        let error = SshError::Resolve { hostname: config.hostname.clone() };
        error.because(source.map(Into::into))
    };
    // In a thread of the runtime's: the system's resolver blocks.
    let found = lookup_host((hostname, config.port)).await.map_err(|e| unresolved(Some(e)))?;
    let wanted = |address: &SocketAddr| match config.address_family {
        AddressFamily::Any => true,
        AddressFamily::Inet => address.is_ipv4(),
        AddressFamily::Inet6 => address.is_ipv6(),
    };
    let found: Vec<_> = found.filter(wanted).collect();
    if found.is_empty() { Err(unresolved(None)) } else { Ok(found) }
}

async fn source(address: &str) -> Result<IpAddr, ConnectError> {
    let found = lookup_host((address, 0)).await.ok().and_then(|mut found| found.next());
    let detail = || format!("BindAddress {address} is no address; name one of this machine's");
    found.map(|found| found.ip()).ok_or_else(|| SshError::Config { detail: detail() }.into())
}

async fn connect(address: SocketAddr, from: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(from) = from {
        socket.bind((from, 0).into())?;
    }
    let stream = socket.connect(address).await?;
    // Small frames are not to wait for the acknowledgement of others.
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn unreachable(config: &Config, source: io::Error) -> ConnectError {
    let (hostname, port) = (config.hostname.clone(), config.port);
    let error = match source.kind() {
        ErrorKind::ConnectionRefused => SshError::Refused { hostname, port },
        _ => SshError::Unreachable { hostname, port, detail: source.to_string() },
    };
    error.because(Some(source.into()))
}
