use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use execnet_transport::tls;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{Instrument, debug, error, info, warn};

use super::access::AccessError;
use super::control;
use super::gate::Gate;
use super::listener::{Listener, Named};
use super::session::{self, Sessions};
use super::{Config, ServeError};

/// How long to wait when the system has no descriptor for one more connection.
const EXHAUSTED: Duration = Duration::from_millis(100);
/// How long connections that were told to end may take, workers that have to be killed included.
const ENDING: Duration = Duration::from_secs(10);

/// A server that listens. See the [module](crate::server).
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    listeners: Vec<Listener>,
    control: Option<Named>,
}

/// What all connections have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    access: Mutex<Arc<tls::Server>>,
    pub(super) gate: Arc<Gate>,
    /// Places for workers.
    pub(super) workers: Arc<Semaphore>,
    pub(super) sessions: Sessions,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) addresses: Vec<String>,
    pub(super) started: Instant,
    pub(super) refused: AtomicU64,
}

/// How far a server is with its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Serving,
    /// Takes no more connections, and lets those that are there go on.
    Draining,
    /// Ends them.
    Ending,
}

impl Server {
    /// Reads keys and listens. Nothing is accepted before [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// What the configuration asks for does not go together, a file is of no use, or an address is taken.
    pub async fn bind(config: Config) -> Result<Self, ServeError> {
        config.check()?;
        let access = Arc::new(config.access.load()?);
        let exposed = match config.stock_clients {
            true => config.stock_exposed,
            false => !config.access.is_empty(),
        };
        let mut listeners = Vec::new();
        for address in &config.listen {
            let listen = |source| ServeError::Listen { address: address.to_string(), source };
            let listener = Listener::bind(address).await.map_err(listen)?;
            if !exposed && !listener.is_loopback() {
                return Err(ServeError::Exposed(address.to_string()));
            }
            listeners.push(listener);
        }
        let control = match &config.control {
            Some(path) => Some(Named::bind(path).await.map_err(|source| ServeError::Listen {
                address: path.display().to_string(),
                source,
            })?),
            None => None,
        };
        let shared = Arc::new(Shared {
            access: Mutex::new(access),
            gate: Gate::new(config.max_strangers),
            workers: Arc::new(Semaphore::new(config.max_workers.unwrap_or(Semaphore::MAX_PERMITS))),
            sessions: Sessions::default(),
            phase: watch::Sender::new(Phase::Serving),
            addresses: listeners.iter().map(Listener::address).collect(),
            started: Instant::now(),
            refused: AtomicU64::new(0),
            config,
        });
        Ok(Self { shared, listeners, control })
    }

    /// Where it listens, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.shared.addresses
    }

    /// What ends it, and makes it read its files again.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(self.shared.clone())
    }

    /// Serves until a [`Handle`] has ended it, and all connections have ended.
    ///
    /// Dropping the future ends all connections at once, and kills their workers.
    pub async fn run(self) {
        let Self { shared, listeners, control } = self;
        info!(addresses = ?shared.addresses, version = env!("CARGO_PKG_VERSION"), "listening");
        let mut phase = shared.phase.subscribe();
        let mut tasks = JoinSet::new();
        let mut sessions = JoinSet::new();
        let (accepted, mut arrivals) = tokio::sync::mpsc::channel(1);
        for listener in listeners {
            let accepted = accepted.clone();
            tasks.spawn(async move {
                loop {
                    match listener.accept().await {
                        Ok(connection) => {
                            if accepted.send(connection).await.is_err() {
                                return;
                            }
                        }
                        Err(error) => {
                            warn!(%error, "cannot accept a connection");
                            sleep(EXHAUSTED).await;
                        }
                    }
                }
            });
        }
        if let Some(control) = control {
            tasks.spawn(control::serve(control, shared.clone()));
        }
        loop {
            tokio::select! {
                Some((stream, peer)) = arrivals.recv() => {
                    let span = tracing::info_span!("connection", peer);
                    // Here, not in the task: tasks start in any order.
                    let place = shared.gate.enter();
                    sessions.spawn(session::run(stream, place, shared.clone()).instrument(span));
                }
                // Those that have ended are forgotten.
                Some(ended) = sessions.join_next() => report(ended),
                _ = phase.wait_for(|phase| *phase > Phase::Serving) => break,
            }
        }
        tasks.abort_all();
        drop(arrivals);
        while tasks.join_next().await.is_some() {}
        // Said when nobody listens any more: who reads it may count on that.
        info!(connections = sessions.len(), "draining");
        let all = async {
            while let Some(ended) = sessions.join_next().await {
                report(ended);
            }
        };
        tokio::pin!(all);
        let mut ending = pin_ending(&shared);
        let drained = tokio::select! {
            () = &mut all => true,
            () = &mut ending => false,
            () = sleep(shared.config.drain_timeout) => false,
        };
        if !drained {
            shared.phase.send_replace(Phase::Ending);
            if timeout(ENDING, all).await.is_err() {
                error!("connections did not end");
            }
        }
        info!("ended");
    }
}

fn pin_ending(shared: &Arc<Shared>) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    let shared = shared.clone();
    Box::pin(async move { shared.ending().await })
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        error!(%error, "a connection's task failed");
    }
}

impl Shared {
    /// Who is let in now.
    pub(super) fn access(&self) -> Arc<tls::Server> {
        self.access.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Resolves when connections are to end.
    pub(super) async fn ending(&self) {
        let mut phase = self.phase.subscribe();
        // The sender lives as long as we do.
        let _ = phase.wait_for(|phase| *phase == Phase::Ending).await;
    }

    /// One line for each connection that came to nothing.
    pub(super) fn refuse(&self, reason: &dyn std::fmt::Display) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        warn!(%reason, "refused");
    }
}

/// Ends a server, and makes it read its files again. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Shared>);

impl Handle {
    /// Takes no more connections, and ends when those that are there have ended, or [`Config::drain_timeout`] has passed. Asked a second
    /// time, it ends them at once.
    pub fn drain(&self) {
        self.0.phase.send_modify(|phase| {
            *phase = match phase {
                Phase::Serving => Phase::Draining,
                Phase::Draining | Phase::Ending => Phase::Ending,
            }
        });
    }

    /// Reads tokens and certificates again, for the connections to come. Those that are there go on.
    ///
    /// # Errors
    ///
    /// A file is of no use. What was read before stays in force.
    pub fn reload(&self) -> Result<(), AccessError> {
        let access = Arc::new(self.0.config.access.load()?);
        debug!(?access, "reloaded");
        *self.0.access.lock().unwrap_or_else(PoisonError::into_inner) = access;
        Ok(())
    }
}
