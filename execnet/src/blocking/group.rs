//! Gateways that belong together.

use std::path::PathBuf;
use std::time::Duration;

use execnet_channel::Config;
use execnet_xspec::{SpecError, XSpec};

use super::runtime::wait;
use super::{Channel, Gateway, MultiChannel};
use crate::{ExecError, GatewayError, Output, Scheme, Source, StartProgress, TerminateError};

/// Gateways with ids of their own: [`crate::Group`] for threads.
///
/// Cheap to clone; all clones are the same group, for any number of threads. When the last clone is dropped, so are its gateways,
/// and their processes are killed: call [`terminate`](Self::terminate) to let them end.
#[derive(Clone, Debug, Default)]
pub struct Group(crate::Group);

/// Settings of a [`Group`], from [`Group::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct GroupBuilder(crate::GroupBuilder);

/// The group of the whole process: [`crate::default_group`].
#[must_use]
pub fn default_group() -> Group {
    Group(crate::default_group().clone())
}

/// Starts a gateway in the [`default_group`]; see [`Group::make_gateway`].
///
/// # Errors
/// [`GatewayError`]; nothing is left behind then.
pub fn make_gateway<S>(spec: S) -> Result<Gateway, GatewayError>
where
    S: TryInto<XSpec>,
    S::Error: Into<SpecError>,
{
    default_group().make_gateway(spec)
}

impl GroupBuilder {
    /// What [`Group::make_default_gateway`] starts; default `popen`.
    pub fn default_spec(self, spec: impl Into<String>) -> Self {
        Self(self.0.default_spec(spec))
    }

    /// Limits and windows of the connections; default [`Config::balanced`].
    pub fn config(self, config: Config) -> Self {
        Self(self.0.config(config))
    }

    /// See [`execnet::GroupBuilder::marshal`](crate::GroupBuilder::marshal).
    pub fn marshal(self, allowed: bool) -> Self {
        Self(self.0.marshal(allowed))
    }

    /// Where printed lines go; default this program's stderr, with the gateway's id in front as soon as the group has had a second
    /// one. While a handler runs, the connections of all gateways wait, unless what it does is to wait for execnet.
    pub fn output(self, output: Output) -> Self {
        Self(self.0.output(output))
    }

    /// How long a gateway may take from its start to the worker's first words; default 30 s.
    pub fn start_timeout(self, limit: Duration) -> Self {
        Self(self.0.start_timeout(limit))
    }

    /// How many gateways start at the same time; see [`crate::GroupBuilder::start_limit`].
    pub fn start_limit(self, gateways: usize) -> Self {
        Self(self.0.start_limit(gateways))
    }

    /// Adds a type of gateway of your own; see [`crate::GroupBuilder::scheme`]. Its transport runs on execnet's runtime.
    pub fn scheme(self, scheme: Scheme) -> Self {
        Self(self.0.scheme(scheme))
    }

    /// See [`execnet::GroupBuilder::on_start`](crate::GroupBuilder::on_start).
    pub fn on_start(self, callback: impl Fn(StartProgress) + Send + Sync + 'static) -> Self {
        Self(self.0.on_start(callback))
    }

    /// Who answers what only a person knows; see [`crate::GroupBuilder::prompt`].
    #[cfg(feature = "ssh-native")]
    pub fn prompt(self, prompt: std::sync::Arc<dyn crate::ssh::Prompt>) -> Self {
        Self(self.0.prompt(prompt))
    }

    /// The agent of specifications with a bare `agent`; see [`crate::GroupBuilder::agent_program`].
    pub fn agent_program(self, program: impl Into<PathBuf>) -> Self {
        Self(self.0.agent_program(program))
    }

    /// The group, still empty.
    #[must_use]
    pub fn build(self) -> Group {
        Group(self.0.build())
    }
}

impl Group {
    /// A group with the default settings.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A group with settings of your own.
    pub fn builder() -> GroupBuilder {
        GroupBuilder(crate::Group::builder())
    }

