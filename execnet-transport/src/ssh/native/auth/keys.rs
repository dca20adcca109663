//! Which keys there are to offer, and in which order.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use russh::keys::agent::AgentIdentity;
use russh::keys::agent::AgentSessionBinding;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Certificate, PrivateKey, PublicKey, decode_secret_key};
use tokio::net::UnixStream;

use crate::ssh::Config;
use crate::ssh::native::host_key::blocking;

/// The agent that holds keys for us.
pub(super) type Agent = AgentClient<UnixStream>;

/// A key to offer.
#[derive(Clone)]
pub(super) struct Candidate {
    /// Unknown where only the locked private half knows it.
    pub(super) public: Option<PublicKey>,
    pub(super) private: Private,
    /// What messages call it: its file, or the agent's comment.
    pub(super) shown: String,
}

/// Where the private half is.
#[derive(Clone)]
pub(super) enum Private {
    Agent,
    /// The agent has it, with a certificate to show in place of the key.
    Certified(Box<Certificate>),
    Open(Box<PrivateKey>),
    /// The text of a file that wants a passphrase.
    Locked {
        path: PathBuf,
        text: String,
    },
}

/// The keys that are still to be offered.
pub(super) struct Keys {
    candidates: VecDeque<Candidate>,
    pub(super) agent: Option<Agent>,
}

impl Keys {
    pub(super) fn next(&mut self) -> Option<Candidate> {
        self.candidates.pop_front()
    }
}

/// Asks the agent, and reads the files. What could not be had is noted.
pub(super) async fn find(
    config: &Config,
    binding: Option<&AgentSessionBinding>,
    notes: &mut Vec<String>,
) -> Keys {
    let paths = config.identity_files.clone();
    let read = blocking(move || read_files(&paths)).await;
    let (files, unreadable) = read.unwrap_or_default();
    notes.extend(unreadable);
    let mut agent = None;
    let mut held = Vec::new();
    if let Some(socket) = &config.identity_agent {
        match ask_agent(socket, binding).await {
            Ok((client, identities)) => (agent, held) = (Some(client), identities),
            Err(why) => notes.push(format!("agent at {}: {why}", socket.display())),
        }
    }
    Keys { candidates: in_order(files, held, config.identities_only), agent }
}

/// As OpenSSH does: first the agent's keys that a file names, then the agent's others, then those that only files hold.
fn in_order(
    files: Vec<File>,
    held: Vec<AgentIdentity>,
    identities_only: bool,
) -> VecDeque<Candidate> {
    // Certificates beside files are for the ssh program, so that a file names none.
    let names = |file: &File, identity: &AgentIdentity| match (&file.public, identity) {
        (Some(public), AgentIdentity::PublicKey { key, .. }) => public.key_data() == key.key_data(),
        _ => false,
    };
    let by_agent = |identity: &AgentIdentity, shown: String| Candidate {
        public: Some(identity.public_key().into_owned()),
        private: match identity {
            AgentIdentity::PublicKey { .. } => Private::Agent,
            AgentIdentity::Certificate { certificate, .. } => {
                Private::Certified(Box::new(certificate.clone()))
            }
        },
        shown,
    };
    let mut candidates = VecDeque::new();
    for file in &files {
        if let Some(identity) = held.iter().find(|identity| names(file, identity)) {
            candidates.push_back(by_agent(identity, file.path.display().to_string()));
        }
    }
    if !identities_only {
        for identity in &held {
            if !files.iter().any(|file| names(file, identity)) {
                let shown = match identity {
                    AgentIdentity::PublicKey { comment, .. } => format!("agent's {comment}"),
                    AgentIdentity::Certificate { comment, .. } => {
                        format!("agent's certificate {comment}")
                    }
                };
                candidates.push_back(by_agent(identity, shown));
            }
        }
    }
    for file in files {
        let is_held = held.iter().any(|identity| names(&file, identity));
        if let Some(private) = file.private.filter(|_| !is_held) {
            let shown = file.path.display().to_string();
            candidates.push_back(Candidate { public: file.public, private, shown });
        }
    }
    candidates
}

async fn ask_agent(
    socket: &Path,
    binding: Option<&AgentSessionBinding>,
) -> Result<(Agent, Vec<AgentIdentity>), String> {
    let stream = UnixStream::connect(socket).await.map_err(|error| error.to_string())?;
    let mut agent = Agent::connect(stream);
    if let Some(binding) = binding {
        // Older agents do not know it, and have no keys that want it.
        let _ = agent.bind_session(binding, false).await;
    }
    let identities = agent.request_identities().await.map_err(|error| error.to_string())?;
    Ok((agent, identities))
}

/// What an identity file and the `.pub` beside it hold.
struct File {
    path: PathBuf,
    public: Option<PublicKey>,
    private: Option<Private>,
}

fn read_files(paths: &[PathBuf]) -> (Vec<File>, Vec<String>) {
    let (mut files, mut notes) = (Vec::new(), Vec::new());
    for path in paths {
        match read_file(path) {
            Ok(Some(file)) => files.push(file),
            Ok(None) => {}
            Err(why) => notes.push(format!("{}: {why}", path.display())),
        }
    }
    (files, notes)
}

/// `None` if there is no such file: the usual ones need not exist.
fn read_file(path: &Path) -> Result<Option<File>, String> {
    let beside = read_public(&with_pub(path));
    let file = |public, private| Some(File { path: path.to_owned(), public, private });
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        // The agent may hold the other half.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(beside.and_then(|public| file(Some(public), None)));
        }
        Err(error) => return Err(error.to_string()),
    };
    if let Ok(public) = PublicKey::from_openssh(&text) {
        return Ok(file(Some(public), None));
    }
    check_mode(path)?;
    let locked = || Private::Locked { path: path.to_owned(), text: text.clone() };
    // This format tells the public half, locked or not.
    if let Ok(key) = PrivateKey::from_openssh(&text) {
        let public = Some(key.public_key().clone());
        let private = if key.is_encrypted() { locked() } else { Private::Open(Box::new(key)) };
        return Ok(file(public, Some(private)));
    }
    match decode_secret_key(&text, None) {
        Ok(key) => Ok(file(Some(key.public_key().clone()), Some(Private::Open(Box::new(key))))),
        Err(_) if text.contains("ENCRYPTED") => Ok(file(beside, Some(locked()))),
        Err(error) => Err(format!("it is no private key: {error}")),
    }
}

fn read_public(path: &Path) -> Option<PublicKey> {
    PublicKey::from_openssh(&std::fs::read_to_string(path).ok()?).ok()
}

fn with_pub(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

/// As OpenSSH does: a key of ours that others can read is not used.
fn check_mode(path: &Path) -> Result<(), String> {
    let metadata = path.metadata().map_err(|error: io::Error| error.to_string())?;
    let ours = metadata.uid() == rustix::process::getuid().as_raw();
    match ours && metadata.mode() & 0o077 != 0 {
        true => Err(format!(
            "others can read this private key (mode {:04o}); `chmod 600` it",
            metadata.mode() & 0o7777
        )),
        false => Ok(()),
    }
}
