//! The task that feeds a session: what is written goes out, silence is noticed, the end is made.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use russh::client::{Handle, Msg};
use russh::{ChannelWriteHalf, Disconnect, Sig};
use tokio::io::AsyncReadExt;
use tokio::pin;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep, timeout};

use super::channel::Shared;
use super::client::Client;
use super::session::GRACE;
use super::wire::Hold;
use crate::pipe;
use crate::ssh::Config;

/// What a guard asks for.
#[derive(Debug)]
pub(super) enum Request {
    Interrupt,
    Kill,
}

/// Bytes taken at once from what is to be sent.
const CHUNK: usize = 64 * 1024;

pub(super) struct Feeder {
    pub(super) handle: Handle<Client>,
    pub(super) hold: Hold,
    pub(super) shared: Arc<Shared>,
    pub(super) channel: ChannelWriteHalf<Msg>,
    /// There is a process at the other end of the channel.
    pub(super) process: bool,
}

impl Feeder {
    /// Feeds until the channel is closed, the connection lost, or a kill, and then ends the connection.
    pub(super) async fn run(
        mut self,
        to_send: pipe::Reader,
        mut requests: UnboundedReceiver<Request>,
        config: Config,
    ) {
        // Also when the runtime drops this task: nobody is to wait for what will not come.
        let _closed = Closing(self.shared.clone());
        self.feed(to_send, &mut requests, &config).await;
        if !self.shared.is_over() {
            let _ = timeout(GRACE, self.last_words()).await;
        }
        let leaving = async {
            let _ = self.channel.close().await;
            let _ = self.handle.disconnect(Disconnect::ByApplication, "", "").await;
            // Until all of it has been sent.
            let _ = (&mut self.handle).await;
        };
        let _ = timeout(GRACE, leaving).await;
    }

    async fn feed(
        &self,
        to_send: pipe::Reader,
        requests: &mut UnboundedReceiver<Request>,
        config: &Config,
    ) {
        let mut sent = false;
        let sending = self.send(to_send);
        let silence = self.silence(config);
        pin!(sending, silence);
        loop {
            tokio::select! {
                biased;
                request = requests.recv() => match request {
                    Some(Request::Interrupt) => {
                        let _ = timeout(GRACE, self.channel.signal(Sig::INT)).await;
                    }
                    Some(Request::Kill) | None => return,
                },
                () = self.shared.over() => return,
                silent = &mut silence => {
                    let hostname = &config.hostname;
                    self.shared.lose(format!("no answer from {hostname} for {silent:?}"));
                    return;
                }
                () = &mut sending, if !sent => sent = true,
            }
        }
    }

    /// Sends what is written, as the host makes room for it, and then its end.
    async fn send(&self, mut to_send: pipe::Reader) {
        let mut chunk = BytesMut::new();
        loop {
            chunk.reserve(CHUNK);
            match to_send.read_buf(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            self.hold.room().await;
            if self.channel.data_bytes(chunk.split()).await.is_err() {
                return;
            }
        }
        let _ = self.channel.eof().await;
    }

    /// Resolves when the host has not answered for this long.
    async fn silence(&self, config: &Config) -> Duration {
        let (interval, count) = (config.keepalive_interval, config.keepalive_count);
        if interval.is_zero() || count == 0 {
            return std::future::pending().await;
        }
        let mut heard = self.hold.received();
        let mut unanswered = 0;
        loop {
            let tick = sleep(interval);
            pin!(tick);
            if unanswered > 0 {
                tokio::select! {
                    () = &mut tick => {}
                    _ = self.handle.send_keepalive(true) => tick.await,
                }
            } else {
                tick.await;
            }
            let now = self.hold.received();
            // One that is not let speak is not silent.
            if now != heard || self.hold.is_waiting() {
                (heard, unanswered) = (now, 0);
            } else if unanswered == count {
                return interval * (count + 1);
            } else {
                unanswered += 1;
            }
        }
    }

    /// Tells a process that it is over, and waits to hear how it ended.
    async fn last_words(&self) {
        if self.process {
            // Where signals are not for us to send, the end of its input has to do.
            let _ = self.channel.signal(Sig::KILL).await;
            let _ = self.channel.eof().await;
            self.shared.over().await;
        }
    }
}

struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}
