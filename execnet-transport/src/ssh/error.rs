//! What goes wrong on the way to a host, whichever implementation found it.

use std::path::PathBuf;
use std::time::Duration;

use crate::{ConnectError, Fault, Stage};

/// Why there is no connection over ssh, with the way out in its text.
///
/// Both implementations tell the same: tests can compare, programs can match. What the layer below said
/// is the source of the [`ConnectError`] around it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SshError {
    /// The user's configuration cannot be read, or asks for what cannot be had.
    #[error("the ssh configuration is not usable: {detail}")]
    Config {
        /// File, line and what the matter is, where they are known.
        detail: String,
    },
    /// The name has no address.
    #[error(
        "cannot resolve {hostname}: no such host is known; {}", resolvable(.hostname)
    )]
    Resolve {
        /// The name that was looked up.
        hostname: String,
    },
    /// Nobody listens there.
    #[error(
        "{hostname} port {port} refused the connection; does sshd run there, and on this port?"
    )]
    Refused {
        /// The name or address.
        hostname: String,
        /// The port.
        port: u16,
    },
    /// The network does not lead there.
    #[error("cannot reach {hostname} port {port}: {detail}")]
    Unreachable {
        /// The name or address.
        hostname: String,
        /// The port.
        port: u16,
        /// What the system says.
        detail: String,
    },
    /// The host did not answer in time.
    #[error(
        "no answer from {hostname} port {port} within {after:?} while {stage}; \
         is the host up, and is it sshd that listens there? `-o ConnectTimeout=SECONDS` waits longer"
    )]
    TimedOut {
        /// The name or address.
        hostname: String,
        /// The port.
        port: u16,
        /// What was under way.
        stage: Stage,
        /// The limit.
        after: Duration,
    },
    /// Whoever listens there does not speak ssh, or hangs up at once, as an overloaded sshd does.
    #[error("{hostname} port {port} does not answer as an ssh server: {detail}")]
    NotSsh {
        /// The name or address.
        hostname: String,
        /// The port.
        port: u16,
        /// What it did.
        detail: String,
    },
    /// The two sides have no algorithm in common.
    #[error("no {kind} in common with {hostname}; it offers {}", .offered.join(", "))]
    NoCommon {
        /// The name or address.
        hostname: String,
        /// What for, as `host key type` or `cipher`.
        kind: String,
        /// What the host offers.
        offered: Vec<String>,
    },
    /// The host is not among the known ones.
    #[error(
        "host key of {name} is unknown: {key_type} {fingerprint}; if that is the host's own, add it by connecting \
         once with `ssh`, or let new hosts be added with `-o StrictHostKeyChecking=accept-new`"
    )]
    HostKeyUnknown {
        /// The name looked up: the host, `[host]:port`, or HostKeyAlias.
        name: String,
        /// The type of the key that it showed, as `ssh-ed25519`.
        key_type: String,
        /// Its fingerprint, as `SHA256:…`.
        fingerprint: String,
    },
    /// Another key is known for this host: another host may have taken its place.
    #[error(
        "host key of {name} has CHANGED: it shows {key_type} {fingerprint}, {} holds another; if the host was set up \
         anew, remove the old key with `ssh-keygen -R {name}`, else somebody may be listening in", place(.file, .line)
    )]
    HostKeyChanged {
        /// The name looked up.
        name: String,
        /// The type of the key that it showed.
        key_type: String,
        /// Its fingerprint.
        fingerprint: String,
        /// The file with the other key.
        file: Option<PathBuf>,
        /// Its line there, from 1.
        line: Option<usize>,
    },
    /// The key is marked as revoked: never to be trusted again.
    #[error(
        "host key of {name} is REVOKED by {}: it shows {key_type} {fingerprint}, which nobody should own any more; \
         the host needs new keys", place(.file, .line)
    )]
    HostKeyRevoked {
        /// The name looked up.
        name: String,
        /// The type of the key that it showed.
        key_type: String,
        /// Its fingerprint.
        fingerprint: String,
        /// The file that revokes it.
        file: Option<PathBuf>,
        /// Its line there, from 1.
        line: Option<usize>,
    },
    /// The host did not let us in.
    #[error("{user}@{hostname}: permission denied; {}", denied(.methods, .keys, .notes))]
    Denied {
        /// The user.
        user: String,
        /// The name or address.
        hostname: String,
        /// The methods that the host would have accepted.
        methods: Vec<String>,
        /// The keys that were offered, by file or comment.
        keys: Vec<String>,
        /// What was not tried and why, and what the host said when it hung up.
        notes: Vec<String>,
    },
    /// We are in, and the host opens no channel for us.
    #[error(
        "{hostname} refused to open a session: {detail}; one connection may hold as many as MaxSessions in its sshd_config"
    )]
    ChannelRefused {
        /// The name or address.
        hostname: String,
        /// What it says.
        detail: String,
    },
    /// The command that was to make the connection failed.
    #[error("ProxyCommand `{command}` failed: {detail}")]
    Proxy {
        /// The command.
        command: String,
        /// What it, or ssh, said.
        detail: String,
    },
    /// A host on the way failed.
    #[error("jump host {hop}: {error}")]
    Jump {
        /// The host.
        hop: String,
        /// What was the matter with it.
        error: Box<Self>,
    },
    /// The connection was lost, or something that this list does not know.
    #[error("{detail} (while {stage})")]
    Lost {
        /// What was under way.
        stage: Stage,
        /// What was said about it.
        detail: String,
    },
}

