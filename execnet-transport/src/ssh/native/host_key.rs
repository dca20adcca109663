//! Whether the host is the one that it says it is.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use russh::keys::{HashAlg, PublicKey};
use tokio::task::spawn_blocking;

use crate::ConnectError;
use crate::ssh::known_hosts::{self, KnownHosts, Name, Verdict, record};
use crate::ssh::{Config, SshError, StrictHostKey};

/// What is known of one host, before it has shown its key.
pub(super) struct HostKeys {
    name: Name,
    known: KnownHosts,
    policy: StrictHostKey,
    /// Where a new key goes, and whether its line is to be hashed.
    user_file: Option<PathBuf>,
    hashed: bool,
    /// A key that was met for the first time, and is accepted.
    new: OnceLock<PublicKey>,
}

impl HostKeys {
    pub(super) async fn load(config: &Config) -> Result<Arc<Self>, ConnectError> {
        let files = files(config);
        let loading = blocking(move || known_hosts::load(&files));
        let known = match loading.await {
            Ok(Ok(known)) => known,
            Ok(Err((file, source))) => {
                let detail = format!("cannot read {}: who is known cannot be told", file.display());
                return Err(SshError::Config { detail }.because(Some(source.into())));
            }
            Err(source) => {
                let detail = "the files of known hosts cannot be read".to_owned();
                return Err(SshError::Config { detail }.because(Some(source.into())));
            }
        };
        Ok(Arc::new(Self {
            name: name(config),
            known,
            policy: config.strict_host_key,
            user_file: config.user_known_hosts.first().cloned(),
            hashed: config.hash_known_hosts,
            new: OnceLock::new(),
        }))
    }

    /// The types of the keys that are known of the host.
    pub(super) fn known_types(&self) -> Vec<String> {
        self.known.key_types(&self.name)
    }

    /// Judges the key that the host has proved to own.
    pub(super) fn check(&self, key: &PublicKey) -> Result<(), SshError> {
        let bytes = key.to_bytes().map_err(|error| SshError::Lost {
            stage: crate::Stage::Authenticate,
            detail: format!("the host key cannot be read: {error}"),
        })?;
        let verdict = self.known.check(&self.name, &bytes);
        if verdict == Verdict::Unknown && self.policy == StrictHostKey::AcceptNew {
            // Judged again when it is written down.
            let _ = self.new.set(key.clone());
            return Ok(());
        }
        self.tell(verdict, key)
    }

    /// Writes down a key that was accepted as new. Called once the handshake is complete.
    pub(super) async fn remember(&self) -> Result<(), ConnectError> {
        let (Some(key), Some(file)) = (self.new.get(), &self.user_file) else { return Ok(()) };
        let (name, path, hashed) = (self.name.clone(), file.clone(), self.hashed);
        let bytes = key.to_bytes().map_err(io::Error::other);
        let verdict = blocking(move || record(&path, &name, &bytes?, hashed)).await;
        let verdict = verdict.and_then(|verdict| verdict).map_err(|source| {
            let detail = format!("the new host key cannot be added to {}", file.display());
            SshError::Config { detail }.because(Some(Box::new(source)))
        })?;
        Ok(self.tell(verdict, key)?)
    }

    fn tell(&self, verdict: Verdict, key: &PublicKey) -> Result<(), SshError> {
        let name = self.name();
        let key_type = key.algorithm().as_str().to_owned();
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        match verdict {
            Verdict::Known => Ok(()),
            Verdict::Unknown => Err(SshError::HostKeyUnknown { name, key_type, fingerprint }),
            Verdict::Changed { at, .. } => {
                let (file, line) = (Some(at.file.to_path_buf()), Some(at.line));
                Err(SshError::HostKeyChanged { name, key_type, fingerprint, file, line })
            }
            Verdict::Revoked { at } => {
                let (file, line) = (Some(at.file.to_path_buf()), Some(at.line));
                Err(SshError::HostKeyRevoked { name, key_type, fingerprint, file, line })
            }
        }
    }

    fn name(&self) -> String {
        self.name.full().to_owned()
    }
}

/// The line that wants this host to show a certificate, where no key of its own is known. Blocks.
pub(in crate::ssh) fn wants_certificate(config: &Config) -> Option<String> {
    // One that cannot be read is told when connecting.
    let known = known_hosts::load(&files(config)).ok()?;
    let name = name(config);
    let authority = known.authority(&name).filter(|_| known.key_types(&name).is_empty());
    authority.map(ToString::to_string)
}

/// The line that revokes the key with this fingerprint, which the `ssh` program does not name. Blocks.
pub(in crate::ssh) fn revoking_line(
    config: &Config,
    fingerprint: &str,
) -> Option<(PathBuf, usize)> {
    let known = known_hosts::load(&files(config)).ok()?;
    let is_it = |key: &[u8]| {
        let key = PublicKey::from_bytes(key);
        key.is_ok_and(|key| key.fingerprint(HashAlg::Sha256).to_string() == fingerprint)
    };
    known.revoked(&name(config), is_it).map(|at| (at.file.to_path_buf(), at.line))
}

fn name(config: &Config) -> Name {
    match &config.host_key_alias {
        Some(alias) => Name::alias(alias),
        None => Name::new(&config.hostname, config.port),
    }
}

fn files(config: &Config) -> Vec<PathBuf> {
    [&config.user_known_hosts[..], &config.global_known_hosts].concat()
}

/// Runs what may block, in a thread of the runtime's. An error means that the runtime is ending.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)
}
