//! Specification → transport → bootstrap → multiplexer: the only place where all four meet. Each way to reach a far end
//! has its own file, which makes a transport of a specification.

mod agent;
mod asking;
pub(crate) mod compiled;
#[cfg(feature = "socket")]
mod install;
mod liveness;
mod local;
mod patience;
mod prefork;
#[cfg(feature = "ssh")]
mod remote_shell;
#[cfg(feature = "socket")]
mod socket;
#[cfg(feature = "ssh")]
mod ssh;
#[cfg(feature = "ssh")]
mod vagrant;
mod via;

pub(crate) use asking::Asking;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use execnet_channel::{Config, ConnectionError, Message, Mux};
use execnet_proto::{Format, Side, Value};
use execnet_transport::{Bootstrap, Ending, Link, Stderr, Transport};
use execnet_xspec::{Kind, XSpec};
use tokio::io::AsyncWriteExt;
use tracing::Instrument;

use self::agent::{Agent, Deployment, Failed};
use self::patience::Patience;
pub(crate) use self::prefork::WarmInterpreters;
use crate::gateway::{Gateway, Starting};
use crate::scheme::Schemes;
use crate::{GatewayError, Output};

/// How long a far end may take to end by itself once the link is broken, before its end is given up on.
const ENDING: Duration = Duration::from_secs(2);

/// Bytes of output that are on their way from frames to where output goes.
const PRINTED: usize = 64 << 10;

/// Lines of output that go into the message about a worker that did not start.
const OUTPUT_LINES: usize = 20;

/// The credit that every far end gives to a channel, for payloads and what stands around them.
const LEAST_WINDOW: usize = 60 << 10;

/// How the remote shell begins the line that lists the interpreters which exist, with colons between them.
const INTERPRETERS_THERE: &str = "interpreters there: ";

/// What a gateway is made with, besides its specification.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) config: Config,
    pub(crate) output: Output,
    pub(crate) start_timeout: Duration,
    pub(crate) schemes: Schemes,
    pub(crate) agent_program: Option<PathBuf>,
    pub(crate) warm: WarmInterpreters,
    #[cfg_attr(not(feature = "ssh"), allow(dead_code, reason = "only ssh asks"))]
    pub(crate) asking: Asking,
    /// The gateway that `via=` or `installvia=` names.
    pub(crate) via: Option<Gateway>,
    /// What is to run first.
    pub(crate) first: Option<Bytes>,
}

/// The channel of what runs first, where the request could leave with the worker itself.
pub(crate) type First = Option<execnet_channel::Channel>;

/// Starts the far end that `spec` describes, and waits for the worker's first words.
///
/// Dropping the future leaves nothing behind.
pub(crate) async fn connect(
    spec: &XSpec,
    id: String,
    options: Options,
) -> Result<(Gateway, First), GatewayError> {
    let kind = options.schemes.kind(spec)?;
    let agent = Agent::find(spec, &kind, options.agent_program.as_deref())?;
    let deployment = match &agent {
        Some(agent) => agent.deployment(spec, &kind).await?,
        None => None,
    };
    let patience = Arc::new(Patience::new(options.start_timeout));
    #[cfg(feature = "ssh-native")]
    let options = Options { asking: options.asking.patiently(&patience), ..options };
    let transport = transport(spec, &options, &agent, deployment.as_ref()).await?;
    let address = transport.address();
    let span = tracing::debug_span!("connect", gateway = id, %spec);
    let start = start(&*transport, spec, id, options, deployment.as_ref(), &patience);
    let result = tokio::select! {
        result = start.instrument(span.clone()) => result,
        after = patience.over() => Err(GatewayError::TimedOut { address, after }),
    };
    let _in_span = span.enter();
    match &result {
        Ok((gateway, _)) => {
            let info = gateway.info();
            tracing::info!(
                address = gateway.address(),
                pid = info.pid,
                python = info.version,
                "started"
            );
        }
        Err(error) => tracing::warn!(target: "execnet::failed", %error, "did not start"),
    }
    result
}

