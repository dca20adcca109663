//! Gateways that belong together: named, started in parallel, ended together.

mod builder;
mod members;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use execnet_channel::Config;
use execnet_xspec::{SpecError, XSpec};
use futures_util::future::join_all;
use tokio::sync::{Notify, Semaphore};

pub use self::builder::GroupBuilder;
use self::members::{Members, leads_through, leaves_first};
use crate::connect::{Asking, First, Options, WarmInterpreters, connect};
use crate::progress::Watcher;
use crate::scheme::Schemes;
use crate::{
    Channel, ExecError, Gateway, GatewayError, MultiChannel, Output, Source, TerminateError,
};

/// How long a gateway on which nothing runs may take to end.
const UNUSED: Duration = Duration::from_secs(2);

/// Gateways with ids of their own. Cheap to clone; all clones are the same group.
///
/// When the last clone is dropped, so are its gateways, and their processes are killed: call
/// [`terminate`](Self::terminate) to let them end.
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// let group = execnet::Group::new();
/// let gw = group.make_gateway("popen//python=python3").await?;
/// let mut channel = gw.remote_exec("for x in channel: channel.send(x * 2)").await?;
/// channel.send(&21).await?;
/// let n: i64 = channel.receive().await?;
/// assert_eq!(n, 42);
/// group.terminate(Duration::from_secs(5)).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Group(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    default_spec: String,
    config: Config,
    output: Option<Output>,
    start_timeout: Duration,
    schemes: Schemes,
    agent_program: Option<PathBuf>,
    warm: WarmInterpreters,
    asking: Asking,
    /// There has been more than one gateway: lines on stderr need a label.
    several: Arc<AtomicBool>,
    members: Mutex<Members>,
    /// Told when one has started, or did not.
    settled: Notify,
    /// How many start at the same time.
    starts: Semaphore,
    watcher: Watcher,
}

impl Group {
    /// A group with the default settings.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A group with settings of your own.
    pub fn builder() -> GroupBuilder {
        GroupBuilder::new()
    }

    /// Starts a gateway and waits for its worker's first words.
    ///
    /// Its id is that of `id=` in the specification, or the next of `gw0`, `gw1`, … that is free. Dropping the future leaves nothing
    /// behind.
    ///
    /// # Errors
    /// [`GatewayError`]; nothing is left behind then either.
    pub async fn make_gateway<S>(&self, spec: S) -> Result<Gateway, GatewayError>
    where
        S: TryInto<XSpec>,
        S::Error: Into<SpecError>,
    {
        let spec = spec.try_into().map_err(Into::into)?;
        let reserved = self.reserve(&spec)?;
        Ok(self.start(spec, reserved, None).await?.join())
    }

    /// Starts a gateway and runs source code on it, which is faster than one after the other where the way is long: the code leaves
    /// with the worker itself. [`Channel::gateway`] is the gateway.
    ///
    /// Otherwise the same as [`make_gateway`](Self::make_gateway) and [`Gateway::remote_exec`]. When this fails, or its future is dropped, the code may have begun to run,
    /// and is interrupted.
    ///
    /// ```no_run
    /// # async fn example(group: execnet::Group) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut channel = group.remote_exec_at("ssh=web1", "import os; channel.send(os.getloadavg())").await?;
    /// let load: (f64, f64, f64) = channel.receive().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`GatewayError`]; nothing is left behind then.
    pub async fn remote_exec_at<S>(
        &self,
        spec: S,
        source: impl Into<Source>,
    ) -> Result<Channel, GatewayError>
    where
        S: TryInto<XSpec>,
        S::Error: Into<SpecError>,
    {
        let spec = spec.try_into().map_err(Into::into)?;
        let refused = |error| GatewayError::Exec(Box::new(error));
        let request = source.into().into_request().map_err(refused)?;
        let reserved = self.reserve(&spec)?;
        let mut started = self.start(spec, reserved, Some(request.clone())).await?;
        let gateway = started.gateway.clone();
        let channel = match started.first.take() {
            Some(channel) => Channel::new(channel, gateway),
            None => gateway.request(request).await.map_err(refused)?,
        };
        started.join();
        Ok(channel)
    }

