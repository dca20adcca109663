//! One connection to one host: handshake, and the one channel on it.

use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, Config as ClientConfig, Handle, Msg};
use russh::{Channel, ChannelOpenFailure, ChannelWriteHalf, SshId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::algorithms::preferred;
use super::channel::{Ends, Reader, Shared, Writer};
use super::client::{Client, HandshakeError};
use super::feeder::{Feeder, Request};
use super::host_key::HostKeys;
use super::tunnel::Tunnel;
use super::wire::{Hold, Wire};
use crate::pipe;
use crate::ssh::{Config, SshError};
use crate::{BoxFuture, ConnectError, Ending, FarEnd, Guard, Link, Stage, Stderr};

/// A connection that has shaken hands. Dropping it ends the connection and its task.
pub(super) struct Session {
    pub(super) handle: Handle<Client>,
    pub(super) hold: Hold,
    pub(super) shared: Arc<Shared>,
    ends: Ends,
}

impl Session {
    /// Shakes hands over `stream`, and makes sure of who is at its other end.
    pub(super) async fn open<S>(stream: S, config: &Config) -> Result<Self, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let host_keys = HostKeys::load(config).await?;
        let client_config = Arc::new(ClientConfig {
            client_id: SshId::Standard(
                concat!("SSH-2.0-execnet_", env!("CARGO_PKG_VERSION")).into(),
            ),
            preferred: preferred(config, &host_keys.known_types())?,
            // Silence is watched over by the feeder: the loop does not know when it is not let read.
            keepalive_interval: None,
            inactivity_timeout: None,
            ..ClientConfig::default()
        });
        let (shared, ends) = Shared::new();
        let client = Client::new(config.hostname.clone(), host_keys.clone(), shared.clone());
        let (wire, hold) = Wire::new(stream, shared.clone());
        let handle = client::connect_stream(client_config, wire, client).await;
        let handle = handle.map_err(|error| refused(error, config, &hold))?;
        host_keys.remember().await?;
        Ok(Self { handle, hold, shared, ends })
    }

    /// Why the connection is gone, once it is.
    pub(super) fn lost(&self, stage: Stage) -> SshError {
        let detail = self.shared.lost();
        let detail =
            detail.map_or_else(|| "the connection is lost".to_owned(), |why| why.to_string());
        SshError::Lost { stage, detail }
    }

    /// Runs a command, and does not wait for the host to say that it does: what it refuses is a lost link.
    pub(super) async fn exec(
        self,
        command: &str,
        config: &Config,
        address: String,
    ) -> Result<Link, ConnectError> {
        let opening = self.handle.channel_open_session();
        let channel = self.within(config, opening).await?;
        let (_, channel) = channel.split();
        let sending = async {
            for (name, value) in &config.env {
                channel.set_env(false, name.as_str(), value.as_str()).await?;
            }
            channel.exec(true, command).await
        };
        sending.await.map_err(|_| self.lost(Stage::Bootstrap))?;
        let (reader, writer, guard, stderr) = self.feed(channel, config, address, true);
        Ok(Link::new(reader, writer, guard).with_stderr(Stderr::new(stderr)))
    }

    /// A stream to a port that the host reaches.
    pub(super) async fn tunnel(self, config: &Config, to: &Config) -> Result<Tunnel, ConnectError> {
        let opening = self.handle.channel_open_direct_tcpip(
            to.hostname.as_str(),
            to.port.into(),
            "127.0.0.1",
            0,
        );
        let channel = self.within(config, opening).await?;
        let (_, channel) = channel.split();
        // There is no standard error: whatever is called so is thrown away.
        let (reader, writer, guard, _) = self.feed(channel, config, config.host.clone(), false);
        Ok(Tunnel::new(reader, writer, guard))
    }

    /// Leaves the session to a task that feeds its channel. What its user keeps: both halves, a guard, standard error.
    fn feed(
        self,
        channel: ChannelWriteHalf<Msg>,
        config: &Config,
        address: String,
        process: bool,
    ) -> (Reader, Writer, Guard, pipe::Reader) {
        let Self { handle, hold, shared, ends } = self;
        let Ends { reader, writer, stderr, to_send } = ends;
        let (requests, to_do) = mpsc::unbounded_channel();
        let guard = Guard::new(Remote { address, shared: shared.clone(), requests });
        let feeder = Feeder { handle, hold, shared, channel, process };
        tokio::spawn(feeder.run(to_send, to_do, config.clone()));
        (reader, writer, guard, stderr)
    }

    /// Waits for a channel.
    async fn within(
        &self,
        config: &Config,
        opening: impl Future<Output = Result<Channel<Msg>, russh::Error>>,
    ) -> Result<Channel<Msg>, ConnectError> {
        let after = config.connect_timeout;
        let Ok(opened) = timeout(after, opening).await else {
            let (hostname, port) = (config.hostname.clone(), config.port);
            return Err(
                SshError::TimedOut { hostname, port, stage: Stage::Bootstrap, after }.into()
            );
        };
        opened.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(reason) => {
                let detail = self.shared.refusal.get().map_or("", |said| said.as_str());
                let detail = format!("{}: {detail}", reason_text(&reason));
                SshError::ChannelRefused { hostname: config.hostname.clone(), detail }.into()
            }
            _ => self.lost(Stage::Bootstrap).into(),
        })
    }
}

