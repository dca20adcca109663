//! What the options mean on this machine.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fmt};

/// Everything that a connection to one host needs to know: ssh_config(5), resolved.
///
/// The keywords of ssh_config(5) that are not here have no effect on a gateway, or make
/// [`needs_openssh`](Self::needs_openssh) say so.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The host as it was asked for: an alias, a name or an address.
    pub host: String,
    /// The name or address to connect to.
    pub hostname: String,
    /// The port; 22 by default.
    pub port: u16,
    /// The user to log in as; by default this program's.
    pub user: String,
    /// Which addresses of the host to try.
    pub address_family: AddressFamily,
    /// The local address to connect from.
    pub bind_address: Option<String>,
    /// How long reaching the host and shaking hands may take: [`CONNECT_TIMEOUT`](Self::CONNECT_TIMEOUT) by default.
    pub connect_timeout: Duration,
    /// After how long a silence the host is asked for a sign of life:
    /// [`KEEPALIVE_INTERVAL`](Self::KEEPALIVE_INTERVAL) by default.
    pub keepalive_interval: Duration,
    /// After how many questions without an answer the connection is given up; 3 by default.
    pub keepalive_count: u32,

    /// The hosts to go through, in order, each with the configuration of its own. Theirs are empty.
    pub jumps: Vec<Self>,
    /// The command that makes the connection in place of us.
    pub proxy_command: Option<String>,

    /// Files with private keys, in the order to try. Some may not exist.
    pub identity_files: Vec<PathBuf>,
    /// Files with certificates.
    pub certificate_files: Vec<PathBuf>,
    /// Of the agent's keys, use only those that `identity_files` names.
    pub identities_only: bool,
    /// The socket of the agent, if there is one to ask.
    pub identity_agent: Option<PathBuf>,
    /// The methods of authentication to try, in order, without those that are switched off.
    pub authentications: Vec<String>,
    /// Nobody is to be asked for passwords or passphrases.
    pub batch_mode: bool,
    /// How many times to ask for a password; 3 by default.
    pub password_prompts: u32,
    /// The algorithms of keys to log in with, by preference; empty leaves them to the implementation.
    pub public_key_algorithms: Vec<String>,

    /// The user's files of known hosts; the first is the one that new keys go to.
    pub user_known_hosts: Vec<PathBuf>,
    /// The system's files of known hosts.
    pub global_known_hosts: Vec<PathBuf>,
    /// What to do about a host that is not known.
    pub strict_host_key: StrictHostKey,
    /// The name to look up among known hosts in place of the host's own.
    pub host_key_alias: Option<String>,
    /// New known hosts are to be written hashed.
    pub hash_known_hosts: bool,
    /// The algorithms of host keys, by preference; empty leaves them to the implementation.
    pub host_key_algorithms: Vec<String>,

    /// Key exchange, by preference; empty leaves it to the implementation, as with the next two.
    pub kex_algorithms: Vec<String>,
    /// Ciphers, by preference.
    pub ciphers: Vec<String>,
    /// Message authentication codes, by preference.
    pub macs: Vec<String>,

    /// Environment variables to offer to the host (SendEnv, SetEnv), which takes those that it has been told to.
    pub env: Vec<(String, String)>,

    /// The socket of a master connection, whether it exists or not.
    pub control_path: Option<PathBuf>,
    /// Keywords whose value asks for something that only the `ssh` program does.
    pub openssh_keywords: Vec<String>,
}

impl Config {
    /// How long connecting may take when nothing is configured: 15 s.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
    /// The keepalive interval when nothing is configured: 30 s. Whoever speaks over the link may well notice a dead host
    /// earlier, and can say more of it.
    pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

    /// For this host, with the defaults of OpenSSH and nothing read from files, except where the fields say otherwise.
    pub fn new(host: impl Into<String>) -> Self {
        let host = host.into();
        let home = env::home_dir().unwrap_or_default();
        let ssh = |name: &str| home.join(".ssh").join(name);
        Self {
            hostname: host.clone(),
            host,
            port: 22,
            user: local_user(),
            address_family: AddressFamily::Any,
            bind_address: None,
            connect_timeout: Self::CONNECT_TIMEOUT,
            keepalive_interval: Self::KEEPALIVE_INTERVAL,
            keepalive_count: 3,
            jumps: Vec::new(),
            proxy_command: None,
            identity_files: ["id_rsa", "id_ecdsa", "id_ed25519"].map(ssh).into(),
            certificate_files: Vec::new(),
            identities_only: false,
            identity_agent: env::var_os("SSH_AUTH_SOCK").map(PathBuf::from),
            authentications: AUTHENTICATIONS.map(str::to_owned).into(),
            batch_mode: false,
            password_prompts: 3,
            public_key_algorithms: Vec::new(),
            user_known_hosts: ["known_hosts", "known_hosts2"].map(ssh).into(),
            global_known_hosts: ["ssh_known_hosts", "ssh_known_hosts2"]
                .map(|name| PathBuf::from("/etc/ssh").join(name))
                .into(),
            strict_host_key: StrictHostKey::Yes,
            host_key_alias: None,
            hash_known_hosts: false,
            host_key_algorithms: Vec::new(),
            kex_algorithms: Vec::new(),
            ciphers: Vec::new(),
            macs: Vec::new(),
            env: Vec::new(),
            control_path: None,
            openssh_keywords: Vec::new(),
        }
    }

