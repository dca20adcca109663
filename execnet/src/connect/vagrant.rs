//! How a Vagrant machine is reached, by Vagrant's own words.

use std::io::Write;
use std::time::Duration;

use execnet_transport::ssh::{Options, SshError};
use execnet_transport::{ConnectError, Ending, Link, Popen, Stage, Transport};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// It starts a Ruby, and may ask a hypervisor.
const LIMIT: Duration = Duration::from_secs(60);

/// Its answer is some hundred bytes.
const LONGEST: u64 = 1 << 16;

/// Options that lead to a machine, and the configuration file that they name: gone when this is dropped.
pub(super) struct Machine {
    pub(super) options: Options,
    _file: NamedTempFile,
}

/// Asks `vagrant ssh-config`, in the current directory as always with Vagrant. What it does not say is taken from
/// `config_file`, if there is one.
pub(super) async fn ssh_config(
    machine: &str,
    config_file: Option<&str>,
) -> Result<Machine, ConnectError> {
    let argv = ["vagrant", "ssh-config", "--host", machine, machine];
    let Link { reader, mut writer, stderr, guard, .. } = Popen::new(argv).connect().await?;
    let answer = async {
        let _ = writer.shutdown().await;
        let mut text = String::new();
        let read = reader.take(LONGEST).read_to_string(&mut text).await;
        let ending = guard.wait().await;
        if let Some(stderr) = &stderr {
            stderr.closed().await;
        }
        read.map(|_| (text, ending))
    };
    let failed = |detail: String| SshError::Config { detail: format!("vagrant: {detail}") };
    let (text, ending) = timeout(LIMIT, answer)
        .await
        .map_err(|_| ConnectError::TimedOut { stage: Stage::Spawn, after: LIMIT })?
        .map_err(|error| failed(error.to_string()))?;
    if ending != Ending::Exited(0) {
        let said = stderr.map(|stderr| stderr.tail_lines(5).join("; ")).unwrap_or_default();
        return Err(failed(if said.is_empty() { ending.to_string() } else { said }).into());
    }
    let mut file = NamedTempFile::new().map_err(|error| failed(error.to_string()))?;
    let include = config_file.map(|path| format!("\nMatch all\nInclude \"{path}\"\n"));
    let text = text + include.as_deref().unwrap_or_default();
    file.write_all(text.as_bytes()).map_err(|error| failed(error.to_string()))?;
    let options = Options::new(machine).map_err(|error| failed(error.to_string()))?;
    Ok(Machine { options: options.config_file(file.path()), _file: file })
}
