//! Gateways that belong together: named, started in parallel, ended together.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use execnet_channel::Config;
use execnet_proto::Format;
use execnet_xspec::{SpecError, XSpec};
use futures_util::future::join_all;
use tokio::sync::{Notify, Semaphore};

use crate::connect::{Asking, Options, WarmInterpreters, connect};
use crate::progress::Watcher;
use crate::scheme::Schemes;
use crate::{
    ExecError, Gateway, GatewayError, MultiChannel, Output, Scheme, Source, StartProgress,
    TerminateError,
};

/// How many gateways of a group start at the same time, unless it is told otherwise.
const START_LIMIT: usize = 64;

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

#[derive(Debug, Default)]
struct Members {
    /// In the order in which their ids were given, which is that of their specifications.
    gateways: BTreeMap<u64, Gateway>,
    next_place: u64,
    /// Those that are being started, by their ids.
    starting: HashMap<String, Start>,
    next_number: usize,
}

/// A gateway that is not in the group yet.
#[derive(Debug)]
struct Start {
    /// The id of the gateway that it goes through.
    via: Option<String>,
    /// The gateway, when it has started: others may go through it.
    gateway: Option<Gateway>,
}

/// Settings of a [`Group`], from [`Group::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct GroupBuilder {
    default_spec: String,
    config: Config,
    output: Option<Output>,
    start_timeout: Duration,
    schemes: Schemes,
    marshal: bool,
    agent_program: Option<PathBuf>,
    asking: Asking,
    start_limit: usize,
    watcher: Watcher,
}

impl GroupBuilder {
    /// What [`Group::make_default_gateway`] starts; default `popen`.
    pub fn default_spec(mut self, spec: impl Into<String>) -> Self {
        self.default_spec = spec.into();
        self
    }

    /// Limits and windows of the connections; default [`Config::balanced`].
    ///
    /// Where it says nothing of `keepalive` and `idle_timeout`, a gateway that is not a child process gets 20 s and three times that: then
    /// either side gives up an end of the other that the link does not tell of, the worker too. So do not block the runtime for as long.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Whether items may travel as CPython's marshal, where the far end is a CPython and an item has such a form; default yes. They cross
    /// several times as fast as in CBOR, which all else uses, and everything when this is `false`. What arrives is the same.
    pub fn marshal(mut self, allowed: bool) -> Self {
        self.marshal = allowed;
        self
    }

    /// Where printed lines go; default this program's stderr, with the gateway's id in front as soon as the
    /// group has had a second one.
    pub fn output(mut self, output: Output) -> Self {
        self.output = Some(output);
        self
    }

    /// How long a gateway may take from its start to the worker's first words; default 30 s.
    pub fn start_timeout(mut self, limit: Duration) -> Self {
        self.start_timeout = limit;
        self
    }

    /// How many gateways start at the same time, at least one; the others wait for their turn. Default 64: a start is mostly waiting for the
    /// other machine, but a local interpreter takes a processor for some tens of milliseconds. The time limit of each counts from its turn.
    pub fn start_limit(mut self, gateways: usize) -> Self {
        self.start_limit = gateways.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// Told by [`Group::make_gateways`] and [`Group::make_all`] whenever one more of their gateways has started or failed: for a progress bar. It
    /// runs between the starts and holds them up, so it must not block. A later callback replaces this one.
    ///
    /// ```
    /// let group = execnet::Group::builder().on_start(|p| eprintln!("started {}/{}", p.started, p.total)).build();
    /// ```
    pub fn on_start(mut self, callback: impl Fn(StartProgress) + Send + Sync + 'static) -> Self {
        self.watcher = Watcher::new(callback);
        self
    }

    /// Adds a type of gateway of your own, known by its key. Call it for each; of two with the same key the later one
    /// counts.
    pub fn scheme(mut self, scheme: Scheme) -> Self {
        self.schemes.add(scheme);
        self
    }

    /// The program that is the agent where a specification says only `agent`: one whose `main` begins with `execnet_agent::run_if_agent`, such as
    /// this program itself ([`std::env::current_exe`]). It is copied to other hosts that do not have it.
    ///
    /// Default: `execnet-agent`, from PATH or from this program's folder.
    pub fn agent_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.agent_program = Some(program.into());
        self
    }

    /// Who answers what only a person knows, such as the passphrase of a key for [`ssh`](crate::ssh); default nobody: what would have to be
    /// asked for is left out. While somebody is asked, the limit of [`start_timeout`](Self::start_timeout) waits.
    #[cfg(feature = "ssh-native")]
    pub fn prompt(mut self, prompt: Arc<dyn crate::ssh::Prompt>) -> Self {
        self.asking.set(prompt);
        self
    }

