//! The way from a worker to its client: whole frames, and between them what the worker prints.

use std::future::pending;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use execnet_proto::{Fault, Frame, Hello, MAGIC, NOISE_LIMIT, OutputStream};
use execnet_transport::{Ending, Stderr, StderrStream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::frames::Frames;
use super::relay::{Cause, Clock, PIECE};

/// How long what it printed last may take to arrive.
const LAST_OUTPUT: Duration = Duration::from_millis(500);
/// Lines of output that explain a worker that did not start.
const LINES: usize = 20;

/// What it needs.
pub(super) struct Down<R, W> {
    worker: R,
    client: W,
    stderr: Option<Stderr>,
    /// Followed from the worker's HELLO on, in front of which nothing may stand.
    printed: Option<StderrStream>,
    frames: Frames,
    /// What the worker sent before its preamble, such as prints of a sitecustomize.
    noise: BytesMut,
    /// The rest of a frame that has not come in whole.
    buf: BytesMut,
    most: usize,
    max_output: usize,
    pub(super) sent: u64,
    /// Under way to the client: half of it may have gone out.
    writing: bool,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Down<R, W> {
    pub(super) fn new(
        worker: R,
        client: W,
        stderr: Option<Stderr>,
        hello: &Hello,
        max_frame: u32,
    ) -> Self {
        Self {
            worker,
            client,
            stderr,
            printed: None,
            frames: Frames::default(),
            noise: BytesMut::new(),
            buf: BytesMut::with_capacity(PIECE),
            most: max_frame as usize,
            // One byte says which stream it is.
            max_output: hello.limits.max_frame as usize - 1,
            sent: 0,
            writing: false,
        }
    }

    /// Passes frames and output on until the worker has closed its side. An error is the client's.
    pub(super) async fn run(&mut self, clock: &Clock) -> io::Result<()> {
        loop {
            if self.buf.capacity() - self.buf.len() < PIECE / 2 {
                self.buf.reserve(PIECE);
            }
            let before = self.buf.len();
            let printed = async {
                match &mut self.printed {
                    Some(printed) => printed.next().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                read = self.worker.read_buf(&mut self.buf) => {
                    if !matches!(read, Ok(1..)) {
                        break;
                    }
                    if !self.pass(before, clock).await? {
                        break;
                    }
                }
                bytes = printed => match bytes {
                    Some(bytes) => self.output(&bytes).await?,
                    None => self.printed = None,
                },
            }
        }
        self.last_output().await
    }

    /// Passes on what is whole of what came behind `before`. False when it is nothing that a worker sends.
    async fn pass(&mut self, mut before: usize, clock: &Clock) -> io::Result<bool> {
        if !self.frames.has_begun() {
            if !self.find_preamble() {
                return Ok(self.noise.len() + self.buf.len() <= NOISE_LIMIT);
            }
            before = 0;
        }
        let (whole, busy) = self.frames.follow(self.buf.get(before..).unwrap_or_default());
        if busy {
            clock.touch(&clock.active);
        }
        if self.frames.pending() > self.most {
            return Ok(false);
        }
        if whole > 0 {
            let frames = self.buf.split_to(before + whole);
            self.write(&frames).await?;
            // Else the buffer could not be used again without a copy.
            drop(frames);
            if self.printed.is_none() && self.sent > MAGIC.len() as u64 {
                self.printed = self.stderr.as_ref().map(Stderr::subscribe);
                let noise = std::mem::take(&mut self.noise);
                self.output(&noise).await?;
                // Once is enough.
                self.stderr = None;
            }
        }
        Ok(true)
    }

    /// Moves what stands in front of the preamble out of the way.
    fn find_preamble(&mut self) -> bool {
        let found = self.buf.windows(MAGIC.len()).position(|window| window == MAGIC);
        let noise = found.unwrap_or(self.buf.len().saturating_sub(MAGIC.len() - 1));
        self.noise.extend_from_slice(&self.buf.split_to(noise));
        found.is_some()
    }

    async fn output(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(self.max_output) {
            let bytes = Bytes::copy_from_slice(piece);
            let mut frame = BytesMut::new();
            Frame::Output { channel: None, stream: OutputStream::Stderr, bytes }.encode(&mut frame);
            self.write(&frame).await?;
        }
        Ok(())
    }

    /// What was printed last, as far as it comes.
    async fn last_output(&mut self) -> io::Result<()> {
        let until = Instant::now() + LAST_OUTPUT;
        // Of a worker that has said nothing it is the explanation, which is taken from what is kept.
        if let Some(stderr) = &self.stderr {
            let _ = timeout_at(until, stderr.closed()).await;
        }
        while let Some(printed) = &mut self.printed {
            match timeout_at(until, printed.next()).await {
                Ok(Some(bytes)) => self.output(&bytes).await?,
                Ok(None) | Err(_) => self.printed = None,
            }
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writing = true;
        self.client.write_all(bytes).await?;
        self.client.flush().await?;
        self.writing = false;
        self.sent += bytes.len() as u64;
        Ok(())
    }

    /// What the client is to know, unless the worker has said it.
    pub(super) fn fault(
        &self,
        cause: &Cause,
        ending: Option<Ending>,
        stderr: Option<&Stderr>,
    ) -> Fault {
        let how = match ending {
            Some(ending) => ending.to_string(),
            None => "it does not end, even when killed".to_owned(),
        };
        match cause {
            Cause::Worker if self.sent > MAGIC.len() as u64 => Fault::new("WorkerLost", how),
            Cause::Worker => {
                let mut message = format!("the worker did not start: {how}");
                let noise = String::from_utf8_lossy(&self.noise);
                let printed = stderr.map(|stderr| stderr.tail_lines(LINES)).unwrap_or_default();
                let lines: Vec<&str> = noise
                    .lines()
                    .filter(|line| !line.is_empty())
                    .take(LINES)
                    .chain(printed.iter().map(String::as_str))
                    .collect();
                if !lines.is_empty() {
                    message.push_str("; its last output:");
                }
                for line in lines {
                    message.push_str("\n    ");
                    message.push_str(line);
                }
                Fault::new("WorkerNotStarted", message)
            }
            cause => Fault::new("ServerClosed", cause.text()),
        }
    }

    /// The last words. `whole` when nothing was cut off in the middle.
    pub(super) async fn farewell(&mut self, whole: bool, fault: Fault) -> io::Result<()> {
        if whole && !self.writing && !self.frames.is_closed() {
            let mut last = BytesMut::new();
            if self.sent == 0 {
                last.extend_from_slice(&MAGIC);
            }
            Frame::Close { channel: None, fault: Some(fault) }.encode(&mut last);
            self.write(&last).await?;
        }
        self.client.shutdown().await
    }
}