/// In the words of RFC 4254 §5.1.
fn reason_text(reason: &ChannelOpenFailure) -> String {
    match reason {
        ChannelOpenFailure::AdministrativelyProhibited => "administratively prohibited".to_owned(),
        ChannelOpenFailure::ConnectFailed => "connect failed".to_owned(),
        ChannelOpenFailure::UnknownChannelType => "unknown channel type".to_owned(),
        ChannelOpenFailure::ResourceShortage => "resource shortage".to_owned(),
        ChannelOpenFailure::Other { code, .. } => format!("reason {code}"),
    }
}

/// What became of a handshake.
fn refused(error: HandshakeError, config: &Config, hold: &Hold) -> ConnectError {
    use russh::Error;

    let hostname = config.hostname.clone();
    let port = config.port;
    let error = match error {
        HandshakeError::HostKey(error) => return error.into(),
        HandshakeError::Session(error) => error,
    };
    let greeting = hold.greeting();
    match error {
        Error::NoCommonAlgo { kind, theirs, .. } => {
            let kind = match kind {
                russh::AlgorithmKind::Kex => "key exchange",
                russh::AlgorithmKind::Key => "host key type",
                russh::AlgorithmKind::Cipher => "cipher",
                russh::AlgorithmKind::Compression => "compression",
                russh::AlgorithmKind::Mac => "message authentication code",
            };
            SshError::NoCommon { hostname, kind: kind.to_owned(), offered: theirs }.into()
        }
        Error::Version => {
            let detail = format!("it says {greeting:?}");
            SshError::NotSsh { hostname, port, detail }.into()
        }
        error if !greeting.starts_with("SSH-") => {
            let detail = match greeting.is_empty() {
                true => "it closed the connection at once".to_owned(),
                false => format!("it said {greeting:?} and closed the connection"),
            };
            SshError::NotSsh { hostname, port, detail }.because(Some(error.into()))
        }
        error => {
            let detail = format!("the handshake with {hostname} failed: {error}");
            SshError::Lost { stage: Stage::Handshake, detail }.because(Some(error.into()))
        }
    }
}

/// A command on another host, as a guard sees it.
struct Remote {
    address: String,
    shared: Arc<Shared>,
    requests: mpsc::UnboundedSender<Request>,
}

impl FarEnd for Remote {
    fn address(&self) -> &str {
        &self.address
    }

    fn wait(&self) -> BoxFuture<'_, Ending> {
        Box::pin(self.shared.ending())
    }

    fn kill(&self) {
        self.shared.abandon();
        // Refused once the feeder has ended, and the connection with it.
        let _ = self.requests.send(Request::Kill);
    }

    fn interrupt(&self) {
        let _ = self.requests.send(Request::Interrupt);
    }
}

/// How long a host may take over what it is told last: the signal, the end of the connection.
pub(super) const GRACE: Duration = Duration::from_secs(1);