async fn start(
    transport: &dyn Transport,
    spec: &XSpec,
    id: String,
    options: Options,
    deployment: Option<&Deployment>,
    patience: &Patience,
) -> Result<(Gateway, First), GatewayError> {
    if is_far(spec) {
        // Ready by the time that the connection is.
        tokio::task::spawn_blocking(execnet_agent::bootstrap_source_deflated);
    }
    let mut link = transport.connect().await.map_err(|source| GatewayError::Connect {
        address: transport.address(),
        source: Box::new(source),
    })?;
    let address = link.guard.address().to_owned();
    tracing::debug!(address, bootstrap = ?link.bootstrap, "the link is up");
    if let Some(deployment) = deployment
        && let Err(failed) = deployment.run(&mut link.reader, &mut link.writer, patience).await
    {
        return Err(not_deployed(link, failed).await);
    }
    let mut config = options.config;
    config.hello.software = concat!("execnet ", env!("CARGO_PKG_VERSION")).to_owned();
    config.hello.settings = settings(spec, &id);
    liveness::set(&mut config, spec);
    let marshal = config.hello.reads(Format::Marshal);
    let mut fed = Ok(());
    match link.bootstrap {
        // A login shell may have spoken first.
        _ if spec.agent() => config.skip_noise = !spec.contains("socket"),
        Bootstrap::Python => {
            config.skip_noise = true;
            let compiled = compiled::find(spec).await;
            let source = if is_far(spec) {
                execnet_agent::bootstrap_source_deflated().into()
            } else {
                execnet_agent::bootstrap_source_with(&compiled)
            };
            // A far end that dies meanwhile breaks the pipe; the reason is in what it leaves behind.
            fed = link.writer.write_all(&source).await;
        }
        Bootstrap::None => {}
        #[cfg(feature = "socket")]
        Bootstrap::ReadlineExec => {
            config.skip_noise = true;
            if let Err(source) = socket::start_stock(&mut link, spec).await {
                return Err(GatewayError::Connect { address, source: Box::new(source) });
            }
            fed = link.writer.write_all(execnet_agent::bootstrap_source()).await;
        }
        // It would never speak our protocol.
        other => return Err(not_supported(spec, &format!("{other:?}"))),
    }
    let (mux, incoming, driver) =
        Mux::new(link.reader, link.writer, Side::Connector, config).map_err(|error| {
            GatewayError::NotSupported { spec: spec.to_string(), key: error.to_string() }
        })?;
    let (stderr, printed) = match link.stderr {
        Some(stderr) => (stderr, None),
        // What the far end prints comes as frames then, and is treated alike from here on.
        None => {
            let (printed, stderr) = tokio::io::duplex(PRINTED);
            (Stderr::new(stderr), Some(printed))
        }
    };
    let starting = Starting::new(id, spec.clone(), mux, link.guard, stderr);
    let monitor = starting.monitor(driver, incoming, printed, options.output);
    let first = match options.first {
        Some(request) => begin(starting.mux(), request).await,
        None => None,
    };
    let error = match (fed, starting.mux().peer().await) {
        (Ok(()), Ok(hello)) => {
            let gateway = starting.started(hello, marshal, monitor);
            compiled::started(&gateway);
            return Ok((gateway, first));
        }
        (Err(error), _) => ConnectionError::Link(Arc::new(error)),
        (_, Err(error)) => error,
    };
    if let ConnectionError::Refused(fault) = error {
        return Err(GatewayError::Refused { address, fault: Box::new(fault.into()) });
    }
    #[cfg(feature = "socket")]
    if let Some(source) = socket::refused(&error) {
        return Err(GatewayError::Connect { address, source: Box::new(source) });
    }
    let noise = starting.mux().noise();
    let (ending, mut output) = starting.post_mortem(ENDING, OUTPUT_LINES).await;
    let noise = String::from_utf8_lossy(&noise);
    let noise = noise.lines().filter(|line| !line.is_empty()).map(str::to_owned);
    output.splice(0..0, noise.take(OUTPUT_LINES));
    if ending == Some(NOT_FOUND) && is_remote_shell(spec) && !spec.agent() {
        return Err(no_interpreter(transport.address(), output));
    }
    Err(GatewayError::Start { address, ending, output, source: Box::new(error) })
}

/// Asks for what is to run first, before the far end has said a word. Not for what is longer than any far end takes at
/// once (PROTOCOL.md §3): that has to wait for its words.
async fn begin(mux: &Mux, request: Bytes) -> First {
    if request.len() > LEAST_WINDOW {
        return None;
    }
    let mut channel = mux.exec().ok()?;
    // Where the link is gone already, its end is what there is to tell.
    channel.send(Message::cbor(request)).await.ok()?;
    Some(channel)
}

/// The agent did not get there: what the far side said about it.
async fn not_deployed(link: Link, failed: Failed) -> GatewayError {
    let address = link.guard.address().to_owned();
    // The script has ended, or is to end: with its input.
    drop(link.writer);
    let ending = tokio::time::timeout(ENDING, link.guard.wait()).await.ok();
    let noise = String::from_utf8_lossy(&failed.noise).into_owned();
    let mut output: Vec<_> = noise.lines().map(str::to_owned).collect();
    if let Some(stderr) = &link.stderr {
        let _ = tokio::time::timeout(ENDING, stderr.closed()).await;
        output.extend(stderr.tail_lines(OUTPUT_LINES));
    }
    GatewayError::Deploy { address, ending, output, source: Box::new(failed.error) }
}

