//! The command line, read.

use std::path::PathBuf;
use std::time::Duration;

use execnet_agent::server::{Access, Config, Pki};
use execnet_transport::SocketAddress;

/// The far ends of execnet gateways.
#[derive(Debug, clap::Parser)]
#[command(name = "execnet-agent", version, disable_help_subcommand = true, after_help = STATUS)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const STATUS: &str = "\
Environment:
  EXECNET_LOG  what to log on stderr: a level (info, debug, trace), or TARGET=LEVEL,...

Exit status:
  0    done
  1    what was asked for failed
  64   the command line is wrong";

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Be a native far end on standard input and output
    Stdio,
    /// Listen at an address, and give each connection a worker of its own
    #[command(after_help = SERVE)]
    Serve(Box<ServeArgs>),
    /// Make the secret that a server and its clients share
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Print a server in Python alone, for hosts where no binary may be put; its first lines tell what it lacks
    Script,
    /// Ask a server that runs on this machine how it is: a line of JSON
    Status {
        /// Its control socket
        #[arg(long, value_name = "PATH")]
        control: PathBuf,
    },
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum TokenCommand {
    /// Write a new token to a file that only you may read
    New {
        /// The file, which must not exist
        file: PathBuf,
    },
}

const SERVE: &str = "\
Examples:
  execnet-agent token new ~/.execnet-token
  execnet-agent serve --listen 0.0.0.0:8888 --token-file ~/.execnet-token
  execnet exec -c 'import socket; channel.send(socket.gethostname())' \\
      socket=lab7:8888//token_file=execnet-token      (with a copy of that file)
  execnet-agent serve --listen unix:/run/user/1000/execnet.sock
  execnet-agent serve --listen 0.0.0.0:8888 --tls-cert lab7.pem --tls-key lab7.key \\
      --client-ca clients.pem --allow ann.example.org

Whoever is let in can run anything that this user can. SIGHUP reads tokens and certificates again, SIGTERM
drains, a second one ends at once.";

#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// Where to listen: HOST:PORT, [IPV6]:PORT or unix:PATH; may be given several times
    #[arg(long, value_name = "ADDR", required = true)]
    listen: Vec<SocketAddress>,
    /// Let the holders of this token in; may be given several times
    #[arg(long, value_name = "FILE")]
    token_file: Vec<PathBuf>,
    /// Our certificate
    #[arg(long, value_name = "FILE", requires_all = ["tls_key", "client_ca", "allow"])]
    tls_cert: Option<PathBuf>,
    /// Its private key
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The certificates of the clients' authority
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    client_ca: Option<PathBuf>,
    /// Let clients in with this DNS name or URI in their certificate; may be given several times
    #[arg(long, value_name = "NAME", requires = "tls_cert")]
    allow: Vec<String>,
    /// Let everybody in; on loopback addresses only
    #[arg(long)]
    insecure_no_auth: bool,
    /// Serve clients of py.execnet instead, whose protocol knows no authentication; on loopback addresses only
    #[arg(long)]
    stock_clients: bool,
    /// With --stock-clients: on other addresses too. Whoever reaches them can run anything here
    #[arg(long, requires = "stock_clients")]
    insecure_exposed: bool,
    /// The workers' interpreter, with its arguments, quoted as for a shell; a client may ask for another one
    #[arg(long, value_name = "COMMAND")]
    python: Option<String>,
    /// The directory in which workers start
    #[arg(long, value_name = "DIR")]
    chdir: Option<PathBuf>,
    /// How many workers may run at once
    #[arg(long, value_name = "N")]
    max_workers: Option<usize>,
    /// How many connections may be there that have not authenticated; one more ends the oldest
    #[arg(long, value_name = "N", default_value_t = 128)]
    max_unauthenticated: usize,
    /// How long authenticating may take, and the HELLO after it
    #[arg(long, value_name = "DUR", value_parser = duration, default_value = "10s")]
    handshake_timeout: Duration,
    /// The longest frame that a client may ask for, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    max_frame: u32,
    /// End connections on which nothing has passed for so long
    #[arg(long, value_name = "DUR", value_parser = duration)]
    idle_timeout: Option<Duration>,
    /// How long connections may go on after SIGTERM
    #[arg(long, value_name = "DUR", value_parser = duration, default_value = "30s")]
    drain_timeout: Duration,
    /// A unix socket for `execnet-agent status`
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// Write each address to this descriptor, one a line, as soon as connections are taken
    #[arg(long, value_name = "N")]
    pub(crate) ready_fd: Option<u32>,
}

impl ServeArgs {
    /// What the server is to do.
    pub(crate) fn config(&self) -> Result<Config, String> {
        let mut config = Config::new(self.listen.iter().cloned());
        let pki = match (&self.tls_cert, &self.tls_key, &self.client_ca) {
            (Some(certificate), Some(key), Some(clients)) => Some(Pki {
                certificate: certificate.clone(),
                key: key.clone(),
                clients: clients.clone(),
                allowed: self.allow.clone(),
            }),
            _ => None,
        };
        config.access = Access { token_files: self.token_file.clone(), pki };
        config.no_auth = self.insecure_no_auth;
        config.stock_clients = self.stock_clients;
        config.stock_exposed = self.insecure_exposed;
        config.python = self.python.as_deref().map(words).transpose()?;
        config.native = this().map(|this| vec![this, "stdio".to_owned()]);
        config.directory = self.chdir.clone();
        config.max_workers = self.max_workers;
        config.max_strangers = self.max_unauthenticated;
        config.handshake_timeout = self.handshake_timeout;
        config.max_frame = self.max_frame;
        config.idle_timeout = self.idle_timeout;
        config.drain_timeout = self.drain_timeout;
        config.control = self.control.clone();
        Ok(config)
    }
}

/// This program, as workers are started. A path that is no text could not be in a list of words; there is no native worker
/// then.
fn this() -> Option<String> {
    // Without /proc the system does not know it, but whoever started us by a full path did.
    let started_as = || PathBuf::from(std::env::args_os().next()?).canonicalize().ok();
    let this = std::env::current_exe().ok().or_else(started_as)?;
    this.to_str().map(str::to_owned)
}

/// A command line, split as a shell splits it.
fn words(text: &str) -> Result<Vec<String>, String> {
    let words = shlex::split(text).ok_or("--python: a quote or a backslash has no end")?;
    match words.first() {
        Some(program) if !program.is_empty() => Ok(words),
        _ => Err("--python: the command is empty".to_owned()),
    }
}

/// A duration: a number of seconds, or a text such as `1min 30s`.
fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string());
    }
    humantime::parse_duration(text).map_err(|error| error.to_string())
}

impl Command {
    /// What is logged when the environment says nothing.
    pub(crate) fn usual_log(&self) -> Option<&'static str> {
        match self {
            // Its standard error is the gateway's output.
            Self::Stdio => None,
            Self::Serve(_) => Some("info"),
            Self::Token { .. } | Self::Script | Self::Status { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_interpreter_is_quoted_as_for_a_shell() {
        let expected = ["/opt/my python/bin/python3", "-X", "dev"].map(str::to_owned).to_vec();
        for text in
            ["'/opt/my python/bin/python3' -X dev", "/opt/my\\ python/bin/python3  -X \"dev\""]
        {
            assert_eq!(words(text), Ok(expected.clone()), "{text}");
        }
        for (text, said) in
            [("", "empty"), ("''", "empty"), ("'python3", "no end"), ("a\\", "no end")]
        {
            assert!(words(text).unwrap_err().contains(said), "{text}");
        }
    }
}
