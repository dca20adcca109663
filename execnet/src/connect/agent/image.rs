//! The agent's program as it is to arrive on another host.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

/// A program's file, known by its hash.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) path: PathBuf,
    /// SHA-256 in hexadecimal.
    pub(super) hash: String,
    pub(super) size: u64,
    /// The machine that runs it, as `uname -sm` names it; `None` for a file of unknown format.
    pub(super) machine: Option<&'static str>,
}

/// What was hashed before, as long as the file is the same.
type Known = HashMap<PathBuf, (SystemTime, Image)>;
static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

impl Image {
    /// Reads and hashes the file; once for many gateways.
    pub(super) async fn of(path: &Path) -> io::Result<Self> {
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || {
            // One at a time: those that wait find it here.
            let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
            let meta = path.metadata()?;
            let changed = meta.modified()?;
            if let Some((when, image)) = known.get(&path)
                && *when == changed
                && image.size == meta.len()
            {
                return Ok(image.clone());
            }
            let image = Self::read(&path)?;
            known.insert(path, (changed, image.clone()));
            Ok(image)
        })
        .await
        .map_err(io::Error::other)?
    }

    fn read(path: &Path) -> io::Result<Self> {
        let mut file = BufReader::with_capacity(64 << 10, File::open(path)?);
        let mut hash = Sha256::new();
        let mut head = Vec::new();
        file.by_ref().take(20).read_to_end(&mut head)?;
        hash.update(&head);
        let size = head.len() as u64 + io::copy(&mut file, &mut Hashing(&mut hash))?;
        let hash = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { path: path.to_owned(), hash, size, machine: machine(&head) })
    }
}

struct Hashing<'a>(&'a mut Sha256);

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What an ELF file's head says of the machine; where our own program is another format, it is for machines like this.
fn machine(head: &[u8]) -> Option<&'static str> {
    let (Some(b"\x7fELF"), Some(&class), Some(&order), Some(&[a, b])) =
        (head.get(..4), head.get(4), head.get(5), head.get(18..20))
    else {
        return own();
    };
    let machine = if order == 1 { u16::from_le_bytes([a, b]) } else { u16::from_be_bytes([a, b]) };
    // The numbers of the ELF standard; class 2 is 64 bits, order 1 little-endian.
    match (machine, class, order) {
        (62, 2, _) => Some("Linux x86_64"),
        (183, 2, 1) => Some("Linux aarch64"),
        (243, 2, _) => Some("Linux riscv64"),
        (21, 2, 1) => Some("Linux ppc64le"),
        (22, 2, _) => Some("Linux s390x"),
        (3, 1, _) => Some("Linux i686"),
        (40, 1, 1) => Some("Linux armv7l"),
        _ => None,
    }
}

fn own() -> Option<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("macos", "aarch64") => Some("Darwin arm64"),
        ("macos", "x86_64") => Some("Darwin x86_64"),
        ("freebsd", "x86_64") => Some("FreeBSD amd64"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_hashed_whole_and_again_when_it_changes() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent");
        std::fs::write(&path, "abc").unwrap();
        let image = runtime.block_on(Image::of(&path)).unwrap();
        // The example of FIPS 180.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((&*image.hash, image.size), (expected, 3));
        std::fs::write(&path, "abcd").unwrap();
        let image = runtime.block_on(Image::of(&path)).unwrap();
        assert_ne!(image.hash, expected);
        assert_eq!(image.size, 4);
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[test]
    fn this_program_is_for_this_machine() {
        let image = Image::read(&std::env::current_exe().unwrap()).unwrap();
        assert_eq!(image.machine, Some("Linux x86_64"));
    }

    #[test]
    fn other_machines_are_told_by_the_head() {
        let head = |machine: u8, class: u8| {
            let mut head = vec![0x7f, b'E', b'L', b'F', class, 1];
            head.resize(18, 0);
            head.extend([machine, 0]);
            head
        };
        assert_eq!(machine(&head(183, 2)), Some("Linux aarch64"));
        assert_eq!(machine(&head(40, 1)), Some("Linux armv7l"));
        assert_eq!(machine(&head(1, 1)), None);
    }
}
