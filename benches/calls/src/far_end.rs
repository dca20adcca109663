//! The other processes: servers of ours and of tarpc.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use execnet_agent::server::{Access, Config, Server};
use execnet_agent::{AGENT_ARGUMENT, Agent};
use futures::StreamExt;
use tarpc::serde_transport::Transport;
use tarpc::server::{BaseChannel, Channel};
use tarpc::tokio_serde::formats::Bincode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use crate::Result;
use crate::calls::Numbers;

/// What a native far end of ours can do.
pub(crate) fn agent() -> Agent {
    let sum = |_, numbers: Vec<i64>| async move { Ok::<_, String>(numbers.iter().sum::<i64>()) };
    Agent::builder().task("sum", sum).build()
}

/// The same by tarpc.
#[derive(Clone)]
struct Adder;

impl Numbers for Adder {
    async fn sum(self, _: tarpc::context::Context, numbers: Vec<i64>) -> i64 {
        numbers.iter().sum()
    }
}

/// A server in another process, killed when it is dropped.
pub(crate) struct FarEnd {
    child: Child,
    /// Where it listens.
    pub(crate) address: String,
}

impl FarEnd {
    /// What it may be: a server of ours, or of tarpc.
    pub(crate) const KINDS: [&str; 2] = ["execnet", "tarpc"];

    /// At `HOST:PORT` or `unix:PATH`. `token` is a file, of which only ours at `HOST:PORT` has a use.
    pub(crate) fn start(kind: &str, address: &str, token: &str) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.args([kind, address, token]).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        Ok(Self { child, address: line.trim().to_owned() })
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is such a server, until it is killed.
pub(crate) async fn serve(kind: &str, address: &str, token: &str) -> Result<()> {
    let unix = address.strip_prefix("unix:");
    if kind == "execnet" {
        let mut config = Config::new([address.parse()?]);
        if unix.is_none() {
            config.access = Access { token_files: vec![token.into()], pki: None };
        }
        let this = std::env::current_exe()?.display().to_string();
        config.native = Some(vec![this, AGENT_ARGUMENT.to_owned()]);
        let server = Server::bind(config).await?;
        println!("{}", server.addresses()[0]);
        server.run().await;
        return Ok(());
    }
    match unix {
        Some(path) => {
            let listener = UnixListener::bind(path)?;
            println!("{path}");
            loop {
                answer(listener.accept().await?.0);
            }
        }
        None => {
            let listener = TcpListener::bind(address).await?;
            println!("{}", listener.local_addr()?);
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                answer(stream);
            }
        }
    }
}

/// Each call in a task of its own, as tarpc's examples have it, and as ours are.
fn answer(stream: impl AsyncRead + AsyncWrite + Send + 'static) {
    let channel = BaseChannel::with_defaults(Transport::from((stream, Bincode::default())));
    let answering = channel.execute(Adder.serve()).for_each(|response| async {
        tokio::spawn(response);
    });
    tokio::spawn(answering);
}
