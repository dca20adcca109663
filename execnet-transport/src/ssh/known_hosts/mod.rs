//! Which host keys are known: the files of sshd(8), `SSH_KNOWN_HOSTS FILE FORMAT`, all of it.
//!
//! [`KnownHosts`] reads texts and gives verdicts, without I/O; `load` and `record` touch the files. What has no I/O is public for the
//! fuzz targets alone.

mod hosts;
mod line;
mod record;

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::hosts::Name;
use self::line::{Line, Marker};
pub use self::record::line;
pub(crate) use self::record::record;

/// What several known_hosts files say together.
#[derive(Debug, Default)]
pub struct KnownHosts {
    lines: Vec<(Line, Place)>,
}

/// A line of a file. Prints as `/home/me/.ssh/known_hosts:7`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The file, as it was [added](KnownHosts::add).
    pub file: Arc<Path>,
    /// From 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// What the files say of a key that a server has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is the server's.
    Known,
    /// They know no key of this server.
    Unknown,
    /// They know others of this server.
    Changed {
        /// The first.
        at: Place,
        /// All types, each once.
        types: Vec<String>,
    },
    /// It is marked as revoked, whatever else they say.
    Revoked {
        /// By this line.
        at: Place,
    },
}

impl KnownHosts {
    /// Adds the text of a file.
    pub fn add(&mut self, file: impl Into<Arc<Path>>, text: &str) {
        let file = file.into();
        for (number, line) in text.lines().enumerate() {
            let place = Place { file: file.clone(), line: number + 1 };
            // What is not of the format counts for nothing, as in OpenSSH.
            if let Ok(Some(line)) = Line::parse(line) {
                self.lines.push((line, place));
            }
        }
    }

    /// Judges a key in wire format that the server called `name` has shown.
    ///
    /// As OpenSSH does: a revoked key is revoked whatever other lines say; a server on an unusual port has the
    /// keys listed for that port, and may also show one that is listed for the host without a port.
    #[must_use]
    pub fn check(&self, name: &Name, key: &[u8]) -> Verdict {
        if let Some(at) = self.revoked(name, |revoked| revoked == key) {
            return Verdict::Revoked { at: at.clone() };
        }
        let known = |name| self.about(name, Marker::Plain).any(|(line, _)| line.key == key);
        if known(name.full()) {
            return Verdict::Known;
        }
        match self.about(name.full(), Marker::Plain).next() {
            Some((_, at)) => Verdict::Changed { at: at.clone(), types: self.key_types(name) },
            None if name.host().is_some_and(known) => Verdict::Known,
            None => Verdict::Unknown,
        }
    }

    /// The line that revokes a key of this server's.
    pub(crate) fn revoked(&self, name: &Name, is_it: impl Fn(&[u8]) -> bool) -> Option<&Place> {
        let names = [Some(name.full()), name.host()];
        let mut lines =
            names.into_iter().flatten().flat_map(|name| self.about(name, Marker::Revoked));
        lines.find(|(line, _)| is_it(&line.key)).map(|(_, place)| place)
    }

    /// The types of the keys that are known of a server, each once: it is to be asked for these first, for it may
    /// have others that nobody knows yet.
    #[must_use]
    pub fn key_types(&self, name: &Name) -> Vec<String> {
        let mut types = self.key_types_of(name.full());
        if types.is_empty()
            && let Some(host) = name.host()
        {
            types = self.key_types_of(host);
        }
        types
    }

    fn key_types_of(&self, name: &str) -> Vec<String> {
        let mut types = Vec::new();
        for (line, _) in self.about(name, Marker::Plain) {
            if !types.contains(&line.key_type) {
                types.push(line.key_type.clone());
            }
        }
        types
    }

    /// The line that wants this server to show a certificate, where there is one.
    #[must_use]
    pub fn authority(&self, name: &Name) -> Option<&Place> {
        let names = [Some(name.full()), name.host()];
        let mut lines =
            names.into_iter().flatten().flat_map(|name| self.about(name, Marker::CertAuthority));
        lines.next().map(|(_, place)| place)
    }

    fn about(&self, name: &str, marker: Marker) -> impl Iterator<Item = &(Line, Place)> {
        self.lines.iter().filter(move |(line, _)| line.marker == marker && line.hosts.contain(name))
    }
}