    /// Starts several gateways at the same time. Ids are given in the order of the specifications.
    ///
    /// One result for each, in order: those that fail leave the others usable. Dropping the future leaves those in the group that have
    /// started by then, and nothing of the others.
    pub async fn make_gateways<I>(&self, specs: I) -> Vec<Result<Gateway, GatewayError>>
    where
        I: IntoIterator,
        I::Item: TryInto<XSpec>,
        <I::Item as TryInto<XSpec>>::Error: Into<SpecError>,
    {
        self.start_all(self.reserve_all(specs), Started::join).await
    }

    /// The same, but all or none: none is in the group before all have started. When one fails, those that had started are ended
    /// again. Dropping the future leaves nothing behind.
    ///
    /// # Errors
    /// Every failure, in the order of the specifications.
    pub async fn make_all<I>(&self, specs: I) -> Result<Vec<Gateway>, Vec<GatewayError>>
    where
        I: IntoIterator,
        I::Item: TryInto<XSpec>,
        <I::Item as TryInto<XSpec>>::Error: Into<SpecError>,
    {
        let (mut started, mut errors) = (Vec::new(), Vec::new());
        for result in self.start_all(self.reserve_all(specs), |started| started).await {
            match result {
                Ok(gateway) => started.push(gateway),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            return Ok(started.into_iter().map(Started::join).collect());
        }
        // Nothing runs on them yet: they end at once.
        join_all(started.iter().map(|started| started.gateway.exit(UNUSED))).await;
        Err(errors)
    }

    /// Starts a gateway by the group's default specification. Dropping the future leaves nothing behind.
    ///
    /// # Errors
    /// As [`make_gateway`](Self::make_gateway).
    pub async fn make_default_gateway(&self) -> Result<Gateway, GatewayError> {
        self.make_gateway(self.0.default_spec.clone()).await
    }

    /// The gateways, in the order of their specifications, whichever started first.
    #[must_use]
    pub fn gateways(&self) -> Vec<Gateway> {
        self.0.members().gateways.values().cloned().collect()
    }

    /// The gateway with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Gateway> {
        self.0.members().gateways.values().find(|gateway| gateway.id() == id).cloned()
    }

    /// How many gateways there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.members().gateways.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs source code on every gateway. Dropping the future closes the channels already made, as dropping a [`MultiChannel`] does.
    ///
    /// # Errors
    /// The first gateway on which it could not be sent. Channels already made are closed.
    pub async fn remote_exec(&self, source: impl Into<Source>) -> Result<MultiChannel, ExecError> {
        let source = source.into();
        let gateways = self.gateways();
        let channels =
            join_all(gateways.iter().map(|gateway| gateway.remote_exec(source.clone()))).await;
        Ok(MultiChannel::new(channels.into_iter().collect::<Result<Vec<_>, _>>()?))
    }

    /// Takes a gateway out of the group at once and ends it; see [`Gateway::exit`], also for what dropping the future does.
    pub async fn exit(&self, gateway: &Gateway, patience: Duration) {
        self.remove(gateway);
        gateway.exit(patience).await;
    }

    /// Ends all gateways at the same time, each as [`Gateway::exit`] does, and leaves the group empty, ready to be used again. Those that
    /// go through others end before these.
    ///
    /// Takes at most `timeout` and 2 s for what has to be killed. Dropping the future does not take the requests back; those that have
    /// not ended by then are still in the group, and this may be called again.
    ///
    /// # Errors
    /// [`TerminateError`] names those that were not gone then.
    pub async fn terminate(&self, timeout: Duration) -> Result<(), TerminateError> {
        let end = Instant::now() + timeout;
        let mut stuck = Vec::new();
        for level in leaves_first(self.gateways()) {
            let left = end.saturating_duration_since(Instant::now());
            let level = join_all(level.iter().map(|gateway| async {
                let ended = gateway.exit(left).await.is_some() || gateway.is_lost();
                self.remove(gateway);
                (!ended).then(|| gateway.id().to_owned())
            }))
            .await;
            stuck.extend(level.into_iter().flatten());
        }
        if stuck.is_empty() { Ok(()) } else { Err(TerminateError { stuck }) }
    }

