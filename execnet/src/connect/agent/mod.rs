//! Far ends that are native agents: which program, how it is started, and how it gets to another host.

mod deploy;
mod image;

use std::env;
use std::path::{Path, PathBuf};

use execnet_agent::AGENT_ARGUMENT;
use execnet_transport::{Bootstrap, Popen, Transport};
use execnet_xspec::{Kind, XSpec};

pub(super) use self::deploy::{Deployment, Failed};
use self::image::Image;
use super::{local, not_supported};
use crate::GatewayError;

/// The program that is looked for when none is given.
const PROGRAM: &str = "execnet-agent";

/// Keys that speak of an interpreter, and mean nothing to an agent.
const PYTHON_KEYS: [&str; 4] = ["python", "execmodel", "dont_write_bytecode", "prefork"];

/// The agent that a specification asks for.
#[derive(Debug)]
pub(super) enum Agent {
    /// A program of the far end's host, with its arguments.
    Named(Vec<String>),
    /// The one of the server at the other end.
    Served,
    /// A program that is here.
    Ours {
        program: PathBuf,
        /// An agent that is installed on the far end's host will do as well.
        installed: bool,
    },
}

impl Agent {
    /// `None` where the specification asks for a Python worker. `own` is the group's agent program.
    pub(super) fn find(
        spec: &XSpec,
        kind: &Kind<'_>,
        own: Option<&Path>,
    ) -> Result<Option<Self>, GatewayError> {
        if !spec.agent() {
            return Ok(None);
        }
        if let Some(key) = PYTHON_KEYS.into_iter().find(|key| spec.contains(key)) {
            return Err(not_supported(spec, &format!("{key}` beside `agent")));
        }
        if matches!(kind, Kind::Socket) {
            return match spec.agent_command() {
                Some(_) => Err(not_supported(spec, "agent=PROGRAM` beside `socket")),
                None if spec.stock() => Err(not_supported(spec, "agent` beside `stock")),
                None => Ok(Some(Self::Served)),
            };
        }
        if let Some(words) = spec.agent_command() {
            let mut words = words.to_vec();
            words.push(AGENT_ARGUMENT.to_owned());
            return Ok(Some(Self::Named(words)));
        }
        Ok(Some(match own {
            Some(program) => Self::Ours { program: program.to_owned(), installed: false },
            None => Self::Ours { program: find_installed(spec)?, installed: true },
        }))
    }

    /// What is to be carried to the far end's host, where that is another one.
    pub(super) async fn deployment(
        &self,
        spec: &XSpec,
        kind: &Kind<'_>,
    ) -> Result<Option<Deployment>, GatewayError> {
        let Self::Ours { program, installed } = self else { return Ok(None) };
        if matches!(kind, Kind::Popen) && !spec.contains("via") {
            return Ok(None);
        }
        let image = Image::of(program)
            .await
            .map_err(|source| GatewayError::AgentFile { program: program.clone(), source })?;
        let name = if *installed { PROGRAM } else { "" };
        Ok(Some(Deployment::new(image, name, spec)))
    }

    /// The words that start it on another host, behind what leads there.
    pub(super) fn words(&self, spec: &XSpec, deployment: Option<&Deployment>) -> Vec<String> {
        match (self, deployment) {
            (_, Some(deployment)) => deployment.words().to_vec(),
            (Self::Served, None) => Vec::new(),
            (Self::Ours { program, .. }, None) => alone(program),
            (Self::Named(words), None) => {
                let mut env: Vec<_> =
                    spec.env().map(|(name, value)| format!("{name}={value}")).collect();
                if !env.is_empty() {
                    env.insert(0, "env".to_owned());
                }
                env.extend_from_slice(words);
                env
            }
        }
    }
}

pub(super) fn popen(spec: &XSpec, agent: &Agent) -> Result<Box<dyn Transport>, GatewayError> {
    local::refuse_remote_keys(spec, "popen")?;
    let words = match agent {
        Agent::Named(words) => words.clone(),
        Agent::Ours { program, .. } => alone(program),
        Agent::Served => Vec::new(),
    };
    let label = format!("popen {}", words.join(" "));
    let mut popen = Popen::new(words);
    for (name, value) in spec.env() {
        popen = popen.env(name, value);
    }
    Ok(Box::new(popen.bootstrap(Bootstrap::None).label(label)))
}

fn alone(program: &Path) -> Vec<String> {
    vec![program.to_string_lossy().into_owned(), AGENT_ARGUMENT.to_owned()]
}

/// `execnet-agent` on PATH, or in the folder of this program.
fn find_installed(spec: &XSpec) -> Result<PathBuf, GatewayError> {
    let path = env::var_os("PATH").unwrap_or_default();
    let beside = env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned));
    let folders = env::split_paths(&path).chain(beside);
    folders
        .map(|folder| folder.join(PROGRAM))
        .find(|path| local::is_program(path))
        .ok_or_else(|| GatewayError::NoAgent { spec: spec.to_string() })
}
