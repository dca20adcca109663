//! How far the `ssh` program came, told by its messages, and what stopped it.

use std::path::PathBuf;
use std::time::Duration;

use crate::Stage;
use crate::ssh::{Config, SshError};

/// The messages that are kept: the last ones say why it ended.
const KEPT: usize = 50;

/// What the messages have told so far.
#[derive(Debug)]
pub(super) struct Progress {
    stage: Stage,
    up: bool,
    /// The key that the host showed: type and fingerprint.
    host_key: Option<(String, String)>,
    methods: Vec<String>,
    offered: Vec<String>,
    /// The key that the host would take, and that was not signed with so far.
    accepted: Option<String>,
    /// The first words of whoever listens, where they are not those of an ssh server.
    greeting: Option<String>,
    messages: Vec<String>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            stage: Stage::Resolve,
            up: false,
            host_key: None,
            methods: Vec::new(),
            offered: Vec::new(),
            accepted: None,
            greeting: None,
            messages: Vec::new(),
        }
    }
}

impl Progress {
    /// Whether the far side has been asked to run the command.
    pub(super) fn is_up(&self) -> bool {
        self.up
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    /// Takes a line, and gives back what people should see of it: neither reports of steps, nor figures.
    pub(super) fn take(&mut self, line: &str) -> Option<String> {
        if line.ends_with("with partial success.") {
            self.accepted = None;
        }
        if let Some(step) = line.strip_prefix("debug1: ") {
            self.step(step);
            // Nothing else tells: the program's own exit status is 255, as when the connection is lost.
            let signal = step.contains("rtype exit-signal");
            return signal.then(|| "ssh: the remote command was ended by a signal".to_owned());
        }
        let figures = ["Transferred: ", "Bytes per second: "];
        if line.is_empty()
            || line.starts_with("debug")
            || figures.iter().any(|start| line.starts_with(start))
        {
            return None;
        }
        if line.starts_with("Authenticated to ") {
            self.stage = Stage::Bootstrap;
            return None;
        }
        self.message(line);
        Some(line.to_owned())
    }

    fn message(&mut self, line: &str) {
        if self.messages.len() == KEPT {
            self.messages.remove(0);
        }
        self.messages.push(line.to_owned());
    }

    fn step(&mut self, step: &str) {
        let after = |start: &str| step.strip_prefix(start);
        if step.starts_with("Connecting to ") || step.starts_with("Executing proxy command") {
            self.stage = Stage::Connect;
        } else if step.starts_with("Local version string") {
            self.stage = Stage::Handshake;
        } else if step.starts_with("SSH2_MSG_SERVICE_ACCEPT") {
            self.stage = Stage::Authenticate;
        } else if step.starts_with("Sending command") || step.contains("master session id") {
            self.up = true;
        } else if let Some(key) = after("Server host key: ") {
            let key = key.split_once(' ');
            self.host_key = key.map(|(kind, print)| (kind.to_owned(), print.to_owned()));
        } else if let Some(methods) = after("Authentications that can continue: ") {
            self.methods = methods.split(',').map(str::to_owned).collect();
        } else if let Some(key) = after("Offering public key: ") {
            let (name, print) = key_and_print(key);
            self.offered.push(format!("{name} (SHA256:{print})"));
        } else if let Some(key) = after("Server accepts key: ") {
            self.accepted = Some(key_and_print(key).0.to_owned());
        } else if let Some((_, words)) = step.split_once("banner line 0: ") {
            self.greeting = Some(words.to_owned());
        }
    }

    /// Why the program ended before the connection was up. `stderr` has what others said: a command or a program that
    /// was to make the connection.
    pub(super) fn failure(&self, config: &Config, stderr: &[String]) -> SshError {
        let found = self.messages.iter().rev().find_map(|line| self.known(line, config));
        if let Some(error) = found {
            return error;
        }
        let hung_up = self.messages.iter().any(|line| {
            line.starts_with("kex_exchange_identification: ")
                || line.starts_with("ssh_exchange_identification: ")
        });
        let last = |lines: &[String]| lines.last().cloned();
        let said = || last(stderr).or_else(|| last(&self.messages)).unwrap_or_default();
        if let Some(command) = config.proxy_command.clone().filter(|_| hung_up) {
            let detail = if stderr.is_empty() {
                "it ended without a word".to_owned()
            } else {
                stderr.join("; ")
            };
            return SshError::Proxy { command, detail };
        }
        if let Some(hop) = config.jumps.last().filter(|_| hung_up) {
            // The program for the hop has no messages apart from its standard error.
            let mut there = Self { messages: stderr.to_vec(), ..Self::default() };
            there.stage = Stage::Connect;
            let error = there.failure(hop, &[]);
            return SshError::Jump { hop: hop.host.clone(), error: Box::new(error) };
        }
        if hung_up {
            let detail = match &self.greeting {
                Some(words) => format!("it says {words:?}"),
                None => "it hung up at once; it may be overloaded (MaxStartups in its sshd_config)"
                    .to_owned(),
            };
            let (hostname, port) = (config.hostname.clone(), config.port);
            return SshError::NotSsh { hostname, port, detail };
        }
        if self.stage == Stage::Resolve {
            return SshError::Config { detail: said() };
        }
        SshError::Lost { stage: self.stage, detail: said() }
    }

    /// What one message means, if it is one of those that end a connection.
    fn known(&self, line: &str, config: &Config) -> Option<SshError> {
        let hostname = config.hostname.clone();
        if let Some(rest) = after(line, "Could not resolve hostname ") {
            let name = rest.split_once(": ").map_or(rest, |(name, _)| name);
            return Some(SshError::Resolve { hostname: name.to_owned() });
        }
        if let Some(rest) = after(line, "connect to host ") {
            let (place, why) = rest.split_once(": ")?;
            let (hostname, port) = place.split_once(" port ")?;
            return Some(unreachable(hostname, port.parse().ok()?, why, config.connect_timeout));
        }
        if line.contains("timed out during banner exchange") {
            return Some(SshError::TimedOut {
                hostname,
                port: config.port,
                stage: Stage::Handshake,
                after: config.connect_timeout,
            });
        }
        if let Some(rest) = after(line, "Unable to negotiate with ") {
            let (_, rest) = rest.split_once(": no matching ")?;
            let (kind, offered) = rest.split_once(" found")?;
            let offered = offered.split_once("offer: ").map_or("", |(_, offered)| offered);
            let offered = offered.split(',').map(str::to_owned).collect();
            return Some(SshError::NoCommon { hostname, kind: kind.to_owned(), offered });
        }
        if line.starts_with("Host key verification failed") {
            return Some(self.host_key(config));
        }
        let denied = line.contains(": Permission denied (");
        if denied || line.contains("Too many authentication failures") {
            let user = config.user.clone();
            let methods = line.rsplit_once('(').filter(|_| denied);
            let methods = methods.map(|(_, methods)| methods.trim_end_matches(['.', ')']));
            let methods = match methods {
                Some(methods) => methods.split(',').map(str::to_owned).collect(),
                None => self.methods.clone(),
            };
            return Some(SshError::Denied {
                user,
                hostname,
                methods,
                keys: self.offered.clone(),
                notes: self.accepted.iter().map(|key| not_signed(key)).collect(),
            });
        }
        if let Some((_, why)) = line.split_once(": open failed: ") {
            return Some(SshError::ChannelRefused { hostname, detail: why.to_owned() });
        }
        None
    }

    fn host_key(&self, config: &Config) -> SshError {
        let said = |words: &str| self.messages.iter().any(|line| line.contains(words));
        let name = match &config.host_key_alias {
            Some(alias) => alias.clone(),
            None if config.port == 22 => config.hostname.clone(),
            None => format!("[{}]:{}", config.hostname, config.port),
        };
        let (key_type, fingerprint) = self.host_key.clone().unwrap_or_default();
        if said("REVOKED HOST KEY") {
            let (file, line) = revoking_line(config, &fingerprint).unzip();
            return SshError::HostKeyRevoked { name, key_type, fingerprint, file, line };
        }
        if said("IDENTIFICATION HAS CHANGED") {
            let (file, line) = self.offending().unzip();
            return SshError::HostKeyChanged { name, key_type, fingerprint, file, line };
        }
        SshError::HostKeyUnknown { name, key_type, fingerprint }
    }

    /// `Offending ED25519 key in FILE:LINE`.
    fn offending(&self) -> Option<(PathBuf, usize)> {
        let place = self.messages.iter().find_map(|line| {
            line.strip_prefix("Offending ").and_then(|rest| rest.split_once(" key in "))
        });
        let (file, line) = place?.1.rsplit_once(':')?;
        Some((file.into(), line.parse().ok()?))
    }
}

#[cfg(feature = "ssh-native")]
use crate::ssh::native::revoking_line;

/// Files of known hosts are read by the other implementation alone.
#[cfg(not(feature = "ssh-native"))]
fn revoking_line(_: &Config, _: &str) -> Option<(PathBuf, usize)> {
    None
}

/// `PATH TYPE FINGERPRINT [explicit] [agent]`, where the path may have blanks: the path, and the fingerprint without
/// `SHA256:`.
fn key_and_print(key: &str) -> (&str, &str) {
    let (name, rest) = key.split_once(" SHA256:").unwrap_or((key, ""));
    let name = name.rsplit_once(' ').map_or(name, |(path, _)| path);
    (name, rest.split(' ').next().unwrap_or_default())
}

/// A host that takes a key and then lets nobody in has not seen it signed, or wants more than a key.
fn not_signed(key: &str) -> String {
    format!(
        "{key}: the host takes it; if it has a passphrase, load it into ssh-agent, for the ssh program asks nobody here"
    )
}

fn after<'a>(line: &'a str, words: &str) -> Option<&'a str> {
    line.split_once(words).map(|(_, rest)| rest)
}

