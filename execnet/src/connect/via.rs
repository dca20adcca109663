//! Far ends that another gateway starts, or connects to: `via=`.

use execnet_transport::{Bootstrap, Transport};
use execnet_xspec::{Kind, XSpec};

use super::{interpreter, local, not_supported};
use crate::{Gateway, GatewayError};

/// The `ssh` program, which must not ask: nobody sits at that machine.
#[cfg(feature = "ssh")]
const SSH: [&str; 4] = ["ssh", "-T", "-o", "BatchMode=yes"];

/// The transport for a specification with `via=`, through the gateway that it names. `agent` starts an agent there, where one is asked for.
pub(super) fn transport(
    spec: &XSpec,
    kind: Kind<'_>,
    gateway: &Gateway,
    agent: Option<Vec<String>>,
) -> Result<Box<dyn Transport>, GatewayError> {
    let bootstrap = if agent.is_some() { Bootstrap::None } else { Bootstrap::Python };
    let (label, argv) = match kind {
        Kind::Popen => {
            local::refuse_remote_keys(spec, "popen")?;
            match agent {
                Some(words) => ("popen agent".to_owned(), words),
                None => {
                    let python = python(spec, gateway);
                    (format!("popen {}", python.join(" ")), interpreter(python, spec))
                }
            }
        }
        Kind::Command => {
            local::refuse_remote_keys(spec, "command")?;
            let (argv, label) = local::command_line(spec, agent)?;
            (label, argv)
        }
        #[cfg(feature = "ssh")]
        Kind::Ssh => {
            let words = spec.ssh().unwrap_or_default();
            (format!("ssh {}", words.join(" ")), ssh(spec, words, agent))
        }
        #[cfg(feature = "socket")]
        Kind::Socket => return super::socket::socket(spec, Some(gateway)),
        Kind::VagrantSsh => return Err(not_supported(spec, "vagrant_ssh` beside `via")),
        other => return Err(not_supported(spec, &format!("{other:?}` beside `via"))),
    };
    let mut command = gateway.command(argv).label(label).bootstrap(bootstrap);
    // Only who starts the interpreter itself can set its environment beforehand.
    if kind == Kind::Popen {
        for (name, value) in spec.env() {
            command = command.env(name, value);
        }
    }
    Ok(Box::new(command))
}

/// The interpreter to start there: by default the one that is at work there already.
fn python(spec: &XSpec, gateway: &Gateway) -> Vec<String> {
    let info = gateway.info();
    match spec.python() {
        Some(words) => words.to_vec(),
        None if PYTHONS.contains(&&*info.implementation) => vec![info.executable.clone()],
        None => vec!["python3".to_owned()],
    }
}

const PYTHONS: [&str; 2] = ["cpython", "pypy"];

/// That host's `ssh`, with its own configuration, keys and known hosts.
#[cfg(feature = "ssh")]
fn ssh(spec: &XSpec, words: &[String], agent: Option<Vec<String>>) -> Vec<String> {
    use super::remote_shell::{program_command, python_command};

    let mut argv = SSH.map(str::to_owned).to_vec();
    if let Some(file) = spec.ssh_config() {
        argv.extend(["-F".to_owned(), file.to_owned()]);
    }
    argv.extend_from_slice(words);
    argv.push(match agent {
        Some(words) => program_command(&words),
        None => python_command(spec),
    });
    argv
}

#[cfg(all(test, feature = "ssh"))]
mod tests {
    use super::*;

    #[test]
    fn the_ssh_program_there_is_told_not_to_ask() {
        let spec: XSpec = "ssh=-p 2222 me@web1//python=python3 -X dev//via=gw0".parse().unwrap();
        let argv = ssh(&spec, spec.ssh().unwrap(), None);
        assert_eq!(argv[..7], ["ssh", "-T", "-o", "BatchMode=yes", "-p", "2222", "me@web1"]);
        assert_eq!(argv.len(), 8);
    }
}
