//! Adding a key that was met for the first time: `StrictHostKeyChecking accept-new`.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use data_encoding::BASE64;

use super::hosts::{HASH, hashed_field};
use super::line::type_of;
use super::{KnownHosts, Name, Verdict};

/// Adds a line to a file, made with mode 0600 if need be, in directories of mode 0700. Blocks.
///
/// Others may do the same at the same time, in this program or another of ours: the file is locked meanwhile, and
/// what it says by then counts. Hence the verdict: [`Verdict::Known`], or what stands against the line.
///
/// # Errors
///
/// The system's.
pub(crate) fn record(file: &Path, name: &Name, key: &[u8], hashed: bool) -> io::Result<Verdict> {
    let line = line(name, key, hashed)?;
    if let Some(parent) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    let mut open = OpenOptions::new();
    let mut opened = open.read(true).append(true).create(true).mode(0o600).open(file)?;
    opened.lock()?;
    let mut bytes = Vec::new();
    opened.read_to_end(&mut bytes)?;
    let mut known = KnownHosts::default();
    known.add(file, &String::from_utf8_lossy(&bytes));
    let verdict = known.check(name, key);
    if verdict != Verdict::Unknown {
        return Ok(verdict);
    }
    write(&mut opened, &bytes, &line)?;
    Ok(Verdict::Known)
}

/// In one write, so that a reader never sees half a line.
fn write(file: &mut File, before: &[u8], line: &str) -> io::Result<()> {
    let unfinished = before.last().is_some_and(|last| *last != b'\n');
    let separator = if unfinished { "\n" } else { "" };
    file.write_all(format!("{separator}{line}\n").as_bytes())
}

/// The line that says that a server has this key, without its end.
///
/// # Errors
///
/// The name would mean something else in a file, the key has no type, or the system has no random bytes.
pub fn line(name: &Name, key: &[u8], hashed: bool) -> io::Result<String> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidInput, what);
    let name = name.full();
    // In a file they would mean something else.
    let special = |c: char| c.is_whitespace() || c.is_control() || "*?!,|#@".contains(c);
    if name.is_empty() || name.contains(special) {
        return Err(invalid(format!("{name:?} cannot be written in a known_hosts file")));
    }
    let is_word = |it: &&str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_graphic());
    let key_type = type_of(key).filter(is_word);
    let key_type = key_type.ok_or_else(|| invalid("the key has no type".to_owned()))?;
    let host = if hashed {
        let mut salt = [0; HASH];
        getrandom::fill(&mut salt).map_err(io::Error::other)?;
        hashed_field(&salt, name)
    } else {
        name.to_owned()
    };
    Ok(format!("{host} {key_type} {}", BASE64.encode(key)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;
    use crate::ssh::known_hosts::load;

    const ED: &[u8] = b"\0\0\0\x0bssh-ed25519one";
    const OTHER: &[u8] = b"\0\0\0\x0bssh-ed25519two";

    fn web1() -> Name {
        Name::new("web1", 2222)
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    fn check(file: &Path, name: &Name, key: &[u8]) -> Verdict {
        load(&[file.to_owned()]).unwrap().check(name, key)
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("new").join("known_hosts");
        (dir, file)
    }

    #[test]
    fn makes_the_file_for_its_owner_alone() {
        let (_dir, file) = place();
        assert_eq!(record(&file, &web1(), ED, false).unwrap(), Verdict::Known);
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("[web1]:2222 ssh-ed25519 ") && text.ends_with('\n'), "{text}");
        assert_eq!(check(&file, &web1(), ED), Verdict::Known);
    }

    #[test]
    fn hashes_names() {
        let (_dir, file) = place();
        record(&file, &web1(), ED, true).unwrap();
        record(&file, &Name::new("web2", 22), ED, true).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.lines().all(|line| line.starts_with("|1|")) && !text.contains("web"),
            "{text}"
        );
        assert_eq!(check(&file, &web1(), ED), Verdict::Known);
    }

    #[test]
    fn goes_behind_a_line_without_its_end() {
        let (_dir, file) = place();
        std::fs::create_dir(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "# no newline").unwrap();
        record(&file, &web1(), ED, false).unwrap();
        assert_eq!(check(&file, &web1(), ED), Verdict::Known);
    }

    #[test]
    fn what_others_have_written_meanwhile_counts() {
        let (_dir, file) = place();
        record(&file, &web1(), ED, false).unwrap();
        assert_eq!(record(&file, &web1(), ED, false).unwrap(), Verdict::Known);
        assert!(matches!(record(&file, &web1(), OTHER, false).unwrap(), Verdict::Changed { .. }));
        assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 1);
    }

    #[test]
    fn many_at_once_write_one_line() {
        let (_dir, file) = place();
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| record(&file, &web1(), ED, true).unwrap());
            }
        });
        assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 1);
    }

    #[test]
    fn a_name_that_would_mean_something_else_is_refused() {
        let (_dir, file) = place();
        for name in ["", "*", "web1,web2", "web1 web2", "web1\nweb2", "|1|", "#web1"] {
            let error = record(&file, &Name::alias(name), ED, false).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
        assert!(!file.exists());
    }

    #[test]
    fn a_key_without_a_type_is_refused() {
        for key in [&b""[..], b"\0\0\0\0", b"\0\0\0\x03ssh", b"\0\0\0\x03a b", b"\0\0\0\x02a\n"] {
            let line = line(&web1(), key, false);
            assert_eq!(line.is_ok(), key.ends_with(b"ssh"), "{key:?}: {line:?}");
        }
    }
}