fn unreachable(hostname: &str, port: u16, why: &str, limit: Duration) -> SshError {
    let hostname = hostname.to_owned();
    match why.trim() {
        "Connection refused" => SshError::Refused { hostname, port },
        why if why.contains("timed out") => {
            SshError::TimedOut { hostname, port, stage: Stage::Connect, after: limit }
        }
        why => SshError::Unreachable { hostname, port, detail: why.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(config: &Config, log: &str, stderr: &str) -> SshError {
        let mut progress = Progress::default();
        for line in log.lines() {
            progress.take(line);
        }
        let stderr: Vec<String> = stderr.lines().map(str::to_owned).collect();
        progress.failure(config, &stderr)
    }

    fn config() -> Config {
        let mut config = Config::new("web1");
        config.user = "me".to_owned();
        config
    }

    #[test]
    fn reports_of_steps_are_not_for_people() {
        let mut progress = Progress::default();
        for (line, for_people) in [
            ("debug1: Connecting to web1 [10.0.0.1] port 22.", false),
            ("debug2: channel 0: window 999360", false),
            ("Warning: Permanently added 'web1' (ED25519) to the list of known hosts.", true),
            ("Authenticated to web1 ([10.0.0.1]:22) using \"publickey\".", false),
            ("Transferred: sent 3496, received 3340 bytes, in 1.5 seconds", false),
            ("Timeout, server web1 not responding.", true),
        ] {
            assert_eq!(progress.take(line).is_some(), for_people, "{line}");
        }
        assert_eq!(progress.stage(), Stage::Bootstrap);
        assert!(!progress.is_up());
        progress.take("debug1: Sending command: true");
        assert!(progress.is_up());
    }

    #[test]
    fn a_path_may_have_blanks() {
        let mut progress = Progress::default();
        progress.take("debug1: Offering public key: /a b/key ED25519 SHA256:AAAA explicit");
        assert_eq!(progress.offered, ["/a b/key (SHA256:AAAA)"]);
    }

    #[test]
    fn a_hop_is_named() {
        let mut config = config();
        config.jumps.push(Config::new("bastion"));
        let log = "debug1: Executing proxy command: exec ssh -W '[web1]:22' bastion\n\
                   kex_exchange_identification: Connection closed by remote host";
        let said = "ssh: connect to host bastion port 22: Connection refused";
        let refused = SshError::Refused { hostname: "bastion".to_owned(), port: 22 };
        let expected = SshError::Jump { hop: "bastion".to_owned(), error: Box::new(refused) };
        assert_eq!(failure(&config, log, said), expected);
        config.jumps.clear();
        config.proxy_command = Some("nc web1 22".to_owned());
        let expected =
            SshError::Proxy { command: "nc web1 22".to_owned(), detail: "nc: no route".to_owned() };
        assert_eq!(failure(&config, log, "nc: no route"), expected);
    }

    #[test]
    fn what_nobody_knows_is_passed_on() {
        let log = "debug1: SSH2_MSG_SERVICE_ACCEPT received\nsomething new";
        let expected =
            SshError::Lost { stage: Stage::Authenticate, detail: "something new".to_owned() };
        assert_eq!(failure(&config(), log, ""), expected);
        let bad = "command-line: line 0: Bad configuration option: foo";
        assert_eq!(failure(&config(), "", bad), SshError::Config { detail: bad.to_owned() });
    }
}
