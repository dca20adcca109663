//! ssh in this process: `russh` speaks the protocol, and what makes a link of it is here.

mod algorithms;
mod auth;
mod channel;
mod client;
mod dial;
mod feeder;
mod host_key;
mod session;
mod tunnel;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

pub(super) use self::host_key::{revoking_line, wants_certificate};
use self::session::Session;
use self::tunnel::Tunnel;
use super::{Config, NeedsOpenSsh, Prompt, SshError};
use crate::{Bootstrap, BoxFuture, ConnectError, Link, Stage, Transport};

/// A command on another host, over ssh, without the `ssh` program.
///
/// Each link is a connection of its own, through the jump hosts that the configuration names. The host's key, and that
/// of each jump host, has to be among the known ones (see [`StrictHostKey`](super::StrictHostKey)); keys from the agent and from
/// files are tried in the order of OpenSSH, then what a [`Prompt`] answers.
///
/// # Limits
///
/// Reaching a host and shaking hands with it may take [`Config::connect_timeout`], for each host on the way;
/// authenticating as long again, or [`AUTHENTICATION_TIMEOUT`](Self::AUTHENTICATION_TIMEOUT) where somebody may be asked. A host that
/// is silent for [`Config::keepalive_interval`], and then for as long again after each of
/// [`Config::keepalive_count`] questions, is given up: the reader's error says so.
///
/// # The link
///
/// Standard error is the command's own, after whatever greeting the host sends before authentication. [`Guard::wait`](crate::Guard::wait)
/// tells the exit status or the signal. A kill is a `SIGKILL` to the command's process group where the host takes signals,
/// as OpenSSH does from 7.9 on, and the end of its standard input where not; an interrupt is a `SIGINT`, also to the group.
/// The host says that it runs the command while the first bytes are already on the way: should it refuse, the link
/// ends with an error that says so.
///
/// At most 2 MiB of what the far end has sent is held here; then it is not read any further, and the far end waits.
#[must_use = "a transport does nothing before `connect`"]
#[derive(Clone)]
pub struct Native {
    config: Arc<Config>,
    command: String,
    prompt: Option<Arc<dyn Prompt>>,
    label: Option<String>,
    bootstrap: Bootstrap,
}

impl Native {
    /// How long authenticating may take where there is a [`Prompt`]: 120 s, as sshd allows.
    pub const AUTHENTICATION_TIMEOUT: Duration = Duration::from_secs(120);

    /// The command is for the shell of the user there, and quoted for it.
    ///
    /// The far end is taken for an interpreter ([`Bootstrap::Python`]) unless [`bootstrap`](Self::bootstrap) says
    /// otherwise.
    pub fn new(config: Config, command: impl Into<String>) -> Self {
        Self {
            config: Arc::new(config),
            command: command.into(),
            prompt: None,
            label: None,
            bootstrap: Bootstrap::Python,
        }
    }

    /// Sets who answers what only a person knows; by default nobody. With [`Config::batch_mode`] nobody is asked.
    pub fn prompt(mut self, prompt: Arc<dyn Prompt>) -> Self {
        self.prompt = Some(prompt);
        self
    }

    /// Sets what messages call this far end; by default `ssh` and the host.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Sets what the far end wants before it speaks the protocol.
    pub fn bootstrap(mut self, bootstrap: Bootstrap) -> Self {
        self.bootstrap = bootstrap;
        self
    }

    async fn start(&self) -> Result<Link, ConnectError> {
        if let Some(reason) = self.config.needs_openssh() {
            return Err(only_openssh(&reason).into());
        }
        let mut way: Option<Session> = None;
        let mut last: Option<&Config> = None;
        for host in self.config.jumps.iter().chain([&*self.config]) {
            let session = match way.take().zip(last) {
                None => self.reach(host, async || dial::dial(host).await).await,
                Some((session, hop)) => {
                    let tunnel = session.tunnel(hop, host).await;
                    let tunnel = tunnel.map_err(|error| not_beyond(error, hop, host))?;
                    self.reach::<Tunnel>(host, async || Ok(tunnel)).await
                }
            };
            way = Some(session.map_err(|error| self.name_hop(error, host))?);
            last = Some(host);
        }
        // There is one host at least.
        let session = way.ok_or(SshError::Lost {
            stage: Stage::Connect,
            detail: "there is no host".to_owned(),
        })?;
        let link = session.exec(&self.command, &self.config, self.address()).await?;
        Ok(link.with_bootstrap(self.bootstrap))
    }

    /// Shakes hands and authenticates, each within its time.
    async fn reach<S>(
        &self,
        host: &Config,
        connect: impl AsyncFnOnce() -> Result<S, ConnectError>,
    ) -> Result<Session, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let after = host.connect_timeout;
        let timed_out = |stage, after| {
            let (hostname, port) = (host.hostname.clone(), host.port);
            ConnectError::from(SshError::TimedOut { hostname, port, stage, after })
        };
        let mut stage = Stage::Connect;
        let opening = async {
            let stream = connect().await?;
            stage = Stage::Handshake;
            Session::open(stream, host).await
        };
        let opened = timeout(after, opening).await;
        let mut session = opened.map_err(|_| timed_out(stage, after))??;
        let prompt = self.prompt.as_deref().filter(|_| !host.batch_mode);
        let after = prompt.map_or(after, |_| after.max(Self::AUTHENTICATION_TIMEOUT));
        let authenticating = auth::authenticate(&mut session, host, prompt);
        let authenticated = timeout(after, authenticating).await;
        authenticated.map_err(|_| timed_out(Stage::Authenticate, after))??;
        Ok(session)
    }

    /// An error on the way is the jump host's.
    fn name_hop(&self, error: ConnectError, host: &Config) -> ConnectError {
        match error {
            ConnectError::Ssh { error, source } if !std::ptr::eq(host, &*self.config) => {
                SshError::Jump { hop: host.host.clone(), error }.because(source)
            }
            error => error,
        }
    }
}

/// A jump host says of the next one that it cannot reach it by refusing the channel.
fn not_beyond(error: ConnectError, hop: &Config, host: &Config) -> ConnectError {
    match error {
        ConnectError::Ssh { error, source } => match *error {
            SshError::ChannelRefused { detail, .. } => SshError::Unreachable {
                hostname: host.hostname.clone(),
                port: host.port,
                detail: format!("jump host {} says: {detail}", hop.host),
            }
            .because(source),
            error => {
                SshError::Jump { hop: hop.host.clone(), error: Box::new(error) }.because(source)
            }
        },
        error => error,
    }
}

fn only_openssh(reason: &NeedsOpenSsh) -> SshError {
    let detail =
        format!("{reason}, which only the ssh program can do; use it with `ssh_backend=openssh`");
    SshError::Config { detail }
}

impl Transport for Native {
    fn address(&self) -> String {
        self.label.clone().unwrap_or_else(|| format!("ssh {}", self.config.host))
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        Box::pin(self.start())
    }
}

impl fmt::Debug for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Native")
            .field("host", &self.config.host)
            .field("command", &self.command)
            .field("prompt", &self.prompt)
            .field("label", &self.label)
            .field("bootstrap", &self.bootstrap)
            .finish_non_exhaustive()
    }
}
