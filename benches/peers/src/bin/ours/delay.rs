//! A link with a delay: a popen whose input is held back. One direction is enough for a round trip.

use std::time::Duration;

use execnet_transport::{BoxFuture, ConnectError, Link, Popen, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// As much may be on its way as a link of 1 Gbit/s holds in half a second.
const PIECES: usize = 1024;
const PIECE: usize = 64 << 10;

/// A child process, a round trip of `delay` away. Timers tick in milliseconds.
#[derive(Debug)]
pub(crate) struct Delayed {
    pub(crate) popen: Popen,
    pub(crate) delay: Duration,
}

impl Transport for Delayed {
    fn address(&self) -> String {
        format!("{}, {:?} away", self.popen.address(), self.delay)
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        Box::pin(async {
            let mut link = self.popen.connect().await?;
            if self.delay.is_zero() {
                return Ok(link);
            }
            let (near, mut entry) = tokio::io::duplex(PIECE);
            let mut far = std::mem::replace(&mut link.writer, Box::new(near));
            let (hold, mut held) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES);
            let delay = self.delay;
            tokio::spawn(async move {
                loop {
                    let mut piece = Vec::with_capacity(PIECE);
                    match entry.read_buf(&mut piece).await {
                        Ok(0) | Err(_) => return,
                        Ok(_) => {}
                    }
                    if hold.send((Instant::now() + delay, piece)).await.is_err() {
                        return;
                    }
                }
            });
            tokio::spawn(async move {
                while let Some((due, piece)) = held.recv().await {
                    sleep_until(due).await;
                    if far.write_all(&piece).await.is_err() || far.flush().await.is_err() {
                        return;
                    }
                }
                let _ = far.shutdown().await;
            });
            Ok(link)
        })
    }
}