    /// Why only the `ssh` program can make this connection, if that is so.
    ///
    /// Looks for files: a certificate beside an identity, a master connection's socket, known hosts.
    pub fn needs_openssh(&self) -> Option<NeedsOpenSsh> {
        use NeedsOpenSsh::*;

        if let Some(command) = &self.proxy_command {
            return Some(ProxyCommand(command.clone()));
        }
        if let Some(path) = self.control_path.as_ref().filter(|path| path.exists()) {
            return Some(ControlMaster(path.clone()));
        }
        if let Some(keyword) = self.openssh_keywords.first() {
            return Some(Keyword(keyword.clone()));
        }
        // As OpenSSH does: a certificate beside an identity is used without being asked for.
        let beside = self.identity_files.iter().map(|path| with_suffix(path, "-cert.pub"));
        let mut certificates = self.certificate_files.iter().cloned().chain(beside);
        if let Some(path) = certificates.find(|path| path.exists()) {
            return Some(Certificate(path));
        }
        let present = || self.identity_files.iter().filter(|path| path.exists());
        // One of several: the others may do, and with an agent there may be no file at all.
        if self.identity_agent.is_none()
            && present().all(|path| is_security_key(path))
            && let Some(path) = present().next()
        {
            return Some(SecurityKey(path.clone()));
        }
        #[cfg(feature = "ssh-native")]
        if let Some(line) = super::native::wants_certificate(self) {
            return Some(HostCertificate(line));
        }
        self.jumps.iter().find_map(Self::needs_openssh)
    }
}

/// The methods of authentication there are, in the order of OpenSSH.
pub(super) const AUTHENTICATIONS: [&str; 3] = ["publickey", "keyboard-interactive", "password"];

/// Which addresses of a host to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressFamily {
    /// All, in the order of the resolver.
    Any,
    /// IPv4 alone.
    Inet,
    /// IPv6 alone.
    Inet6,
}

/// What to do about a host that is not known. One whose key has changed is always refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StrictHostKey {
    /// Refuse it. So is `ask`, since there may be nobody to ask.
    Yes,
    /// Add its key to the user's known hosts. So are `no` and `off`, which would accept a changed key too.
    AcceptNew,
}

/// Why a connection is made by the `ssh` program. Prints as a reason: `ProxyCommand is set`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NeedsOpenSsh {
    /// A command makes the connection.
    ProxyCommand(String),
    /// A master connection is up, and is to be shared.
    ControlMaster(PathBuf),
    /// There is a certificate to log in with.
    Certificate(PathBuf),
    /// The only identity is a hardware key.
    SecurityKey(PathBuf),
    /// Another keyword of ssh_config(5).
    Keyword(String),
    /// A line of a file of known hosts says that the host shows a certificate, and no key of its own is known.
    HostCertificate(String),
}

impl fmt::Display for NeedsOpenSsh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProxyCommand(_) => f.write_str("ProxyCommand is set"),
            Self::ControlMaster(path) => {
                write!(f, "a master connection is up at {}", path.display())
            }
            Self::Certificate(path) => write!(f, "{} is a certificate", path.display()),
            Self::SecurityKey(path) => write!(f, "{} is a hardware key", path.display()),
            Self::HostCertificate(line) => write!(f, "{line} wants a host certificate"),
            Self::Keyword(keyword) => write!(f, "{keyword} is set"),
        }
    }
}

/// Whoever runs this program: by number, as OpenSSH has it, since the environment may be that of somebody else.
pub(super) fn local_user() -> String {
    let number = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then(|| name.to_owned())
    });
    // Some are in no file: in a directory service, say.
    let told = || ["USER", "LOGNAME"].into_iter().find_map(|name| env::var(name).ok());
    named.or_else(told).unwrap_or_else(|| "root".to_owned())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// What the public half says, which OpenSSH writes beside the private one.
fn is_security_key(path: &Path) -> bool {
    let public = std::fs::read_to_string(with_suffix(path, ".pub"));
    public.is_ok_and(|text| text.starts_with("sk-"))
}