    /// The group, still empty.
    #[must_use]
    pub fn build(self) -> Group {
        let Self {
            default_spec,
            mut config,
            output,
            start_timeout,
            schemes,
            marshal,
            agent_program,
            asking,
            start_limit,
            watcher,
        } = self;
        let name = Format::Marshal.name();
        config.hello.formats.retain(|format| format != name);
        config.hello.formats.extend(marshal.then(|| name.to_owned()));
        let several = Arc::default();
        Group(Arc::new(Shared {
            default_spec,
            config,
            output,
            start_timeout,
            schemes,
            agent_program,
            warm: WarmInterpreters::default(),
            asking,
            several,
            members: Mutex::default(),
            settled: Notify::new(),
            starts: Semaphore::new(start_limit),
            watcher,
        }))
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
        GroupBuilder {
            default_spec: "popen".to_owned(),
            config: Config::default(),
            output: None,
            start_timeout: Duration::from_secs(30),
            schemes: Schemes::default(),
            marshal: true,
            agent_program: None,
            asking: Asking::default(),
            start_limit: START_LIMIT,
            watcher: Watcher::default(),
        }
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
        Ok(self.start(spec, reserved).await?.join())
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
                self.start(spec, reserved).await.map(&then)
            };
            let result = start.await;
            count.add(&result);
            result
        }))
        .await
    }

    async fn start(&self, spec: XSpec, reserved: Reserved) -> Result<Started, GatewayError> {
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
        let options =
            Options { config, output, start_timeout, schemes, agent_program, warm, asking, via };
        let gateway = connect(&spec, reserved.id.clone(), options).await?;
        if let Some(start) = shared.members().starting.get_mut(&reserved.id) {
            start.gateway = Some(gateway.clone());
        }
        shared.settled.notify_waiters();
        Ok(Started { gateway, reserved })
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

impl Members {
    fn is_starting(&self, id: Option<&str>) -> bool {
        id.is_some_and(|id| self.starting.contains_key(id))
    }

    /// The gateway with this id, or `None` while it is being started.
    fn through(
        &self,
        spec: &XSpec,
        id: &str,
        waited: bool,
    ) -> Result<Option<Gateway>, GatewayError> {
        if let Some(gateway) = self.gateways.values().find(|gateway| gateway.id() == id) {
            return Ok(Some(gateway.clone()));
        }
        let spec = || spec.to_string();
        if let Some(Start { gateway: Some(gateway), .. }) = self.starting.get(id) {
            return Ok(Some(gateway.clone()));
        }
        if !self.starting.contains_key(id) {
            if waited {
                return Err(GatewayError::ViaNotStarted { spec: spec(), id: id.to_owned() });
            }
            let known = self.gateways.values().map(|gateway| gateway.id().to_owned()).collect();
            return Err(GatewayError::NoSuchGateway { spec: spec(), id: id.to_owned(), known });
        }
        // Those that wait for each other would do so for ever.
        let mut chain = vec![id.to_owned()];
        while let Some(start) = chain.last().and_then(|id| self.starting.get(id))
            && let Some(next) = &start.via
        {
            if chain.contains(next) {
                chain.push(next.clone());
                return Err(GatewayError::Circular { spec: spec(), chain });
            }
            chain.push(next.clone());
        }
        Ok(None)
    }

    fn reserve(&mut self, spec: &XSpec) -> Result<String, GatewayError> {
        let taken = |id: &str| {
            self.starting.contains_key(id)
                || self.gateways.values().any(|gateway| gateway.id() == id)
        };
        let id = match spec.id() {
            Some(id) if taken(id) => return Err(GatewayError::DuplicateId(id.to_owned())),
            Some(id) => id.to_owned(),
            None => {
                let free = (self.next_number..).find(|number| !taken(&format!("gw{number}")));
                let number = free.unwrap_or(self.next_number);
                self.next_number = number + 1;
                format!("gw{number}")
            }
        };
        let start = Start { via: leads_through(spec).map(str::to_owned), gateway: None };
        self.starting.insert(id.clone(), start);
        Ok(id)
    }
}

/// The gateway without which one of this specification cannot be.
fn leads_through(spec: &XSpec) -> Option<&str> {
    spec.via().or(spec.installvia())
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
    reserved: Reserved,
}

impl Started {
    fn join(self) -> Gateway {
        let Self { gateway, reserved } = self;
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

/// The gateways, those that go through others before these.
fn leaves_first(gateways: Vec<Gateway>) -> Vec<Vec<Gateway>> {
    let via: HashMap<_, _> = gateways
        .iter()
        .map(|gateway| (gateway.id().to_owned(), leads_through(gateway.spec()).map(str::to_owned)))
        .collect();
    let mut levels: BTreeMap<usize, Vec<Gateway>> = BTreeMap::new();
    for gateway in gateways {
        let mut depth = 0;
        let mut id = gateway.id();
        // One that has been replaced meanwhile could make it a ring.
        while let Some(Some(next)) = via.get(id)
            && depth < via.len()
        {
            depth += 1;
            id = next;
        }
        levels.entry(depth).or_default().push(gateway);
    }
    levels.into_values().rev().collect()
}
