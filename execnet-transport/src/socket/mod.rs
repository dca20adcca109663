//! Servers at an address: what TCP and unix sockets share.

mod address;
pub use address::{AddressError, SocketAddress};
mod tcp;
pub use tcp::Tcp;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::Unix;

use std::io;
use std::time::Duration;

use crate::{ConnectError, Fault, Stage};

/// How long resolving and connecting may take together, unless told otherwise.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Says what the system meant when it refused to connect.
fn refused(place: &str, source: io::Error) -> ConnectError {
    use io::ErrorKind;
    let (fault, message) = match source.kind() {
        ErrorKind::ConnectionRefused => {
            (Fault::FarEnd, format!("nobody listens at {place}; is the server running?"))
        }
        ErrorKind::NotFound => {
            (Fault::FarEnd, format!("there is no socket at {place}; is the server running?"))
        }
        ErrorKind::PermissionDenied => {
            (Fault::Caller, format!("this user may not connect to {place}"))
        }
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            (Fault::Link, format!("there is no way to {place}"))
        }
        _ if is_exhausted(&source) => {
            (Fault::System, format!("no resources left to connect to {place}"))
        }
        _ => (Fault::Link, format!("cannot connect to {place}")),
    };
    ConnectError::other(Stage::Connect, fault, message, Some(source.into()))
}

#[cfg(unix)]
fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let code = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}

#[cfg(not(unix))]
fn is_exhausted(_: &io::Error) -> bool {
    false
}
