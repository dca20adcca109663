//! Which gateways a command is about, and how far their start has come.

use std::fmt::Display;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;

use execnet::{GroupBuilder, StartProgress, XSpec};

use super::args::Fleet;
use super::{Outcome, complain};

impl Fleet {
    /// The specifications: those of the command line, then those of the files. Says what is wrong with each bad one, and where it stands.
    pub(super) fn specs(&self) -> Result<Vec<XSpec>, Outcome> {
        let mut specs = Vec::new();
        let mut outcome = Outcome::Success;
        let mut add = |text: &str, place: &dyn Display| match checked(text) {
            Ok(spec) => specs.push(spec),
            Err(error) => {
                complain(format_args!("{place}{error}"));
                outcome = Outcome::Usage;
            }
        };
        for text in &self.specs {
            add(text, &"");
        }
        for path in &self.host_files {
            let name = if is_stdin(path) { "stdin".into() } else { path.to_string_lossy() };
            let text = read(path).map_err(|error| {
                complain(format_args!("cannot read {name}: {error}"));
                Outcome::Io
            })?;
            for (index, line) in text.lines().enumerate() {
                let spec = without_comment(line);
                if !spec.is_empty() {
                    add(spec, &format_args!("{name}:{}: ", index + 1));
                }
            }
        }
        if outcome != Outcome::Success {
            return Err(outcome);
        }
        if specs.is_empty() {
            complain("no gateways: no SPEC is given, nor does a host file hold one");
            return Err(Outcome::Usage);
        }
        Ok(specs)
    }

    /// Whether one of the files is stdin, which can be read once.
    pub(super) fn reads_stdin(&self) -> bool {
        self.host_files.iter().any(|path| is_stdin(path))
    }
}

/// One specification, checked in the same way.
pub(super) fn spec(text: &str) -> Result<XSpec, Outcome> {
    checked(text).map_err(|error| {
        complain(error);
        Outcome::Usage
    })
}

/// A specification that names a type of gateway and no key that nobody knows: mistakes in these are mistakes
/// on the command line, and found before anything is started.
fn checked(text: &str) -> Result<XSpec, execnet::SpecError> {
    let spec = XSpec::parse(text)?;
    spec.refuse_unclaimed(&[])?;
    spec.kind()?;
    Ok(spec)
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

fn read(path: &Path) -> io::Result<String> {
    if !is_stdin(path) {
        return std::fs::read_to_string(path);
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// A comment begins with a `#` at the start of the line or after a space.
fn without_comment(line: &str) -> &str {
    let begins =
        |&(at, _): &(usize, &str)| line[..at].chars().next_back().is_none_or(char::is_whitespace);
    let end = line.match_indices('#').find(begins).map_or(line.len(), |(at, _)| at);
    line[..end].trim()
}

/// Shows on stderr, if that is a terminal, how many of several gateways have started; until this is dropped.
pub(super) struct Progress {
    shown: bool,
}

impl Progress {
    pub(super) fn new(gateways: usize) -> Self {
        Self { shown: gateways > 1 && io::stderr().is_terminal() }
    }

    pub(super) fn watch(&self, group: GroupBuilder) -> GroupBuilder {
        if self.shown { group.on_start(show) } else { group }
    }
}

/// The cursor stays at the start of the line, so that whatever is printed next replaces it.
fn show(progress: StartProgress) {
    let StartProgress { started, failed, total, .. } = progress;
    let failed = if failed == 0 { String::new() } else { format!(", {failed} failed") };
    // Nobody is to miss it.
    let _ = write!(io::stderr(), "\x1b[Kstarted {started}/{total}{failed}\r");
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments() {
        for (line, spec) in [
            ("popen", "popen"),
            ("  ssh=web1 \t", "ssh=web1"),
            ("# all of them", ""),
            ("   # indented", ""),
            ("ssh=web1\t# the first", "ssh=web1"),
            ("ssh=web#1//id=a # b # c", "ssh=web#1//id=a"),
            ("\r", ""),
        ] {
            assert_eq!(without_comment(line), spec, "{line:?}");
        }
    }
}
