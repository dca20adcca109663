//! Far ends over ssh, with real servers and the real `ssh` program.
#![cfg(all(feature = "ssh-native", unix))]

mod conforms;
mod errors;
mod host_keys;
mod resolve;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use execnet_testing::Sshd;
use execnet_transport::ssh::{Config, Native, OpenSsh, Options};
use execnet_transport::{ConnectError, Link, Transport};

/// The implementations, each of which is to do the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    Native,
    OpenSsh,
}

const BACKENDS: [Backend; 2] = [Backend::Native, Backend::OpenSsh];

impl Backend {
    async fn transport(
        self,
        options: Options,
        command: &str,
    ) -> Result<Arc<dyn Transport>, ConnectError> {
        let config = Config::resolve(&options).await?;
        Ok(match self {
            Self::Native => Arc::new(Native::new(config, command)),
            Self::OpenSsh => Arc::new(OpenSsh::new(options, config, command)),
        })
    }

    async fn connect(self, options: &Options, command: &str) -> Result<Link, ConnectError> {
        self.transport(options.clone(), command).await?.connect().await
    }
}

/// Options that lead to the server and trust it alone.
fn options(sshd: &Sshd) -> Options {
    with_config(&sshd.client_config("web1"))
}

fn with_config(path: &Path) -> Options {
    Options::new("web1").unwrap().config_file(path)
}

/// Whether there is an `ssh` program; says so if not.
fn has_ssh() -> bool {
    let found = Command::new("ssh").arg("-V").output().is_ok();
    if !found {
        execnet_testing::skip("no ssh: install openssh-client");
    }
    found
}