async fn transport(
    spec: &XSpec,
    options: &Options,
    agent: &Option<Agent>,
    deployment: Option<&Deployment>,
) -> Result<Box<dyn Transport>, GatewayError> {
    let schemes = &options.schemes;
    let kind = schemes.kind(spec)?;
    if spec.prefork() && (kind != Kind::Popen || agent.is_some() || spec.contains("via")) {
        let why = match (agent, spec.via()) {
            (Some(_), _) => "beside `agent",
            (None, Some(_)) => "beside `via",
            (None, None) => "without `popen",
        };
        return Err(not_supported(spec, &format!("prefork` {why}")));
    }
    let words = agent.as_ref().map(|agent| agent.words(spec, deployment));
    if let Some(gateway) = &options.via {
        #[cfg(feature = "socket")]
        if spec.contains("installvia") {
            return install::transport(spec, gateway);
        }
        return via::transport(spec, kind, gateway, words);
    }
    match kind {
        Kind::Popen => match agent {
            Some(agent) => agent::popen(spec, agent),
            None if spec.prefork() => options.warm.transport(spec).await,
            None => local::popen(spec),
        },
        Kind::Command => local::command(spec, words),
        #[cfg(feature = "ssh")]
        Kind::Ssh => ssh::ssh(spec, words, &options.asking),
        #[cfg(feature = "ssh")]
        Kind::VagrantSsh => ssh::vagrant_ssh(spec, words, &options.asking),
        #[cfg(feature = "socket")]
        Kind::Socket => socket::socket(spec, None),
        Kind::Custom(_) if agent.is_some() => Err(not_supported(spec, "agent")),
        Kind::Custom(key) => schemes.transport(key, spec),
        other => Err(not_supported(spec, &format!("{other:?}"))),
    }
}

/// How a shell leaves when there is no such program.
const NOT_FOUND: Ending = Ending::Exited(127);

/// Whether bytes take a long way, as a rule.
fn is_far(spec: &XSpec) -> bool {
    is_remote_shell(spec) || spec.contains("via")
}

fn is_remote_shell(spec: &XSpec) -> bool {
    spec.contains("ssh") || spec.contains("vagrant_ssh")
}

/// Finds the shell's message and the interpreters that it lists among the last lines.
fn no_interpreter(address: String, output: Vec<String>) -> GatewayError {
    let (mut found, mut said) = (Vec::new(), Vec::new());
    for line in output {
        match line.strip_prefix(INTERPRETERS_THERE) {
            Some(paths) => found.extend(paths.split(':').map(str::to_owned)),
            None => said.push(line),
        }
    }
    let message = said.iter().rfind(|line| line.contains("not found")).or(said.last());
    let message = message.cloned().unwrap_or_else(|| "no such program".to_owned());
    GatewayError::NoInterpreter { address, message, found }
}

#[cfg(any(feature = "socket", feature = "ssh"))]
fn bad_value(
    spec: &XSpec,
    key: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> GatewayError {
    let (spec, key) = (spec.to_string(), key.to_owned());
    GatewayError::Value { spec, key, source: source.into() }
}

fn not_supported(spec: &XSpec, key: &str) -> GatewayError {
    GatewayError::NotSupported { spec: spec.to_string(), key: key.to_owned() }
}

/// The command line of an interpreter that waits for the worker's source.
pub(crate) fn interpreter(mut argv: Vec<String>, spec: &XSpec) -> Vec<String> {
    if spec.dont_write_bytecode() {
        argv.push("-B".to_owned());
    }
    argv.push("-c".to_owned());
    argv.push(execnet_agent::bootstrap_line());
    argv
}

/// What the worker is to apply before any task (PROTOCOL.md §8).
fn settings(spec: &XSpec, id: &str) -> BTreeMap<String, Value> {
    let mut settings = BTreeMap::from([("id".to_owned(), Value::from(id))]);
    if let Some(dir) = spec.chdir() {
        settings.insert("chdir".to_owned(), dir.into());
    }
    if let Some(nice) = spec.nice() {
        settings.insert("nice".to_owned(), Value::from(i64::from(nice)));
    }
    if let Some(model) = spec.execmodel() {
        settings.insert("execmodel".to_owned(), model.as_str().into());
    }
    // A server starts the worker that these ask for; others ignore them.
    if spec.contains("socket") && !spec.stock() {
        if let Some(python) = spec.python() {
            let words = python.iter().map(|word| Value::from(word.as_str())).collect();
            settings.insert("python".to_owned(), Value::List(words));
        }
        if spec.dont_write_bytecode() {
            settings.insert("dont_write_bytecode".to_owned(), Value::Bool(true));
        }
    }
    // A server starts what is asked for; elsewhere it has been started.
    if spec.agent() && spec.contains("socket") {
        settings.insert("worker".to_owned(), "native".into());
    }
    // Set once more where the link could not do it before the interpreter started.
    let env: Vec<_> = spec.env().collect();
    if !env.is_empty() {
        settings.insert("env".to_owned(), Value::dict(env));
    }
    settings
}
