//! What a session's loop calls for what has arrived.

use std::sync::Arc;

use russh::client::{ChannelOpenHandle, DisconnectReason, Handler, Msg, Session};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, ChannelId, ChannelOpenFailure, Sig};

use super::channel::Shared;
use super::host_key::HostKeys;
use crate::Ending;
use crate::ssh::SshError;

/// The standard error of a session channel (RFC 4254 §5.2).
const STDERR: u32 = 1;

/// How much of a host's greeting before authentication is kept.
const BANNER: usize = 16 * 1024;

pub(super) struct Client {
    /// For messages.
    hostname: String,
    host_keys: Arc<HostKeys>,
    shared: Arc<Shared>,
    banner: usize,
}

impl Client {
    pub(super) fn new(hostname: String, host_keys: Arc<HostKeys>, shared: Arc<Shared>) -> Self {
        Self { hostname, host_keys, shared, banner: 0 }
    }
}

/// Why a session ended before it was one.
#[derive(Debug)]
pub(super) enum HandshakeError {
    HostKey(SshError),
    Session(russh::Error),
}

impl From<russh::Error> for HandshakeError {
    fn from(error: russh::Error) -> Self {
        Self::Session(error)
    }
}

impl Handler for Client {
    type Error = HandshakeError;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        // No certificate was asked for. One that comes all the same counts as the key in it.
        self.host_keys.check(&key.public_key()).map_err(HandshakeError::HostKey)?;
        Ok(true)
    }

    async fn auth_banner(&mut self, text: &str, _: &mut Session) -> Result<(), Self::Error> {
        // What is not taken would hold up the connection.
        if self.banner + text.len() <= BANNER {
            self.banner += text.len();
            self.shared.push_stderr(text.as_bytes());
        }
        Ok(())
    }

    async fn channel_open_confirmation(
        &mut self,
        id: ChannelId,
        _: u32,
        _: u32,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        let _ = self.shared.id.set(id);
        Ok(())
    }

    async fn channel_open_failure(
        &mut self,
        _: ChannelId,
        _: ChannelOpenFailure,
        description: &str,
        _: &str,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        let _ = self.shared.refusal.set(description.to_owned());
        Ok(())
    }

    async fn channel_failure(&mut self, id: ChannelId, _: &mut Session) -> Result<(), Self::Error> {
        // The only request that wants an answer is the one to run the command.
        if self.shared.is_ours(id) {
            self.shared.lose(format!("{} refused to run the command", self.hostname));
        }
        Ok(())
    }

    async fn data(
        &mut self,
        id: ChannelId,
        data: &[u8],
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.shared.is_ours(id) {
            self.shared.push(data);
        }
        Ok(())
    }

    async fn extended_data(
        &mut self,
        id: ChannelId,
        kind: u32,
        data: &[u8],
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.shared.is_ours(id) && kind == STDERR {
            self.shared.push_stderr(data);
        }
        Ok(())
    }

    async fn exit_status(
        &mut self,
        id: ChannelId,
        status: u32,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.shared.is_ours(id) {
            self.shared.end(i32::try_from(status).map_or(Ending::Unknown, Ending::Exited));
        }
        Ok(())
    }

    async fn exit_signal(
        &mut self,
        id: ChannelId,
        signal: Sig,
        core_dumped: bool,
        _: &str,
        _: &str,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.shared.is_ours(id) {
            let ending = crate::signal::number(name(&signal))
                .map_or(Ending::Unknown, |signal| Ending::Signaled { signal, core_dumped });
            self.shared.end(ending);
        }
        Ok(())
    }

    async fn channel_eof(&mut self, id: ChannelId, _: &mut Session) -> Result<(), Self::Error> {
        if self.shared.is_ours(id) {
            self.shared.finish();
        }
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut Session) -> Result<(), Self::Error> {
        if self.shared.is_ours(id) {
            self.shared.close();
        }
        Ok(())
    }

    async fn disconnected(
        &mut self,
        reason: DisconnectReason<Self::Error>,
    ) -> Result<(), Self::Error> {
        let hostname = &self.hostname;
        self.shared.lose(match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                format!("{hostname} ended the connection: {}", info.message)
            }
            DisconnectReason::Error(HandshakeError::Session(
                russh::Error::Disconnect | russh::Error::HUP,
            )) => {
                format!("{hostname} closed the connection")
            }
            DisconnectReason::Error(HandshakeError::Session(error)) => {
                format!("the connection to {hostname} is lost: {error}")
            }
            DisconnectReason::Error(HandshakeError::HostKey(error)) => error.to_string(),
        });
        Ok(())
    }

    // A host has nothing to open here. Dropping the reply refuses.

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// A signal's name without `SIG`, as RFC 4254 §6.10 has it. OpenSSH sends no others.
fn name(signal: &Sig) -> &str {
    match signal {
        Sig::ABRT => "ABRT",
        Sig::ALRM => "ALRM",
        Sig::FPE => "FPE",
        Sig::HUP => "HUP",
        Sig::ILL => "ILL",
        Sig::INT => "INT",
        Sig::KILL => "KILL",
        Sig::PIPE => "PIPE",
        Sig::QUIT => "QUIT",
        Sig::SEGV => "SEGV",
        Sig::TERM => "TERM",
        Sig::USR1 => "USR1",
        Sig::Custom(name) => name.split('@').next().unwrap_or_default(),
    }
}
