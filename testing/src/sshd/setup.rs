//! What an OpenSSH server needs before it starts.

use std::fmt::Write;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Sshd, free_port, launch, own_address, skip};

/// A kind of host key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostKey {
    /// `ssh-ed25519`.
    Ed25519,
    /// `ssh-rsa`, of 2048 bits.
    Rsa,
    /// `ecdsa-sha2-nistp256`.
    Ecdsa,
}

impl HostKey {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Rsa => "rsa",
            Self::Ecdsa => "ecdsa",
        }
    }
}

/// How a [`Sshd`] is to be set up.
#[derive(Debug, Default)]
pub struct SshdBuilder {
    host_keys: Vec<HostKey>,
    address: Option<IpAddr>,
    netns: Option<String>,
    settings: Vec<String>,
}

impl SshdBuilder {
    /// Adds a host key; one ed25519 key if none is added.
    #[must_use]
    pub fn host_key(mut self, kind: HostKey) -> Self {
        self.host_keys.push(kind);
        self
    }

    /// Sets the address to listen on; by default one of 127.64.0.0/10 that no other test uses.
    #[must_use]
    pub fn address(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Runs it in a network namespace, on port 22 of the address there.
    #[must_use]
    pub fn netns(mut self, name: &str) -> Self {
        self.netns = Some(name.to_owned());
        self
    }

    /// Adds a line of sshd_config(5), which comes before those that are always there, and so counts.
    #[must_use]
    pub fn setting(mut self, line: &str) -> Self {
        self.settings.push(line.to_owned());
        self
    }

    /// Starts it; `None` where there is no OpenSSH server, having said so.
    ///
    /// # Panics
    /// It is there, and does not start.
    #[must_use]
    pub fn start(self) -> Option<Sshd> {
        if program().is_none() || Command::new("ssh-keygen").arg("-?").output().is_err() {
            skip("no sshd or ssh-keygen: install openssh-server and openssh-client");
            return None;
        }
        let address = self.address.unwrap_or_else(own_address);
        let dir = tempfile::Builder::new().prefix("sshd-").tempdir().expect("a folder");
        // Its user may be another than the one who made it.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        // Whoever has a slow or talkative ~/.bashrc would have it in each session.
        fs::create_dir(dir.path().join("home")).expect("a folder");
        prepare_privilege_separation();
        make_key(&dir.path().join("client"), HostKey::Ed25519);
        fs::copy(dir.path().join("client.pub"), dir.path().join("authorized_keys")).expect("a key");
        let kinds =
            if self.host_keys.is_empty() { &[HostKey::Ed25519][..] } else { &self.host_keys };
        for kind in kinds {
            make_key(&dir.path().join(format!("host_{}", kind.name())), *kind);
        }
        // Another program may take the port in between.
        for _ in 0..10 {
            let port = if self.netns.is_some() { 22 } else { free_port(address) };
            self.write_config(dir.path(), address, port, kinds);
            write_known_hosts(dir.path(), address, port, kinds);
            match launch(&dir, self.netns.as_deref()) {
                Ok((server, log)) => {
                    let netns = self.netns;
                    return Some(Sshd { dir, address, port, netns, server, log });
                }
                Err(error) if error.contains("Address already in use") => {}
                Err(error) => panic!("{error}"),
            }
        }
        panic!("no free port on {address}");
    }

    fn write_config(&self, dir: &Path, address: IpAddr, port: u16, kinds: &[HostKey]) {
        let mut text = String::new();
        for line in &self.settings {
            text += &format!("{line}\n");
        }
        let dir_name = dir.display();
        for kind in kinds {
            let _ = writeln!(text, "HostKey {dir_name}/host_{}", kind.name());
        }
        let _ = write!(
            text,
            "ListenAddress {address}\nPort {port}\nPidFile none\nAuthorizedKeysFile {dir_name}/authorized_keys\n\
             PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n\
             StrictModes no\nSetEnv HOME={dir_name}/home\nMaxStartups 200:30:400\nLogLevel VERBOSE\nPrintMotd no\n"
        );
        fs::write(dir.join("sshd_config"), text).expect("a writable folder");
    }
}

/// Where the server is: not on everybody's PATH.
pub(super) fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs =
        std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    dirs.map(|dir| dir.join("sshd")).find(|path| path.is_file())
}

/// The folder that sshd wants when root starts it; its package leaves making it to the init system.
fn prepare_privilege_separation() {
    // For others it is not needed, and if it is missing sshd says so.
    let _ = fs::create_dir_all("/run/sshd");
}

pub(super) fn make_key(path: &Path, kind: HostKey) {
    // ssh-keygen would ask whether to replace it.
    let _ = fs::remove_file(path);
    let bits = if kind == HostKey::Rsa { &["-b", "2048"][..] } else { &[] };
    let output = Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-C", "test", "-t", kind.name()])
        .args(bits)
        .arg("-f")
        .arg(path)
        .output()
        .expect("ssh-keygen");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn write_known_hosts(dir: &Path, address: IpAddr, port: u16, kinds: &[HostKey]) {
    let name = if port == 22 { address.to_string() } else { format!("[{address}]:{port}") };
    let line = |kind: &HostKey| {
        let key = fs::read_to_string(dir.join(format!("host_{}.pub", kind.name()))).expect("a key");
        format!("{name} {key}")
    };
    fs::write(dir.join("known_hosts"), kinds.iter().map(line).collect::<String>()).expect("a file");
}
