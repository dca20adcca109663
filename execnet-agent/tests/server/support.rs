//! A server of a test's own, and its log.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use execnet::{Group, Output};
use execnet_testing::WATCHDOG;
use tempfile::TempDir;

/// A server that is killed when it is dropped.
pub(crate) struct Served {
    pub(crate) child: Child,
    /// Where it listens.
    pub(crate) addresses: Vec<String>,
    log: Receiver<String>,
    /// What `log` has given.
    pub(crate) seen: Vec<String>,
}

/// A folder with a token in it.
pub(crate) struct Secret {
    pub(crate) dir: TempDir,
    pub(crate) file: PathBuf,
}

pub(crate) fn secret() -> Secret {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("token");
    new_token(&file);
    Secret { dir, file }
}

pub(crate) fn new_token(file: &Path) {
    let made = agent().args(["token", "new"]).arg(file).output().expect("the agent runs");
    assert!(made.status.success(), "{made:?}");
}

impl Secret {
    /// A server on a free port that takes this token.
    pub(crate) fn serve(&self, more: &[&str]) -> Served {
        Served::start(&[&self.args(), more].concat())
    }

    /// What makes it one.
    pub(crate) fn args(&self) -> [&str; 4] {
        ["--listen", "127.0.0.1:0", "--token-file", self.file.to_str().expect("text")]
    }

    /// How a client reaches it.
    pub(crate) fn spec(&self, served: &Served) -> String {
        format!("socket={}//token_file={}", served.addresses[0], self.file.display())
    }
}

pub(crate) fn agent() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_execnet-agent"));
    command.env_remove("EXECNET_LOG");
    command
}

impl Served {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_with(args, |_| {})
    }

    pub(crate) fn start_with(args: &[&str], set: impl FnOnce(&mut Command)) -> Self {
        Self::run(agent(), args, set)
    }

    /// In a shell that has done this first.
    pub(crate) fn start_within(done: &str, args: &[&str]) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{done}; exec \"$@\""), "sh"]).arg(agent().get_program());
        Self::run(shell, args, |_| {})
    }

    fn run(mut command: Command, args: &[&str], set: impl FnOnce(&mut Command)) -> Self {
        command.args(["serve", "--ready-fd", "1"]).args(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        set(&mut command);
        let mut child = command.spawn().expect("the agent starts");
        let listening = args.iter().filter(|arg| **arg == "--listen").count();
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let addresses: Vec<String> =
            stdout.lines().take(listening).map(|line| line.expect("text")).collect();
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let (tell, log) = channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        let served = Self { child, addresses, log, seen: Vec::new() };
        if served.addresses.len() != listening {
            while let Ok(line) = served.log.recv_timeout(WATCHDOG) {
                eprintln!("{line}");
            }
            panic!("the server did not start");
        }
        served
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The workers that it has, with all that they have started. The shell beside them, which outlives a server that is killed, is none.
    pub(crate) fn workers(&self) -> Vec<u32> {
        let is_guardian = |pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.windows(16).any(|window| window == b"execnet-guardian")
        };
        let mut found = execnet_testing::descendants(self.pid());
        found.retain(|pid| !is_guardian(pid));
        found
    }

    pub(crate) fn port(&self) -> u16 {
        let address = &self.addresses[0];
        address.rsplit_once(':').expect("a port").1.parse().expect("a number")
    }

    /// Waits for the next line of the log that has all of these in it.
    pub(crate) fn logged(&mut self, parts: &[&str]) -> String {
        loop {
            let line = match self.log.recv_timeout(WATCHDOG) {
                Ok(line) => line,
                Err(_) => panic!("no line with {parts:?} in:\n{}", self.seen.join("\n")),
            };
            self.seen.push(line.clone());
            if parts.iter().all(|part| line.contains(part)) {
                return line;
            }
        }
    }

    /// All that there will be in the log, once the server has ended.
    pub(crate) fn rest_of_log(&mut self) -> String {
        while let Ok(line) = self.log.recv_timeout(WATCHDOG) {
            self.seen.push(line);
        }
        self.seen.join("\n")
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(sent.expect("kill").success());
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("a child")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client with the token works, all this time.
pub(crate) async fn works(secret: &Secret, served: &Served) {
    let group = group();
    let gateway = bounded(group.make_gateway(secret.spec(served).as_str())).await.unwrap();
    let mut channel = gateway.remote_exec("channel.send(1)").await.unwrap();
    assert_eq!(bounded(channel.receive::<i64>()).await.unwrap(), 1);
    bounded(gateway.exit(WATCHDOG)).await;
}

pub(crate) fn group() -> Group {
    Group::builder().output(Output::discard()).start_timeout(WATCHDOG).build()
}

/// What a test waits for has to come.
pub(crate) async fn bounded<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(WATCHDOG, what).await.expect("in time")
}