    /// Starts a gateway and waits for its worker's first words, no longer than [`GroupBuilder::start_timeout`]; see
    /// [`crate::Group::make_gateway`].
    ///
    /// # Errors
    /// [`GatewayError`]; nothing is left behind then.
    pub fn make_gateway<S>(&self, spec: S) -> Result<Gateway, GatewayError>
    where
        S: TryInto<XSpec>,
        S::Error: Into<SpecError>,
    {
        wait(self.0.make_gateway(spec)).map(Gateway)
    }

    /// Starts a gateway and runs source code on it, in one go; see [`crate::Group::remote_exec_at`].
    ///
    /// # Errors
    /// [`GatewayError`]; nothing is left behind then.
    pub fn remote_exec_at<S>(
        &self,
        spec: S,
        source: impl Into<Source>,
    ) -> Result<Channel, GatewayError>
    where
        S: TryInto<XSpec>,
        S::Error: Into<SpecError>,
    {
        wait(self.0.remote_exec_at(spec, source)).map(Channel)
    }

    /// Starts several gateways at the same time. One result for each, in order: those that fail leave the others usable.
    pub fn make_gateways<I>(&self, specs: I) -> Vec<Result<Gateway, GatewayError>>
    where
        I: IntoIterator,
        I::Item: TryInto<XSpec>,
        <I::Item as TryInto<XSpec>>::Error: Into<SpecError>,
    {
        let results = wait(self.0.make_gateways(specs));
        results.into_iter().map(|result| result.map(Gateway)).collect()
    }

    /// The same, but all or none: when one fails, those that had started are ended again.
    ///
    /// # Errors
    /// Every failure, in the order of the specifications.
    pub fn make_all<I>(&self, specs: I) -> Result<Vec<Gateway>, Vec<GatewayError>>
    where
        I: IntoIterator,
        I::Item: TryInto<XSpec>,
        <I::Item as TryInto<XSpec>>::Error: Into<SpecError>,
    {
        wait(self.0.make_all(specs)).map(gateways)
    }

    /// Starts a gateway by the group's default specification.
    ///
    /// # Errors
    /// As [`make_gateway`](Self::make_gateway).
    pub fn make_default_gateway(&self) -> Result<Gateway, GatewayError> {
        wait(self.0.make_default_gateway()).map(Gateway)
    }

    /// The gateways, in the order of their specifications, whichever started first.
    #[must_use]
    pub fn gateways(&self) -> Vec<Gateway> {
        gateways(self.0.gateways())
    }

    /// The gateway with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Gateway> {
        self.0.get(id).map(Gateway)
    }

    /// How many gateways there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Runs source code on every gateway.
    ///
    /// # Errors
    /// The first gateway on which it could not be sent. Channels already made are closed.
    pub fn remote_exec(&self, source: impl Into<Source>) -> Result<MultiChannel, ExecError> {
        wait(self.0.remote_exec(source)).map(multi)
    }

    /// Takes a gateway out of the group and ends it; see [`Gateway::exit`].
    pub fn exit(&self, gateway: &Gateway, patience: Duration) {
        wait(self.0.exit(&gateway.0, patience));
    }

    /// Ends all gateways at the same time, within `timeout` and 2 s, and leaves the group empty, ready to be used again; see
    /// [`crate::Group::terminate`].
    ///
    /// # Errors
    /// [`TerminateError`] names those that were not gone then.
    pub fn terminate(&self, timeout: Duration) -> Result<(), TerminateError> {
        wait(self.0.terminate(timeout))
    }
}

fn gateways(gateways: Vec<crate::Gateway>) -> Vec<Gateway> {
    gateways.into_iter().map(Gateway).collect()
}

fn multi(channels: crate::MultiChannel) -> MultiChannel {
    MultiChannel::new(channels.into_channels().into_iter().map(Channel).collect())
}
