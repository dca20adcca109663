//! Sockets that listen, and who connects to them.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use execnet_transport::SocketAddress;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// A socket that listens. Dropping a unix one removes its file.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(Named),
}

/// Somebody who has connected.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    pub(super) async fn bind(address: &SocketAddress) -> io::Result<Self> {
        match address {
            SocketAddress::Tcp { host, port } => {
                TcpListener::bind((host.as_str(), *port)).await.map(Self::Tcp)
            }
            SocketAddress::Unix(path) => Named::bind(path).await.map(Self::Unix),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Where it listens, in words: with the port that the system chose.
    pub(super) fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => address.to_string(),
                Err(error) => error.to_string(),
            },
            Self::Unix(listener) => format!("unix:{}", listener.path.display()),
        }
    }

    /// Whether only this machine can reach it.
    pub(super) fn is_loopback(&self) -> bool {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(SocketAddr::V4(at)) => at.ip().is_loopback(),
                Ok(SocketAddr::V6(at)) => {
                    let mapped = at.ip().to_ipv4_mapped();
                    mapped.map_or(at.ip().is_loopback(), |mapped| mapped.is_loopback())
                }
                Err(_) => false,
            },
            Self::Unix(_) => true,
        }
    }

    /// Waits for somebody, and says who it is. Cancel safe.
    pub(super) async fn accept(&self) -> io::Result<(Stream, String)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // It is gone already when the system refuses: the first read tells.
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tcp(stream), address.to_string()))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.listener.accept().await?;
                let peer = match stream.peer_cred() {
                    Ok(peer) => match peer.pid() {
                        Some(pid) => format!("pid {pid}"),
                        None => format!("uid {}", peer.uid()),
                    },
                    Err(_) => "unix".to_owned(),
                };
                Ok((Stream::Unix(stream), peer))
            }
        }
    }
}

/// Lets this user in, and root.
pub(super) fn check_credentials(stream: &UnixStream) -> Result<u32, String> {
    let peer = stream.peer_cred().map_err(|error| format!("no credentials: {error}"))?.uid();
    let ours = rustix::process::geteuid().as_raw();
    if peer == ours || peer == 0 {
        Ok(peer)
    } else {
        Err(format!("the user {peer} is another one"))
    }
}

/// A unix socket at a path.
#[derive(Debug)]
pub(super) struct Named {
    listener: UnixListener,
    path: PathBuf,
    /// Which file it is: by the time of the end the path may lead to somebody else's.
    inode: Option<u64>,
}

impl Named {
    /// Listens where nobody else does; a socket that a dead server left is taken away first.
    pub(super) async fn bind(path: &Path) -> io::Result<Self> {
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_dead(path).await => {
                std::fs::remove_file(path)?;
                UnixListener::bind(path)
            }
            other => other,
        }?;
        // Who connects is asked for credentials all the same; until this line as well.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        let inode = path.symlink_metadata().ok().map(|meta| meta.ino());
        Ok(Self { listener, path: path.to_owned(), inode })
    }

    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let found = self.path.symlink_metadata().ok().map(|meta| meta.ino());
        if found.is_some() && found == self.inode {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whether a socket is there at which nobody answers.
async fn is_dead(path: &Path) -> bool {
    let is_socket = path.symlink_metadata().is_ok_and(|meta| meta.file_type().is_socket());
    let refused = UnixStream::connect(path).await.err().map(|error| error.kind());
    is_socket && refused == Some(io::ErrorKind::ConnectionRefused)
}
