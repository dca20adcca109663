use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use super::{CONNECT_TIMEOUT, refused};
use crate::{BoxFuture, ConnectError, Link, Stage, Transport};

const RETRY: Duration = Duration::from_millis(10);

/// A server on a unix socket.
#[derive(Debug, Clone)]
#[must_use = "a transport does nothing before `connect`"]
pub struct Unix {
    path: PathBuf,
    timeout: Duration,
}

impl Unix {
    /// The socket at a path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), timeout: CONNECT_TIMEOUT }
    }

    /// Sets how long connecting may take, which it does when the server does not accept; by default 10 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    async fn open(&self) -> io::Result<UnixStream> {
        loop {
            match UnixStream::connect(&self.path).await {
                // The server's queue is full. Nothing tells when it is not: a look now and then has to do.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(RETRY).await,
                result => return result,
            }
        }
    }
}

impl Transport for Unix {
    fn address(&self) -> String {
        format!("socket unix:{}", self.path.display())
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        Box::pin(async {
            match timeout(self.timeout, self.open()).await {
                Ok(Ok(stream)) => Ok(Link::over(stream, self.address())),
                Ok(Err(source)) => Err(refused(&self.path.display().to_string(), source)),
                Err(_) => {
                    Err(ConnectError::TimedOut { stage: Stage::Connect, after: self.timeout })
                }
            }
        })
    }
}
