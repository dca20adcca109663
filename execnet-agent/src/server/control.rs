//! A unix socket that tells how a server is: one line of JSON for each who connects.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tracing::warn;

use super::listener::{Named, check_credentials};
use super::serve::{Phase, Shared};

const PATIENCE: Duration = Duration::from_secs(5);

/// Answers until it is dropped.
pub(super) async fn serve(control: Named, shared: Arc<Shared>) {
    loop {
        let mut stream = match control.accept().await {
            Ok(stream) => stream,
            Err(error) => {
                warn!(%error, "cannot accept a question about the status");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if let Err(reason) = check_credentials(&stream) {
            warn!(reason, "refused to tell the status");
            continue;
        }
        let line = format!("{}\n", describe(&shared));
        let answer = async {
            stream.write_all(line.as_bytes()).await?;
            stream.shutdown().await
        };
        // Whoever does not read it does without.
        let _ = timeout(PATIENCE, answer).await;
    }
}

fn describe(shared: &Shared) -> Value {
    let (sessions, total) = shared.sessions.all();
    let workers: Vec<Value> = sessions
        .iter()
        .map(|session| {
            json!({
                "who": session.who,
                "id": session.id,
                "pid": session.pid,
                "seconds": session.since.elapsed().as_secs(),
            })
        })
        .collect();
    json!({
        "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"),
        "seconds": shared.started.elapsed().as_secs(),
        "addresses": shared.addresses,
        "draining": *shared.phase.borrow() > Phase::Serving,
        "unauthenticated": shared.gate.len(),
        "refused": shared.refused.load(Ordering::Relaxed),
        "served": total,
        "max_workers": shared.config.max_workers,
        "workers": workers,
    })
}

/// Asks the server whose control socket that is: one line of JSON.
///
/// # Errors
///
/// There is none, it is somebody else's, or it does not answer within 5 s.
pub async fn status(control: &Path) -> io::Result<String> {
    let asking = async {
        let mut stream = UnixStream::connect(control).await?;
        let mut line = String::new();
        stream.read_to_string(&mut line).await?;
        if line.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the server tells its status to its own user and to root only",
            ));
        }
        Ok(line)
    };
    match timeout(PATIENCE, asking).await {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
