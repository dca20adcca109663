//! Clients of py.execnet, as they are published: each sends one line of source, which its worker evaluates.
//!
//! Their protocol knows neither authentication nor encryption. What is better than in the server that comes with py.execnet: many clients at
//! once, each with a process of its own, which ends with its connection; and the line is read as a literal, not
//! evaluated.

use std::time::{Duration, Instant};

use execnet_transport::{Link, Popen, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{debug, info};

use super::gate::Place;
use super::serve::Shared;
use super::session::{Session, TOO_MANY};
use super::worker::default_python;
use crate::guardian::Guarded;

/// The longest line: that of py.execnet 2.1 has 60 KiB.
const MAX_LINE: usize = 1 << 20;
const PIECE: usize = 16 << 10;
/// How long a worker may take to end itself once its connection has ended.
const ENDING: Duration = Duration::from_millis(1_500);
/// What the interpreter runs: the server's end of the protocol, without the listening.
const PROGRAM: &str = include_str!("stock.py");

/// Where the line ends, if it does: one past its line feed. An error when it is too long.
pub fn line_end(bytes: &[u8]) -> Result<Option<usize>, &'static str> {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(at) if at < MAX_LINE => Ok(Some(at + 1)),
        None if bytes.len() < MAX_LINE => Ok(None),
        _ => Err("a line that is too long"),
    }
}

/// Serves one client.
pub(super) async fn serve(mut client: TcpStream, mut place: Place, shared: &Shared) {
    let config = &shared.config;
    let mut line = Vec::new();
    let reading = async {
        loop {
            match line_end(&line) {
                Ok(Some(end)) => return Ok(end),
                Ok(None) => {}
                Err(reason) => return Err(reason.to_owned()),
            }
            line.reserve(PIECE);
            match client.read_buf(&mut line).await {
                Ok(0) => return Err("hung up before its line".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    };
    let read = tokio::select! {
        read = timeout(config.handshake_timeout, reading) => read,
        () = place.evicted() => return shared.refuse(&TOO_MANY),
        () = shared.ending() => return,
    };
    drop(place);
    let end = match read {
        Ok(Ok(end)) => end,
        Ok(Err(reason)) => return shared.refuse(&reason),
        Err(_) => {
            return shared.refuse(&format_args!("no line within {:?}", config.handshake_timeout));
        }
    };
    let Ok(_permit) = shared.workers.try_acquire() else {
        return shared.refuse(&"too many workers run already");
    };
    let python = config.python.clone().unwrap_or_else(|| vec![default_python()]);
    let length = end.to_string();
    let argv = python.into_iter().chain(["-c".to_owned(), PROGRAM.to_owned(), length]);
    let mut popen = Popen::new(argv);
    if let Some(directory) = &config.directory {
        popen = popen.current_dir(directory);
    }
    let link = match popen.connect().await {
        Ok(link) => link,
        Err(error) => return shared.refuse(&error),
    };
    let Link { mut reader, mut writer, stderr, guard, .. } = link;
    let (pid, since) = (guard.pid(), Instant::now());
    let _guarded = pid.map(Guarded::worker);
    info!(pid, "started for a client of py.execnet");
    let who = "py.execnet".to_owned();
    let _entered = shared.sessions.enter(Session { who, id: String::new(), pid, since });
    let printed = async {
        let Some(mut printed) = stderr.map(|stderr| stderr.subscribe()) else { return };
        while let Some(bytes) = printed.next().await {
            for line in String::from_utf8_lossy(&bytes).lines() {
                debug!(pid, line, "printed");
            }
        }
    };
    let (mut from_client, mut to_client) = client.split();
    let up = async {
        let _ = writer.write_all(&line).await;
        drop(line);
        let _ = tokio::io::copy(&mut from_client, &mut writer).await;
        drop(writer);
    };
    let down = async {
        let _ = tokio::io::copy(&mut reader, &mut to_client).await;
        let _ = to_client.shutdown().await;
    };
    let both = async {
        tokio::pin!(down);
        tokio::select! {
            () = up => {
                let _ = timeout(ENDING, down).await;
            }
            () = &mut down => {}
            () = shared.ending() => {}
        }
        let _ = timeout(ENDING, guard.wait()).await;
        guard.kill();
        guard.wait().await
    };
    tokio::pin!(printed);
    let ending = tokio::select! {
        ending = both => ending,
        // It never ends before the process, but for descriptors that it has closed.
        ending = async { printed.await; std::future::pending().await } => ending,
    };
    info!(pid, worker = %ending, "ended");
}
