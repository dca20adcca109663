//! What far ends print: live, line by line.

use std::collections::VecDeque;
use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use execnet_transport::{Stderr, StderrStream};

/// Where the lines go that a gateway's programs print.
#[derive(Clone)]
pub struct Output(Sink);

#[derive(Clone)]
enum Sink {
    /// This program's stderr; the flag tells whether lines begin with the gateway's id.
    Stderr {
        labelled: Arc<AtomicBool>,
    },
    Handler(Arc<dyn Fn(OutputLine<'_>) + Send + Sync>),
    Nowhere,
}

/// A line that a far end's program printed, on stdout or stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputLine<'a> {
    /// Id of the gateway.
    pub gateway: &'a str,
    /// The line, without its end.
    pub line: &'a str,
}

/// A line longer than this is handed on in parts, so that a program which never ends its lines
/// does not fill our memory: 64 KiB.
const MAX_LINE: usize = 64 << 10;

impl Output {
    /// To this program's stderr, each line as it is.
    #[must_use]
    pub fn stderr() -> Self {
        Self::labelled_when(Arc::new(AtomicBool::new(false)))
    }

    /// To this program's stderr, each line behind its gateway's id: `gw1: hello`.
    #[must_use]
    pub fn labelled_stderr() -> Self {
        Self::labelled_when(Arc::new(AtomicBool::new(true)))
    }

    /// To a function, called for each line in order. While it runs, that gateway's programs may have to wait to print.
    pub fn handler(handler: impl Fn(OutputLine<'_>) + Send + Sync + 'static) -> Self {
        Self(Sink::Handler(Arc::new(handler)))
    }

    /// Nowhere. The last lines are kept all the same, to explain a gateway's death.
    #[must_use]
    pub fn discard() -> Self {
        Self(Sink::Nowhere)
    }

    /// To this program's stderr, labelled as soon as the flag is set.
    pub(crate) fn labelled_when(labelled: Arc<AtomicBool>) -> Self {
        Self(Sink::Stderr { labelled })
    }

    /// Follows a far end's output until its end.
    pub(crate) async fn follow(self, gateway: String, stderr: Stderr) {
        if matches!(self.0, Sink::Nowhere) {
            return;
        }
        let mut stream = stderr.subscribe();
        let mut lines = self.lines(gateway);
        while let Some(chunk) = stream.next().await {
            lines.push(&chunk);
        }
        lines.finish();
    }

    /// Takes the output of a gateway, chunk by chunk.
    fn lines(self, gateway: String) -> LinePrinter {
        LinePrinter { output: self, gateway, lines: Lines::default() }
    }

    fn print(&self, gateway: &str, line: &str) {
        match &self.0 {
            // One write for each line, so that lines of several gateways do not mix. There is
            // nobody to tell when our own stderr is gone.
            Sink::Stderr { labelled } => {
                let text = match labelled.load(Ordering::Relaxed) {
                    true => format!("{gateway}: {line}\n"),
                    false => format!("{line}\n"),
                };
                let _ = std::io::stderr().write_all(text.as_bytes());
            }
            Sink::Handler(handler) => handler(OutputLine { gateway, line }),
            Sink::Nowhere => {}
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Sink::Stderr { .. } => "Output::stderr",
            Sink::Handler(_) => "Output::handler",
            Sink::Nowhere => "Output::discard",
        })
    }
}

/// A gateway's output as it comes, from [`Gateway::output`](crate::Gateway::output).
///
/// It has backpressure: while it is kept and not read, the far end's programs wait to print once 64 KiB lie unread.
#[derive(Debug)]
pub struct OutputStream {
    stream: Option<StderrStream>,
    lines: Lines,
    ready: VecDeque<String>,
}

impl OutputStream {
    pub(crate) fn new(stderr: &Stderr) -> Self {
        Self { stream: Some(stderr.subscribe()), lines: Lines::default(), ready: VecDeque::new() }
    }

    /// The next line, without its end; `None` when the far end has ended. Cancel safe.
    pub async fn next_line(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            let Self { stream, lines, ready } = self;
            match stream.as_mut()?.next().await {
                Some(chunk) => lines.push(&chunk, |line| ready.push_back(line.to_owned())),
                None => {
                    *stream = None;
                    lines.finish(|line| ready.push_back(line.to_owned()));
                }
            }
            if stream.is_none() && ready.is_empty() {
                return None;
            }
        }
    }
}

/// Hands a gateway's output on, line by line.
pub(crate) struct LinePrinter {
    output: Output,
    gateway: String,
    lines: Lines,
}

impl LinePrinter {
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        let Self { output, gateway, lines } = self;
        lines.push(chunk, |line| output.print(gateway, line));
    }

    /// Hands on a last line that lacks its end.
    pub(crate) fn finish(&mut self) {
        let Self { output, gateway, lines } = self;
        lines.finish(|line| output.print(gateway, line));
    }
}

/// Chunks into lines.
#[derive(Debug, Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn push(&mut self, chunk: &[u8], mut print: impl FnMut(&str)) {
        for part in chunk.split_inclusive(|&byte| byte == b'\n') {
            self.rest.extend_from_slice(part);
            if part.ends_with(b"\n") || self.rest.len() >= MAX_LINE {
                self.finish(&mut print);
            }
        }
    }

    fn finish(&mut self, mut print: impl FnMut(&str)) {
        if self.rest.is_empty() {
            return;
        }
        let line = String::from_utf8_lossy(&self.rest);
        let line = line.strip_suffix('\n').unwrap_or(&line);
        print(line.strip_suffix('\r').unwrap_or(line));
        self.rest.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut found = Vec::new();
        let mut lines = Lines::default();
        for chunk in chunks {
            lines.push(chunk, |line| found.push(line.to_owned()));
        }
        lines.finish(|line| found.push(line.to_owned()));
        found
    }

    #[test]
    fn lines_are_joined_across_chunks_and_the_last_may_lack_its_end() {
        assert_eq!(lines(&[b"a", b"b\nc\r\n", b"\n", b"\xc3", b"\xa9"]), ["ab", "c", "", "é"]);
    }

    #[test]
    fn what_is_no_text_and_what_never_ends_is_shown_all_the_same() {
        assert_eq!(lines(&[b"\xff\n"]), ["\u{fffd}"]);
        let endless = vec![b'x'; 3 * MAX_LINE / 2];
        let found = lines(&[&endless[..MAX_LINE], &endless[MAX_LINE..]]);
        assert_eq!(found.iter().map(String::len).collect::<Vec<_>>(), [MAX_LINE, MAX_LINE / 2]);
    }
}
