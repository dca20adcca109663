use std::io;
use std::path::PathBuf;
use std::time::Duration;

use execnet_transport::SocketAddress;

use super::Access;
use super::access::AccessError;

/// What a server is to do.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen. The port 0 is any that is free.
    pub listen: Vec<SocketAddress>,
    /// Who is let in over TCP. Over unix sockets it is this user, and root.
    pub access: Access,
    /// Let everybody in over TCP. On loopback addresses only.
    pub no_auth: bool,
    /// Serve clients of py.execnet instead, whose protocol knows no authentication.
    pub stock_clients: bool,
    /// Do so on addresses other than loopback ones: whoever reaches them can run anything here.
    pub stock_exposed: bool,
    /// The interpreter's command line; by default `python3`, or `python`, on `PATH`. A client may ask for another one.
    pub python: Option<Vec<String>>,
    /// The command line of the native worker; without one there is none.
    pub native: Option<Vec<String>>,
    /// The directory in which workers start; by default the server's own.
    pub directory: Option<PathBuf>,
    /// How many workers may run at once; by default any number.
    pub max_workers: Option<usize>,
    /// How many connections may be there that have not authenticated; by default 128. One more ends the oldest.
    pub max_strangers: usize,
    /// How long authenticating may take, and the HELLO after it; by default 10 s each.
    pub handshake_timeout: Duration,
    /// The longest frame that a client may ask workers to send; by default 1 MiB.
    pub max_frame: u32,
    /// End connections on which nothing but PING and PONG has passed for so long; by default never.
    pub idle_timeout: Option<Duration>,
    /// How long connections may go on once the server drains; by default 30 s.
    pub drain_timeout: Duration,
    /// A unix socket that tells how the server is.
    pub control: Option<PathBuf>,
}

impl Config {
    /// The defaults: nobody is let in over TCP.
    pub fn new(listen: impl IntoIterator<Item = SocketAddress>) -> Self {
        Self {
            listen: listen.into_iter().collect(),
            access: Access::default(),
            no_auth: false,
            stock_clients: false,
            stock_exposed: false,
            python: None,
            native: None,
            directory: None,
            max_workers: None,
            max_strangers: 128,
            handshake_timeout: Duration::from_secs(10),
            max_frame: 1 << 20,
            idle_timeout: None,
            drain_timeout: Duration::from_secs(30),
            control: None,
        }
    }

    /// Finds what does not go together.
    pub(super) fn check(&self) -> Result<(), ServeError> {
        let refuse = |why| Err(ServeError::Config(why));
        let tcp = self.listen.iter().any(|at| matches!(at, SocketAddress::Tcp { .. }));
        let unix = self.listen.iter().any(|at| matches!(at, SocketAddress::Unix(_)));
        if self.listen.is_empty() {
            return refuse("no address to listen on");
        }
        if !self.access.is_empty() && (self.no_auth || self.stock_clients) {
            return refuse(
                "a token or certificates on the one hand, no authentication on the other: choose one",
            );
        }
        if self.stock_clients && unix {
            return refuse("py.execnet knows no unix sockets");
        }
        if tcp && self.access.is_empty() && !self.no_auth && !self.stock_clients {
            return refuse(
                "a TCP port needs a token (`execnet-agent token new FILE`, then --token-file FILE) or certificates",
            );
        }
        if !tcp && !self.access.is_empty() {
            return refuse(
                "a unix socket asks the system who connects: tokens and certificates do nothing there",
            );
        }
        if self.max_strangers == 0 || self.max_workers == Some(0) {
            return refuse("a limit of 0 lets nobody in");
        }
        Ok(())
    }
}

/// A server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// What is asked for does not go together. The caller's fault.
    #[error("{0}")]
    Config(&'static str),
    /// A token, a certificate or a key is of no use. The caller's fault.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// An address without authentication that others could reach.
    #[error(
        "{0}: without authentication only loopback addresses are listened on, such as 127.0.0.1"
    )]
    Exposed(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
}
