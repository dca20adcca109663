//! What a group is told before it starts anything.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use execnet_channel::Config;
use execnet_proto::Format;
use tokio::sync::{Notify, Semaphore};

use super::Shared;
use crate::connect::{Asking, WarmInterpreters};
use crate::progress::Watcher;
use crate::scheme::Schemes;
use crate::{Group, Output, Scheme, StartProgress};

/// How many gateways of a group start at the same time, unless it is told otherwise.
const START_LIMIT: usize = 64;

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
    pub(super) fn new() -> Self {
        Self {
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
        Group::of(Shared {
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
        })
    }
}