/// Reads all files; one that does not exist is empty. Blocks.
///
/// # Errors
///
/// A file exists and cannot be read: what it says of revoked keys must not be passed over.
pub(crate) fn load(files: &[PathBuf]) -> Result<KnownHosts, (PathBuf, io::Error)> {
    let mut known = KnownHosts::default();
    for file in files {
        match std::fs::read(file) {
            // What is not UTF-8 can only be in comments and in lines that are none.
            Ok(bytes) => known.add(file.as_path(), &String::from_utf8_lossy(&bytes)),
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => return Err((file.clone(), error)),
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;
    use proptest::prelude::*;

    use super::*;

    /// A key in wire format, of which only the type matters here.
    fn key(key_type: &str, body: &str) -> Vec<u8> {
        let length = u32::try_from(key_type.len()).unwrap().to_be_bytes();
        [&length[..], key_type.as_bytes(), body.as_bytes()].concat()
    }

    fn line(hosts: &str, key_type: &str, body: &str) -> String {
        format!("{hosts} {key_type} {}", BASE64.encode(&key(key_type, body)))
    }

    fn known(files: &[(&str, &[String])]) -> KnownHosts {
        let mut known = KnownHosts::default();
        for (file, lines) in files {
            known.add(Path::new(file), &lines.join("\n"));
        }
        known
    }

    fn place(file: &str, line: usize) -> Place {
        Place { file: Path::new(file).into(), line }
    }

    fn web1() -> Name {
        Name::new("web1", 22)
    }

    const ED: &str = "ssh-ed25519";
    const RSA: &str = "ssh-rsa";

    #[test]
    fn known_and_unknown() {
        let known = known(&[("a", &["# mine".into(), line("web1,web2", ED, "one")])]);
        assert_eq!(known.check(&web1(), &key(ED, "one")), Verdict::Known);
        assert_eq!(known.check(&Name::new("web3", 22), &key(ED, "one")), Verdict::Unknown);
    }

    #[test]
    fn a_changed_key_names_the_first_line_and_all_types() {
        let known = known(&[
            ("a", &[line("db", ED, "x"), String::new(), line("web1", RSA, "one")]),
            ("b", &[line("web*", ED, "two"), line("web1", RSA, "three")]),
        ]);
        let types = vec![RSA.to_owned(), ED.to_owned()];
        let changed = Verdict::Changed { at: place("a", 3), types };
        assert_eq!(known.check(&web1(), &key(ED, "other")), changed);
        assert_eq!(known.check(&web1(), &key("ecdsa-sha2-nistp256", "new")), changed);
    }

    #[test]
    fn any_of_several_files_will_do() {
        let known = known(&[
            ("user", &[line("web1", ED, "old")]),
            ("global", &[line("*", ED, "new"), line("web1", RSA, "r")]),
        ]);
        for key in [key(ED, "old"), key(ED, "new"), key(RSA, "r")] {
            assert_eq!(known.check(&web1(), &key), Verdict::Known);
        }
        assert_eq!(known.key_types(&web1()), [ED, RSA]);
    }

    #[test]
    fn revoked_outweighs_known_wherever_it_stands() {
        let revoked = format!("@revoked {}", line("*", ED, "leaked"));
        let known = known(&[
            ("user", &[line("web1", ED, "leaked"), line("web1", ED, "good")]),
            ("global", &[revoked]),
        ]);
        let at = place("global", 1);
        assert_eq!(known.check(&web1(), &key(ED, "leaked")), Verdict::Revoked { at });
        assert_eq!(known.check(&web1(), &key(ED, "good")), Verdict::Known);
    }

    #[test]
    fn a_key_is_revoked_for_the_hosts_of_its_line() {
        let revoked = format!("@revoked {}", line("db", ED, "leaked"));
        let known = known(&[("a", &[revoked])]);
        assert_eq!(known.check(&web1(), &key(ED, "leaked")), Verdict::Unknown);
        let at = place("a", 1);
        let on_a_port = Name::new("db", 2222);
        assert_eq!(known.check(&on_a_port, &key(ED, "leaked")), Verdict::Revoked { at });
    }

    #[test]
    fn a_port_of_its_own() {
        let known = known(&[(
            "a",
            &[
                line("web1", ED, "usual"),
                line("[web1]:2222", ED, "special"),
                line("[db]:2222", ED, "x"),
            ],
        )]);
        let special = Name::new("web1", 2222);
        assert_eq!(known.check(&special, &key(ED, "special")), Verdict::Known);
        let changed = known.check(&special, &key(ED, "usual"));
        assert!(matches!(changed, Verdict::Changed { .. }), "{changed:?}");
        // Nothing is known of this port, and the key is the host's.
        let other = Name::new("web1", 3333);
        assert_eq!(known.check(&other, &key(ED, "usual")), Verdict::Known);
        assert_eq!(known.check(&other, &key(ED, "new")), Verdict::Unknown);
        assert_eq!(known.key_types(&other), [ED]);
        assert_eq!(known.check(&Name::new("db", 22), &key(ED, "x")), Verdict::Unknown);
    }

    #[test]
    fn an_authority_is_no_key_of_the_host() {
        let authority = format!("@cert-authority {}", line("*.example.org", ED, "ca"));
        let known = known(&[("a", &[authority])]);
        let host = Name::new("a.example.org", 22);
        assert_eq!(known.check(&host, &key(ED, "ca")), Verdict::Unknown);
        assert_eq!(known.authority(&host), Some(&place("a", 1)));
        assert_eq!(known.authority(&web1()), None);
        assert!(known.key_types(&host).is_empty());
    }

    #[test]
    fn unreadable_lines_count_for_nothing() {
        let known = known(&[("a", &["web1 1024 35 99".into(), line("web1", ED, "one")])]);
        assert_eq!(known.check(&web1(), &key(ED, "one")), Verdict::Known);
    }

    #[test]
    fn a_file_that_is_not_there_is_empty_and_one_that_cannot_be_read_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("no").join("such");
        assert!(load(&[missing, "/dev/null".into()]).unwrap().lines.is_empty());
        let (file, _) = load(&[dir.path().to_owned()]).unwrap_err();
        assert_eq!(file, dir.path());
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in ".*", name in ".*", port: u16) {
            let mut known = KnownHosts::default();
            known.add(Path::new("x"), &text);
            let _ = known.check(&Name::new(&name, port), b"");
        }

        /// Closer to what counts: pieces of the format in any order.
        #[test]
        fn any_line_is_read(pieces in prop::collection::vec(
            prop::sample::select(vec![
                "@revoked", "@cert-authority", "@", "|1|", "|", "!", "*", "?", ",", "[", "]:22", " ", "\t", "\n", "#",
                "web1", "ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5", "c2FsdA==", "FAc8v9brSdL+OsiWA5vUNRHOnP0=", "\u{fffd}",
            ]), 0..40)) {
            let mut known = KnownHosts::default();
            known.add(Path::new("x"), &pieces.concat());
            let _ = known.check(&web1(), &key(ED, ""));
        }
    }
}