    fn of(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    fn remove(&self, gateway: &Gateway) {
        self.0.members().gateways.retain(|_, member| !member.is_same(gateway));
    }

    /// All ids first: they depend on the order of the specifications, not on which is faster.
    fn reserve_all<I>(&self, specs: I) -> Vec<Result<(XSpec, Reserved), GatewayError>>
    where
        I: IntoIterator,
        I::Item: TryInto<XSpec>,
        <I::Item as TryInto<XSpec>>::Error: Into<SpecError>,
    {
        let reserve = |spec: I::Item| {
            let spec = spec.try_into().map_err(|error| GatewayError::from(error.into()))?;
            let reserved = self.reserve(&spec)?;
            Ok((spec, reserved))
        };
        let mut all: Vec<_> = specs.into_iter().map(reserve).collect();
        for (spec, reserved) in all.iter_mut().flatten() {
            reserved.waits = self.0.members().is_starting(leads_through(spec));
        }
        all
    }

    fn reserve(&self, spec: &XSpec) -> Result<Reserved, GatewayError> {
        // What is refused uses no id up.
        self.0.schemes.kind(spec)?;
        let mut members = self.0.members();
        let id = members.reserve(spec)?;
        let place = members.next_place;
        members.next_place += 1;
        let waits = members.is_starting(leads_through(spec));
        Ok(Reserved { shared: self.0.clone(), id, place, waits })
    }

    /// Starts them at the same time, and does `then` with each as soon as it has started.
    async fn start_all<T>(
        &self,
        all: Vec<Result<(XSpec, Reserved), GatewayError>>,
        then: impl Fn(Started) -> T,
    ) -> Vec<Result<T, GatewayError>> {
        let count = self.0.watcher.count(all.len());
        join_all(all.into_iter().map(|reserved| async {
            let start = async {
                let (spec, reserved) = reserved?;
                self.start(spec, reserved, None).await.map(&then)
            };
            let result = start.await;
            count.add(&result);
            result
        }))
        .await
    }

    async fn start(
        &self,
        spec: XSpec,
        reserved: Reserved,
        first: Option<Bytes>,
    ) -> Result<Started, GatewayError> {
        let shared = &self.0;
        // Before its turn: the one that it goes through may still wait for its own.
        let via = match leads_through(&spec) {
            Some(id) => Some(shared.through(&spec, id, reserved.waits).await?),
            None => None,
        };
        // Never closed.
        let _turn = shared.starts.acquire().await;
        let output = match &shared.output {
            Some(output) => output.clone(),
            None => Output::labelled_when(shared.several.clone()),
        };
        let config = shared.config.clone();
        let start_timeout = shared.start_timeout;
        let schemes = shared.schemes.clone();
        let agent_program = shared.agent_program.clone();
        let warm = shared.warm.clone();
        let asking = shared.asking.clone();
        let options = Options {
            config,
            output,
            start_timeout,
            schemes,
            agent_program,
            warm,
            asking,
            via,
            first,
        };
        let (gateway, first) = connect(&spec, reserved.id.clone(), options).await?;
        if let Some(start) = shared.members().starting.get_mut(&reserved.id) {
            start.gateway = Some(gateway.clone());
        }
        shared.settled.notify_waiters();
        Ok(Started { gateway, first, reserved })
    }
}

impl Default for Group {
    fn default() -> Self {
        Self::new()
    }
}

impl Shared {
    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The gateway that `spec` goes through, as soon as it has started.
    async fn through(
        &self,
        spec: &XSpec,
        id: &str,
        mut waited: bool,
    ) -> Result<Gateway, GatewayError> {
        loop {
            let mut settled = std::pin::pin!(self.settled.notified());
            // From here on nothing is missed.
            settled.as_mut().enable();
            if let Some(gateway) = self.members().through(spec, id, waited)? {
                return Ok(gateway);
            }
            settled.await;
            waited = true;
        }
    }
}

/// An id that is taken while its gateway starts; free again when that fails.
struct Reserved {
    shared: Arc<Shared>,
    id: String,
    place: u64,
    /// Whether the gateway that it goes through was being started when this was asked for.
    waits: bool,
}

/// A gateway that is not in the group yet. Dropping it ends it, and frees its id.
struct Started {
    // Before the id: that is free when nothing bears it.
    gateway: Gateway,
    first: First,
    reserved: Reserved,
}

impl Started {
    fn join(self) -> Gateway {
        let Self { gateway, reserved, .. } = self;
        reserved.shared.members().gateways.insert(reserved.place, gateway.clone());
        gateway
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut members = self.shared.members();
        let start = members.starting.remove(&self.id);
        if members.gateways.len() + members.starting.len() > 1 {
            self.shared.several.store(true, Ordering::Relaxed);
        }
        drop(members);
        // It may be the last handle of a gateway, whose end takes locks of its own.
        drop(start);
        self.shared.settled.notify_waiters();
    }
}
