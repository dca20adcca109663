//! Passphrases and passwords, asked for on the terminal.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use execnet::ssh::{BoxFuture, Prompt, Question, Topic};
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use tokio::sync::Mutex;

/// The terminal, where this command has one.
pub(super) fn terminal() -> Option<Arc<dyn Prompt>> {
    let found = open().is_ok();
    found.then(|| Arc::new(Terminal::default()) as Arc<dyn Prompt>)
}

/// Whatever standard input and output are: the terminal that Ctrl-C comes from.
fn open() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/tty")
}

/// One question at a time. A passphrase is asked for once, however many hosts its key is for.
#[derive(Debug, Default)]
struct Terminal(Mutex<HashMap<PathBuf, Secret>>);

#[derive(Clone)]
struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Prompt for Terminal {
    fn ask(&self, question: Question) -> BoxFuture<'_, Option<String>> {
        Box::pin(async move {
            let mut known = self.0.lock().await;
            let Topic::Passphrase { path } = &question.topic else {
                return read(&question).await.ok().flatten();
            };
            if question.attempt > 1 {
                known.remove(path);
            }
            if let Some(Secret(passphrase)) = known.get(path) {
                return Some(passphrase.clone());
            }
            let passphrase = read(&question).await.ok().flatten()?;
            known.insert(path.clone(), Secret(passphrase.clone()));
            Some(passphrase)
        })
    }
}

/// What Ctrl-C sends.
const INTERRUPT: u8 = 3;

/// Reads a line. Dropping the future leaves the terminal as it was.
async fn read(question: &Question) -> io::Result<Option<String>> {
    let mut terminal = open()?;
    let quiet = Quiet::new(terminal.try_clone()?, question.echo)?;
    terminal.write_all(question.text.as_bytes())?;
    let reading = tokio::task::spawn_blocking(move || {
        let mut line = Vec::new();
        let mut reader = BufReader::new(&terminal);
        loop {
            let got = reader.fill_buf()?;
            let end = got.iter().position(|byte| matches!(*byte, b'\n' | INTERRUPT));
            line.extend_from_slice(&got[..end.map_or(got.len(), |end| end + 1)]);
            if end.is_some() || got.is_empty() {
                break;
            }
            let read = got.len();
            reader.consume(read);
        }
        // The one that was typed did not show.
        (&terminal).write_all(b"\n")?;
        Ok::<_, io::Error>(line)
    });
    let mut line = reading.await.map_err(io::Error::other)??;
    match line.pop() {
        Some(b'\n') => Ok(String::from_utf8(line).ok()),
        Some(INTERRUPT) => {
            drop(quiet);
            // What it would have done.
            kill_process(getpid(), Signal::INT)?;
            // Whoever catches it gives up this future, rather than hear of a refusal first.
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok(None)
        }
        _ => Ok(None),
    }
}

/// A terminal that shows nothing of what is typed, until this is dropped.
///
/// Ctrl-C must not end this program meanwhile, or the terminal would stay so: it ends the line.
struct Quiet {
    terminal: File,
    before: Termios,
}

impl Quiet {
    fn new(terminal: File, echo: bool) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ISIG);
        if !echo {
            quiet.local_modes.remove(LocalModes::ECHO);
        }
        quiet.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
        // What was typed before was not meant for us.
        tcsetattr(&terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}
