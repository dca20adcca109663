//! A real OpenSSH server for one test.

mod setup;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tempfile::TempDir;

use crate::process::kill_tree;
use crate::skip;

pub use setup::{HostKey, SshdBuilder};

/// An OpenSSH server on a free port, with host keys, a client's key and a folder of its own.
///
/// It lets this user in, by [`client_key`](Self::client_key) alone, to a home of its own: `home` in [`dir`](Self::dir). Dropping it ends it with all that it has started; when the
/// test is failing, its log is printed first.
#[derive(Debug)]
pub struct Sshd {
    dir: TempDir,
    address: IpAddr,
    port: u16,
    netns: Option<String>,
    server: Child,
    log: Arc<Mutex<String>>,
}

impl Sshd {
    /// A server with one ed25519 key; `None` where there is no OpenSSH server, having said so.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::builder().start()
    }

    /// A server to be set up in some other way.
    #[must_use]
    pub fn builder() -> SshdBuilder {
        SshdBuilder::default()
    }

    /// Its address, one of this machine's own.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The user that it lets in.
    #[must_use]
    pub fn user(&self) -> String {
        user()
    }

    /// Its folder, for whatever else a test needs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The private key that it accepts, without a passphrase.
    #[must_use]
    pub fn client_key(&self) -> PathBuf {
        self.dir().join("client")
    }

    /// The file of known hosts that holds its keys.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.dir().join("known_hosts")
    }

    /// The public half of one of its keys, as a known-hosts line has it: `ssh-ed25519 AAAA…`.
    ///
    /// # Panics
    /// It has no such key.
    #[must_use]
    pub fn host_key(&self, kind: HostKey) -> String {
        let path = self.dir().join(format!("host_{}.pub", kind.name()));
        let text = fs::read_to_string(path).expect("a host key");
        text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    /// The entry for `name` in a client's configuration that leads here and trusts nobody else.
    #[must_use]
    pub fn client_entry(&self, name: &str) -> String {
        format!(
            "Host {name}\n  HostName {}\n  Port {}\n  User {}\n  IdentityFile {}\n  IdentitiesOnly yes\n  \
             IdentityAgent none\n  UserKnownHostsFile {}\n  GlobalKnownHostsFile none\n",
            self.address,
            self.port,
            self.user(),
            self.client_key().display(),
            self.known_hosts().display(),
        )
    }

    /// A client's configuration, for `-F`, in which `name` leads here.
    ///
    /// # Panics
    /// The file cannot be written.
    #[must_use]
    pub fn client_config(&self, name: &str) -> PathBuf {
        let path = self.dir().join("client_config");
        fs::write(&path, self.client_entry(name)).expect("a writable folder");
        path
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives it another host key of this kind, as a host that was set up anew has; for connections made from now on.
    ///
    /// # Panics
    /// The key cannot be made, or the server does not come back.
    pub fn change_host_key(&mut self, kind: HostKey) {
        setup::make_key(&self.dir().join(format!("host_{}", kind.name())), kind);
        self.stop();
        (self.server, self.log) = launch(&self.dir, self.netns.as_deref()).expect("sshd again");
    }

    /// Ends it, with all connections. Nobody listens at its address from then on.
    pub fn stop(&mut self) {
        kill_tree(self.server.id());
        // Reaps it: an error means that it is gone already.
        let _ = self.server.wait();
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
        if thread::panicking() {
            eprintln!("the log of sshd on {} port {}:\n{}", self.address, self.port, self.log());
        }
    }
}

/// Runs the server of a folder that is ready, and waits until it listens.
fn launch(dir: &TempDir, netns: Option<&str>) -> Result<(Child, Arc<Mutex<String>>), String> {
    let program = setup::program().ok_or("no sshd")?;
    // By its full path: sshd runs itself again for each connection.
    let mut command = match netns {
        Some(name) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", name]).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.args(["-D", "-e", "-f"]).arg(dir.path().join("sshd_config"));
    // A group of its own: Ctrl-C at the terminal is for the test, which then ends it.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut server = command.spawn().map_err(|error| error.to_string())?;
    let stderr = server.stderr.take().ok_or("no stderr")?;
    let log = Arc::new(Mutex::new(String::new()));
    match listening(stderr, &log) {
        true => Ok((server, log)),
        false => {
            let status = server.wait().map_err(|error| error.to_string())?;
            let log = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Err(format!("sshd: {status}: {log}"))
        }
    }
}

/// Reads the log until the server listens, and then goes on in a thread of its own.
fn listening(stderr: ChildStderr, log: &Arc<Mutex<String>>) -> bool {
    let mut lines = BufReader::new(stderr).lines();
    let append = |log: &Mutex<String>, line: &str| {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push_str(line);
        log.push('\n');
    };
    while let Some(Ok(line)) = lines.next() {
        append(log, &line);
        if line.contains("Server listening on") {
            let log = log.clone();
            thread::spawn(move || {
                lines.map_while(Result::ok).for_each(|line| append(&log, &line));
            });
            return true;
        }
    }
    false
}

/// Who runs this test.
fn user() -> String {
    let output = Command::new("id").arg("-un").output().expect("id");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// An address that no other test on this machine uses, where the system has more than one for itself.
fn own_address() -> IpAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    if !cfg!(target_os = "linux") {
        return Ipv4Addr::LOCALHOST.into();
    }
    let pid = std::process::id();
    // 127.64.0.0/10: 14 bits of the process, 8 of the server.
    let host = (pid & 0x3fff) << 8 | u32::from(n & 0xff);
    Ipv4Addr::from(0x7f40_0000 | host).into()
}

/// A port that nobody has at this address.
fn free_port(address: IpAddr) -> u16 {
    let listener = TcpListener::bind((address, 0)).expect("an address of this machine");
    listener.local_addr().expect("a port").port()
}
