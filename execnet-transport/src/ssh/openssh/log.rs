//! What the `ssh` program says about the connection, apart from what the far end says.
//!
//! With `-E` the program writes its own messages to a file: here a named pipe. So the standard error is the far end's
//! alone, the program's messages can be as detailed as it takes to know how far it came, and nothing that the far
//! end prints can be taken for one of them.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::TempDir;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::unix::pipe;
use tokio::sync::Notify;

use super::progress::Progress;

/// A named pipe for the program's messages.
pub(super) struct Fifo {
    /// Removes it.
    dir: TempDir,
    receiver: pipe::Receiver,
    /// Without it the pipe would be at its end until the program opens it.
    sender: pipe::Sender,
}

impl Fifo {
    pub(super) fn new() -> io::Result<Self> {
        // Nobody else may enter it.
        let dir = tempfile::Builder::new().prefix("execnet-ssh-").tempdir()?;
        let path = dir.path().join("log");
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR)?;
        let receiver = pipe::OpenOptions::new().open_receiver(&path)?;
        let sender = pipe::OpenOptions::new().open_sender(&path)?;
        Ok(Self { dir, receiver, sender })
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("log")
    }
}

/// Messages are a few lines long. One that is longer, such as a banner that somebody sends, is cut.
const LONGEST_LINE: usize = 4096;

/// The far end's standard error, and within it those of the program's messages that are for people.
pub(super) struct Errors {
    stderr: Option<pipe::Receiver>,
    log: Option<pipe::Receiver>,
    /// Until the program has opened the pipe, or is gone.
    fifo: Option<(TempDir, pipe::Sender)>,
    line: Vec<u8>,
    /// Messages that are to be read before anything else.
    ready: Vec<u8>,
    /// Whether the far end's last line is finished.
    at_line_start: bool,
    verbose: bool,
    watched: Arc<Watched>,
}

impl Errors {
    /// `verbose` passes on the program's reports of its steps too.
    pub(super) fn new(stderr: pipe::Receiver, fifo: Fifo, verbose: bool) -> (Self, Arc<Watched>) {
        let watched = Arc::new(Watched { progress: Mutex::default(), changed: Notify::new() });
        let errors = Self {
            stderr: Some(stderr),
            log: Some(fifo.receiver),
            fifo: Some((fifo.dir, fifo.sender)),
            line: Vec::new(),
            ready: Vec::new(),
            at_line_start: true,
            verbose,
            watched: watched.clone(),
        };
        (errors, watched)
    }

    /// Reads messages until there is none at the moment.
    fn poll_log(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut chunk = [0; 4096];
        while let Some(log) = &mut self.log {
            let mut buf = ReadBuf::new(&mut chunk);
            let read = ready!(Pin::new(log).poll_read(cx, &mut buf));
            if read.is_err() || buf.filled().is_empty() {
                self.log = None;
                break;
            }
            self.fifo = None;
            buf.filled().iter().for_each(|byte| self.take(*byte));
        }
        if !self.line.is_empty() {
            self.take(b'\n');
        }
        Poll::Ready(())
    }

    fn take(&mut self, byte: u8) {
        match byte {
            b'\n' => {
                let line = std::mem::take(&mut self.line);
                let line = String::from_utf8_lossy(&line);
                let for_people = self.watched.lock().take(line.trim_end());
                self.watched.changed.notify_one();
                if let Some(text) = for_people.or_else(|| self.verbose.then(|| line.into_owned())) {
                    if !std::mem::replace(&mut self.at_line_start, true) {
                        self.ready.push(b'\n');
                    }
                    self.ready.extend(text.trim_end().as_bytes());
                    self.ready.push(b'\n');
                }
            }
            byte if self.line.len() < LONGEST_LINE => self.line.push(byte),
            _ => {}
        }
    }
}

impl AsyncRead for Errors {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let log = self.poll_log(cx);
            if !self.ready.is_empty() {
                let fits = self.ready.len().min(buf.remaining());
                buf.put_slice(self.ready.get(..fits).unwrap_or_default());
                self.ready.drain(..fits);
                return Poll::Ready(Ok(()));
            }
            let Some(stderr) = &mut self.stderr else { return log.map(Ok) };
            let before = buf.filled().len();
            let read = ready!(Pin::new(stderr).poll_read(cx, buf));
            if let (Ok(()), Some(new)) = (read, buf.filled().get(before..))
                && let Some(last) = new.last()
            {
                self.at_line_start = *last == b'\n';
                return Poll::Ready(Ok(()));
            }
            // The program is gone: whoever else might open the pipe will not.
            self.stderr = None;
            self.fifo = None;
        }
    }
}

/// How far the program has come, to be looked at while its messages are read.
pub(super) struct Watched {
    progress: Mutex<Progress>,
    changed: Notify,
}

impl Watched {
    pub(super) fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the far side has been asked to run the command.
    pub(super) async fn up(&self) {
        while !self.lock().is_up() {
            self.changed.notified().await;
        }
    }
}