impl SshError {
    /// How far the attempt came.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Config { .. } => Stage::Spawn,
            Self::Resolve { .. } => Stage::Resolve,
            Self::Refused { .. } | Self::Unreachable { .. } | Self::Proxy { .. } => Stage::Connect,
            Self::NotSsh { .. } | Self::NoCommon { .. } => Stage::Handshake,
            Self::HostKeyUnknown { .. }
            | Self::HostKeyChanged { .. }
            | Self::HostKeyRevoked { .. }
            | Self::Denied { .. } => Stage::Authenticate,
            Self::ChannelRefused { .. } => Stage::Bootstrap,
            Self::TimedOut { stage, .. } | Self::Lost { stage, .. } => *stage,
            Self::Jump { error, .. } => error.stage(),
        }
    }

    /// Who has to act.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Config { .. }
            | Self::Resolve { .. }
            | Self::HostKeyUnknown { .. }
            | Self::HostKeyChanged { .. }
            | Self::HostKeyRevoked { .. }
            | Self::Denied { .. }
            | Self::Proxy { .. } => Fault::Caller,
            Self::Refused { .. }
            | Self::NotSsh { .. }
            | Self::NoCommon { .. }
            | Self::ChannelRefused { .. } => Fault::FarEnd,
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Lost { .. } => Fault::Link,
            Self::Jump { error, .. } => error.fault(),
        }
    }

    /// As an error of the transport, with what the layer below said.
    pub(crate) fn because(
        self,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    ) -> ConnectError {
        ConnectError::Ssh { error: Box::new(self), source }
    }
}

impl From<SshError> for ConnectError {
    fn from(error: SshError) -> Self {
        error.because(None)
    }
}

fn resolvable(hostname: &str) -> String {
    match hostname.split_once(':') {
        // Not an address of IPv6.
        Some((_, port)) if port.parse::<u16>().is_ok() => {
            format!("a port is given as `-p {port}` in front of the host")
        }
        _ => "check the name, or set HostName for it in ~/.ssh/config".to_owned(),
    }
}

fn place(file: &Option<PathBuf>, line: &Option<usize>) -> String {
    match (file, line) {
        (Some(file), Some(line)) => format!("{} line {line}", file.display()),
        (Some(file), None) => file.display().to_string(),
        (None, _) => "a file of known hosts".to_owned(),
    }
}

fn denied(methods: &[String], keys: &[String], notes: &[String]) -> String {
    let accepts = match methods {
        [] => "the host did not say what it accepts".to_owned(),
        methods => format!("the host accepts {}", methods.join(", ")),
    };
    let offered = match keys {
        [] => "no key was offered: name one with `-i FILE`, or load it into ssh-agent".to_owned(),
        keys => format!(
            "offered: {}; is one of them in its authorized_keys, and is the user right?",
            keys.join(", ")
        ),
    };
    let notes: String = notes.iter().map(|note| format!("; {note}")).collect();
    format!("{accepts}; {offered}{notes}")
}
