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

/// A line that is under way: bytes in, in any cutting.
#[derive(Debug, Default)]
pub struct Line {
    bytes: Vec<u8>,
}

impl Line {
    /// Takes more bytes, and looks at each once. When the line has come to its end, gives all bytes so far, and how many
    /// of them are the line with its line feed.
    ///
    /// # Errors
    /// It is too long. What is kept is at most such a line and one piece.
    pub fn push(&mut self, piece: &[u8]) -> Result<Option<(Vec<u8>, usize)>, &'static str> {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(piece);
        match piece.iter().position(|byte| *byte == b'\n') {
            Some(at) if before + at < MAX_LINE => {
                Ok(Some((std::mem::take(&mut self.bytes), before + at + 1)))
            }
            None if self.bytes.len() < MAX_LINE => Ok(None),
            _ => Err("a line that is too long"),
        }
    }
}

/// Serves one client.
pub(super) async fn serve(mut client: TcpStream, mut place: Place, shared: &Shared) {
    let config = &shared.config;
    let reading = async {
        let mut line = Line::default();
        let mut piece = vec![0; PIECE];
        loop {
            match client.read(&mut piece).await {
                Ok(0) => return Err("hung up before its line".to_owned()),
                Ok(read) => {
                    if let Some(read) = line.push(piece.get(..read).unwrap_or_default())? {
                        return Ok(read);
                    }
                }
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
    let (line, end) = match read {
        Ok(Ok(read)) => read,
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
