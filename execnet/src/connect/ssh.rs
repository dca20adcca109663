//! Far ends on other hosts: `ssh=` and `vagrant_ssh=`.

use execnet_transport::ssh::{Config, NeedsOpenSsh, OpenSsh, Options, SshError};
use execnet_transport::{BoxFuture, ConnectError, Link, SpawnFault, Transport};
use execnet_xspec::XSpec;

use super::remote_shell::{program_command, python_command};
use super::vagrant;
use super::{bad_value, not_supported};
use crate::GatewayError;
use crate::connect::Asking;

/// Keys of sockets: an ssh connection has its own ways to say who is who.
const SOCKET_KEYS: [&str; 5] = ["token_file", "tls_ca", "tls_cert", "tls_key", "server_name"];

pub(super) fn ssh(
    spec: &XSpec,
    agent: Option<Vec<String>>,
    asking: &Asking,
) -> Result<Box<dyn Transport>, GatewayError> {
    let words = spec.ssh().unwrap_or_default();
    let mut options = Options::parse(words).map_err(|error| bad_value(spec, "ssh", error))?;
    match (spec.ssh_config(), options.config_file_path()) {
        (Some(_), Some(_)) => return Err(not_supported(spec, "ssh_config` beside `ssh=-F")),
        (Some(path), None) => options = options.config_file(path),
        (None, _) => {}
    }
    transport(spec, Host::Named(options), agent, asking)
}

pub(super) fn vagrant_ssh(
    spec: &XSpec,
    agent: Option<Vec<String>>,
    asking: &Asking,
) -> Result<Box<dyn Transport>, GatewayError> {
    let machine = spec.vagrant_ssh().unwrap_or_default();
    // Vagrant takes it for an option, and ssh for a pattern.
    Options::new(machine).map_err(|error| bad_value(spec, "vagrant_ssh", error))?;
    let config_file = spec.ssh_config().map(str::to_owned);
    let host = Host::Vagrant { machine: machine.to_owned(), config_file };
    transport(spec, host, agent, asking)
}

fn transport(
    spec: &XSpec,
    host: Host,
    agent: Option<Vec<String>>,
    asking: &Asking,
) -> Result<Box<dyn Transport>, GatewayError> {
    if let Some(key) = SOCKET_KEYS.into_iter().find(|key| spec.contains(key)) {
        return Err(not_supported(spec, &format!("{key}` beside `ssh")));
    }
    let backend = match spec.ssh_backend() {
        None => None,
        Some("openssh") => Some(Backend::OpenSsh),
        #[cfg(feature = "ssh-native")]
        Some("native") => Some(Backend::Native),
        Some(other) => {
            let error = format!("unknown backend {other:?}; expected `native` or `openssh`");
            return Err(bad_value(spec, "ssh_backend", error));
        }
    };
    let command = agent.map_or_else(|| python_command(spec), |words| program_command(&words));
    Ok(Box::new(Ssh { host, command, backend, asking: asking.clone() }))
}

/// A far end on another host. Which implementation connects is known once the host's configuration is.
#[derive(Debug)]
struct Ssh {
    host: Host,
    command: String,
    backend: Option<Backend>,
    /// Not by the `ssh` program, which asks nobody (`BatchMode`).
    #[cfg_attr(not(feature = "ssh-native"), allow(dead_code, reason = "nobody else asks"))]
    asking: Asking,
}

#[derive(Debug)]
enum Host {
    Named(Options),
    Vagrant { machine: String, config_file: Option<String> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    #[cfg(feature = "ssh-native")]
    Native,
    OpenSsh,
}

impl Ssh {
    async fn start(&self) -> Result<Link, ConnectError> {
        // Holds the file until the connection is up.
        let vagrant;
        let options = match &self.host {
            Host::Named(options) => options,
            Host::Vagrant { machine, config_file } => {
                vagrant = vagrant::ssh_config(machine, config_file.as_deref()).await?;
                &vagrant.options
            }
        };
        let config = Config::resolve(options).await?;
        match self.backend(&config)? {
            #[cfg(feature = "ssh-native")]
            Backend::Native => {
                let mut native = execnet_transport::ssh::Native::new(config, self.command.clone());
                if let Some(prompt) = self.asking.prompt() {
                    native = native.prompt(prompt);
                }
                native.label(self.address()).connect().await
            }
            Backend::OpenSsh => {
                let reason = config.needs_openssh();
                let openssh = OpenSsh::new(options.clone(), config, self.command.clone());
                let connected = openssh.label(self.address()).connect().await;
                connected.map_err(|error| no_program(error, reason))
            }
        }
    }

    /// The one that was asked for, else the native one where it can.
    fn backend(&self, config: &Config) -> Result<Backend, SshError> {
        let reason = config.needs_openssh();
        match (self.backend, reason) {
            #[cfg(feature = "ssh-native")]
            (None, None) => Ok(Backend::Native),
            #[cfg(feature = "ssh-native")]
            (Some(Backend::Native), Some(reason)) => Err(SshError::Config {
                detail: format!(
                    "`ssh_backend=native` cannot connect to {}: {reason}; leave it out, or use `openssh`",
                    config.host
                ),
            }),
            (None, Some(reason)) => {
                tracing::info!(host = config.host, %reason, "connecting by the ssh program");
                Ok(Backend::OpenSsh)
            }
            #[cfg(not(feature = "ssh-native"))]
            (None, None) => Ok(Backend::OpenSsh),
            (Some(backend), _) => Ok(backend),
        }
    }
}

/// Whoever has not asked for the program is told what it is needed for.
fn no_program(error: ConnectError, reason: Option<NeedsOpenSsh>) -> ConnectError {
    match (&error, reason) {
        (ConnectError::Spawn { fault: SpawnFault::NotOnPath, .. }, Some(reason)) => {
            let detail =
                format!("{reason}, for which the ssh program is needed, and it is not on PATH");
            SshError::Config { detail }.into()
        }
        _ => error,
    }
}

impl Transport for Ssh {
    fn address(&self) -> String {
        match &self.host {
            Host::Named(options) => format!("ssh {options}"),
            Host::Vagrant { machine, .. } => format!("vagrant {machine}"),
        }
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        Box::pin(self.start())
    }
}
