//! A command on another host, by the `ssh` program.

mod log;
mod progress;

use std::fmt;
use std::time::Duration;

use tokio::time::timeout;

use self::log::{Errors, Fifo};
use super::{Config, Options, SshError, StrictHostKey};
use crate::pair;
use crate::{
    Bootstrap, BoxFuture, ConnectError, Ending, FarEnd, Guard, Link, Popen, Stderr, Transport,
};

/// A far end that is a command on another host, reached by the `ssh` program.
///
/// ```no_run
/// use execnet_transport::Transport;
/// use execnet_transport::ssh::{Config, OpenSsh, Options};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let options = Options::new("web1")?;
/// let config = Config::resolve(&options).await?;
/// let link = OpenSsh::new(options, config, "exec python3 -u -c …").connect().await?;
/// # Ok(())
/// # }
/// ```
///
/// It can do everything that the program can: proxy commands, certificates, hardware keys, Kerberos, a master connection
/// that is up. It takes several times as long to connect as the native implementation.
///
/// # What is different from `ssh host command`
///
/// Nobody is asked for anything (`BatchMode`): who needs a password or a passphrase uses an agent. A key that has changed
/// is refused also with `StrictHostKeyChecking no`. There is no terminal, no forwarding of ports, no local command, and the
/// program does not become a master connection for others, since it ends with its gateway. Without a `ServerAliveInterval`
/// of the user's, one is set, so that a dead host is noticed.
///
/// # Connecting
///
/// [`connect`](Transport::connect) returns when the host has let us in and has been asked to run the command; whether that
/// command is there is seen on the link. It takes at most the configuration's
/// [`connect_timeout`](Config::connect_timeout) to reach each host, and [`LOGIN_TIMEOUT`](Self::LOGIN_TIMEOUT) more to log in.
///
/// # Its end
///
/// The program on this machine is killed with the [`Guard`]; the far side then sees the end of its link. A command that does
/// not end at end-of-file stays there. The exit status is the command's, or 255 if the connection was lost or a signal
/// ended the command; which of them it was is told at the end of standard error.
#[must_use = "a transport does nothing before `connect`"]
#[derive(Clone)]
pub struct OpenSsh {
    options: Options,
    config: Config,
    command: String,
    label: String,
    bootstrap: Bootstrap,
}

impl OpenSsh {
    /// How long logging in may take once the host is reached: 60 s.
    pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(60);

    /// For this command, which the user's shell there runs. `config` is what `options` resolve to.
    pub fn new(options: Options, config: Config, command: impl Into<String>) -> Self {
        let label = format!("ssh {options}");
        let bootstrap = Bootstrap::Python;
        Self { options, config, command: command.into(), label, bootstrap }
    }

    /// Sets what messages call this far end; by default `ssh` and the host as it was asked for.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Sets what the far end wants before it speaks the protocol; by default it is an interpreter.
    pub fn bootstrap(mut self, bootstrap: Bootstrap) -> Self {
        self.bootstrap = bootstrap;
        self
    }

    fn program(&self, fifo: &Fifo) -> Popen {
        let mut argv = vec!["ssh".to_owned(), "-T".to_owned()];
        argv.extend(["-E".to_owned(), fifo.path().to_string_lossy().into_owned()]);
        // What is given first counts.
        for setting in self.settings() {
            argv.extend(["-o".to_owned(), setting]);
        }
        argv.extend(self.options.arguments());
        argv.extend(["--".to_owned(), self.options.host.clone(), self.command.clone()]);
        // The programs for the hops know nothing of BatchMode: let them ask a program that never answers.
        Popen::new(argv)
            .label(&self.label)
            .env("SSH_ASKPASS", "false")
            .env("SSH_ASKPASS_REQUIRE", "force")
    }

    fn settings(&self) -> Vec<String> {
        let Config { connect_timeout, keepalive_interval, keepalive_count, .. } = &self.config;
        let strict = match self.config.strict_host_key {
            StrictHostKey::Yes => "yes",
            StrictHostKey::AcceptNew => "accept-new",
        };
        let seconds = |time: &Duration| time.as_secs().max(1);
        let mut settings: Vec<String> = [
            "LogLevel=DEBUG1",
            "BatchMode=yes",
            "ControlMaster=no",
            "ClearAllForwardings=yes",
            "PermitLocalCommand=no",
            "RemoteCommand=none",
            "Compression=no",
        ]
        .map(str::to_owned)
        .into();
        settings.push(format!("StrictHostKeyChecking={strict}"));
        settings.push(format!("ConnectTimeout={}", seconds(connect_timeout)));
        settings.push(format!("ServerAliveInterval={}", seconds(keepalive_interval)));
        settings.push(format!("ServerAliveCountMax={keepalive_count}"));
        settings
    }

    /// The limit of the whole: each host on the way may take its time.
    fn limit(&self) -> Duration {
        let hosts = self.config.jumps.iter().map(|hop| hop.connect_timeout);
        hosts.fold(self.config.connect_timeout, |sum, next| sum + next) + Self::LOGIN_TIMEOUT
    }

    async fn start(&self) -> Result<Link, ConnectError> {
        self.options.check_files()?;
        let system = |source| ConnectError::system("ssh", source);
        let fifo = Fifo::new().map_err(system)?;
        let child = self.program(&fifo).spawn()?;
        let (reader, writer) = pair::split(child.stream).map_err(system)?;
        let verbose = self.options.flags.contains(&'v');
        let (errors, watched) = Errors::new(child.stderr, fifo, verbose);
        let stderr = Stderr::new(errors);
        let limit = self.limit();
        tokio::select! {
            biased;
            () = watched.up() => {}
            error = self.failed(&child.guard, &stderr, &watched) => return Err(error),
            () = tokio::time::sleep(limit) => {
                let stage = watched.lock().stage();
                let Config { hostname, port, .. } = &self.config;
                let (hostname, port) = (hostname.clone(), *port);
                return Err(SshError::TimedOut { hostname, port, stage, after: limit }.into());
            }
        }
        let guard = Guard::new(Program(child.guard));
        Ok(Link::new(reader, writer, guard).with_stderr(stderr).with_bootstrap(self.bootstrap))
    }

    /// Resolves when the program has ended, with the reason.
    async fn failed(&self, guard: &Guard, stderr: &Stderr, watched: &log::Watched) -> ConnectError {
        let ending = guard.wait().await;
        // What it said is there; others that hold its standard error may live on.
        let _ = timeout(Duration::from_secs(2), stderr.closed()).await;
        let said = stderr.tail_lines(20);
        let progress = watched.lock();
        let source = format!("ssh: {ending}");
        progress.failure(&self.config, &said).because(Some(source.into()))
    }
}

impl Transport for OpenSsh {
    fn address(&self) -> String {
        self.label.clone()
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        Box::pin(self.start())
    }
}

/// The program on this machine. It cannot be asked to interrupt what runs there: a signal would end the program.
struct Program(Guard);

impl FarEnd for Program {
    fn address(&self) -> &str {
        self.0.address()
    }

    fn pid(&self) -> Option<u32> {
        self.0.pid()
    }

    fn wait(&self) -> BoxFuture<'_, Ending> {
        Box::pin(self.0.wait())
    }

    fn kill(&self) {
        self.0.kill();
    }
}

impl fmt::Debug for OpenSsh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSsh")
            .field("options", &self.options)
            .field("command", &self.command)
            .field("bootstrap", &self.bootstrap)
            .finish_non_exhaustive()
    }
}
