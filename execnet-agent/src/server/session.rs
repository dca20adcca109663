//! One connection, from its first byte to its last.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use execnet_proto::Fault;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tracing::info;

use super::gate::Place;
use super::greeting::{Greeting, GreetingError};
use super::listener::{Stream, check_credentials};
use super::relay::{Rules, refuse, relay};
use super::serve::{Phase, Shared};
use super::{stock, worker};
use crate::guardian::Guarded;

/// The connections that have a worker.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    running: BTreeMap<u64, Session>,
}

/// What there is to know of one.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// Who it is for.
    pub(super) who: String,
    /// The gateway's id, as the client has it.
    pub(super) id: String,
    pub(super) pid: Option<u32>,
    pub(super) since: Instant,
}

impl Sessions {
    /// Counts a session until what this returns is dropped.
    pub(super) fn enter(&self, session: Session) -> Entered<'_> {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.running.insert(number, session);
        Entered { sessions: self, number }
    }

    /// All that there are, and how many there have been.
    pub(super) fn all(&self) -> (Vec<Session>, u64) {
        let state = self.lock();
        (state.running.values().cloned().collect(), state.next)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Entered<'a> {
    sessions: &'a Sessions,
    number: u64,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.sessions.lock().running.remove(&self.number);
    }
}

/// Serves whoever has connected.
pub(super) async fn run(stream: Stream, mut place: Place, shared: Arc<Shared>) {
    match stream {
        Stream::Unix(stream) => match check_credentials(&stream) {
            Ok(uid) => {
                drop(place);
                serve(stream, format!("uid {uid}"), None, &shared).await;
            }
            Err(reason) => shared.refuse(&reason),
        },
        Stream::Tcp(stream) if shared.config.stock_clients => {
            stock::serve(stream, place, &shared).await;
        }
        Stream::Tcp(stream) if shared.config.no_auth => {
            serve(stream, "anybody".to_owned(), Some(place), &shared).await;
        }
        Stream::Tcp(stream) => {
            let access = shared.access();
            let limit = shared.config.handshake_timeout;
            let accepted = tokio::select! {
                accepted = timeout(limit, access.accept(stream)) => accepted,
                () = place.evicted() => return shared.refuse(&TOO_MANY),
                () = shared.ending() => return,
            };
            match accepted {
                Ok(Ok((stream, peer))) => {
                    drop(place);
                    serve(stream, peer.to_string(), None, &shared).await;
                }
                Ok(Err(reason)) => shared.refuse(&reason),
                Err(_) => shared.refuse(&format_args!("no handshake within {limit:?}")),
            }
        }
    }
}

pub(super) const TOO_MANY: &str = "too many that have not authenticated, and this was the oldest";

/// Serves a client that is let in; a `place` is one whose first words are still a stranger's.
async fn serve<S>(mut client: S, who: String, place: Option<Place>, shared: &Shared)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = &shared.config;
    let read = async {
        let mut place = place;
        let evicted = async {
            match &mut place {
                Some(place) => place.evicted().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            read = Greeting::read(&mut client, config.handshake_timeout) => Some(read),
            () = evicted => None,
            () = shared.ending() => None,
        }
    };
    let greeting = match read.await {
        Some(Ok(greeting)) => greeting,
        Some(Err(error)) => {
            let reason = match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            };
            shared.refuse(&reason);
            match error {
                GreetingError::HungUp(_) => return,
                GreetingError::Setting(_) => {
                    return refuse(client, Fault::new("SettingError", reason)).await;
                }
                _ => return refuse(client, Fault::new("ProtocolError", reason)).await,
            }
        }
        None => return shared.refuse(&TOO_MANY),
    };
    let denied = |kind: &str, reason: String| {
        shared.refuse(&reason);
        Fault::new(kind, reason)
    };
    if *shared.phase.borrow() > Phase::Serving {
        let reason = "the server shuts down".to_owned();
        return refuse(client, denied("ServerClosed", reason)).await;
    }
    let asked = greeting.hello.limits.max_frame;
    if asked > config.max_frame {
        let reason = format!(
            "frames of {asked} bytes are asked for, and this server passes on {} at most",
            config.max_frame
        );
        return refuse(client, denied("LimitError", reason)).await;
    }
    let Ok(_permit) = shared.workers.try_acquire() else {
        let most = config.max_workers.unwrap_or_default();
        let reason = format!("{most} workers run already, and this server allows no more");
        return refuse(client, denied("ServerBusy", reason)).await;
    };
    let link = match worker::start(config, &greeting.wanted).await {
        Ok(link) => link,
        Err(reason) => return refuse(client, denied("WorkerNotStarted", reason)).await,
    };
    let (pid, id, since) = (link.guard.pid(), greeting.wanted.id.clone(), Instant::now());
    let _guarded = pid.map(Guarded::worker);
    info!(who, id, pid, "started");
    let _entered = shared.sessions.enter(Session { who, id, pid, since });
    let rules = Rules { max_frame: config.max_frame, idle: config.idle_timeout };
    let source = worker::source(&link);
    let report = relay(client, link, source, &greeting, &rules, shared.ending()).await;
    info!(
        pid,
        worker = report.ending.map(|ending| ending.to_string()),
        received = report.received,
        sent = report.sent,
        seconds = since.elapsed().as_secs(),
        "ended: {}",
        report.cause.text()
    );
}
