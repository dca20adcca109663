//! Far ends that are processes of this machine: `popen` and `command=`.

use std::path::Path;

use execnet_transport::{Bootstrap, Popen, Transport};
use execnet_xspec::XSpec;

use super::{interpreter, not_supported};
use crate::GatewayError;

/// Keys that say how to reach another machine: beside a process that is started here they would do nothing.
const REMOTE_KEYS: [&str; 7] =
    ["ssh_config", "ssh_backend", "token_file", "tls_ca", "tls_cert", "tls_key", "server_name"];

pub(super) fn popen(spec: &XSpec) -> Result<Box<dyn Transport>, GatewayError> {
    let (python, words) = python(spec)?;
    let label = format!("popen {words}");
    let mut popen = Popen::new(interpreter(python, spec)).bootstrap(Bootstrap::Python);
    for (name, value) in spec.env() {
        popen = popen.env(name, value);
    }
    Ok(Box::new(popen.label(label)))
}

/// The interpreter to start, and what messages call it.
pub(super) fn python(spec: &XSpec) -> Result<(Vec<String>, String), GatewayError> {
    refuse_remote_keys(spec, "popen")?;
    let python = match spec.python() {
        Some(words) => words.to_vec(),
        None => vec![default_python()],
    };
    let words = python.join(" ");
    Ok((python, words))
}

pub(super) fn command(
    spec: &XSpec,
    agent: Option<Vec<String>>,
) -> Result<Box<dyn Transport>, GatewayError> {
    refuse_remote_keys(spec, "command")?;
    let bootstrap = if agent.is_some() { Bootstrap::None } else { Bootstrap::Python };
    let (argv, label) = command_line(spec, agent)?;
    Ok(Box::new(Popen::new(argv).bootstrap(bootstrap).label(label)))
}

/// The program of `command=` with what follows it, and what messages call it. It ends in an interpreter, unless `python=` names
/// one or an agent is wanted: then it is what stands before those.
pub(super) fn command_line(
    spec: &XSpec,
    agent: Option<Vec<String>>,
) -> Result<(Vec<String>, String), GatewayError> {
    let mut argv = spec.command().unwrap_or_default().to_vec();
    if agent.is_none() {
        argv.extend(spec.python().into_iter().flatten().cloned());
    }
    let label = format!("command {}", argv.join(" "));
    Ok(match agent {
        Some(words) => {
            argv.extend(words);
            (argv, label)
        }
        None => (interpreter(argv, spec), label),
    })
}

pub(super) fn refuse_remote_keys(spec: &XSpec, kind: &str) -> Result<(), GatewayError> {
    match REMOTE_KEYS.into_iter().find(|key| spec.contains(key)) {
        Some(key) => Err(not_supported(spec, &format!("{key}` beside `{kind}"))),
        None => Ok(()),
    }
}

/// The first of `python3` and `python` on PATH; `python3` when there is none, for the error to name.
fn default_python() -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = ["python3", "python"]
        .into_iter()
        .find(|name| std::env::split_paths(&path).any(|dir| is_program(&dir.join(name))));
    found.unwrap_or("python3").to_owned()
}

pub(super) fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
