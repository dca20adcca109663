//! The two far ends, and the controller's side of their connections.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use execnet_agent::{AGENT_ARGUMENT, Channel, Config, Message, ReceiveError};
use execnet_channel::proto::{Fault, Format, Value, cbor};
use execnet_channel::{Incoming, Mux, Request, Side};
use execnet_testing::WATCHDOG;
use execnet_transport::{Bootstrap, Guard, Link, Popen, Stderr, Transport};
use tokio::io::AsyncWriteExt;

/// A far end in a process of its own.
pub(crate) struct Far {
    pub(crate) name: &'static str,
    pub(crate) mux: Mux,
    pub(crate) guard: Guard,
    stderr: Stderr,
    /// What came as OUTPUT.
    output: Arc<Mutex<Vec<u8>>>,
}

/// Runs a scenario with each far end.
pub(crate) async fn with_each<F: Future<Output = ()>>(scenario: impl Fn(Far) -> F) {
    let python = execnet_testing::python().map(|python| {
        in_background([
            python.into_os_string(),
            "-c".into(),
            execnet_agent::bootstrap_line().into(),
        ])
    });
    let native =
        in_background([env!("CARGO_BIN_EXE_execnet-agent"), AGENT_ARGUMENT].map(Into::into));
    let native = native.bootstrap(Bootstrap::None);
    for (name, popen) in [("python", python), ("native", Some(native))] {
        let Some(popen) = popen else { continue };
        eprintln!("{name}");
        let far = start(name, &popen).await;
        tokio::time::timeout(WATCHDOG, scenario(far))
            .await
            .unwrap_or_else(|_| panic!("{name} hangs"));
    }
}

/// As a shell starts what is to run in the background: with SIGINT ignored, which those must not pass on.
fn in_background(argv: impl IntoIterator<Item = OsString>) -> Popen {
    let shell = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh"].map(OsString::from);
    Popen::new(shell.into_iter().chain(argv))
}

async fn start(name: &'static str, popen: &Popen) -> Far {
    let Link { reader, mut writer, stderr, guard, bootstrap, .. } = popen.connect().await.unwrap();
    if bootstrap == Bootstrap::Python {
        writer.write_all(execnet_agent::bootstrap_source()).await.unwrap();
    }
    let config = Config { skip_noise: true, ..Config::default() };
    let (mux, incoming, driver) = Mux::new(reader, writer, Side::Connector, config).unwrap();
    tokio::spawn(driver);
    let output = Arc::default();
    tokio::spawn(collect(incoming, Arc::clone(&output)));
    mux.peer().await.unwrap();
    Far { name, mux, guard, stderr: stderr.unwrap(), output }
}

async fn collect(mut incoming: Incoming, output: Arc<Mutex<Vec<u8>>>) {
    while let Some(request) = incoming.next_but_channels().await {
        if let Request::Output { bytes, .. } = request {
            output.lock().unwrap().extend_from_slice(&bytes);
        }
    }
}

/// A command and those of its streams that were asked for.
pub(crate) struct Running {
    pub(crate) control: Channel,
    pub(crate) streams: BTreeMap<&'static str, Channel>,
}

pub(crate) const ALL: [&str; 3] = ["stdin", "stdout", "stderr"];

/// A script for a shell, as a command line.
pub(crate) fn sh(script: &str) -> Vec<Value> {
    vec!["sh".into(), "-c".into(), script.into()]
}

impl Far {
    pub(crate) async fn request(
        &self,
        kind: &str,
        rest: impl IntoIterator<Item = (&str, Value)>,
    ) -> Channel {
        let kind = [("kind", Value::from(kind))];
        let map = Value::dict(kind.into_iter().chain(rest));
        let mut channel = self.mux.exec().unwrap();
        channel.send(Message::cbor(cbor::encode(&map).unwrap())).await.unwrap();
        channel
    }

    pub(crate) async fn command(&self, argv: Vec<Value>, streams: &[&'static str]) -> Running {
        self.command_with(argv, streams, []).await
    }

    pub(crate) async fn command_with<const N: usize>(
        &self,
        argv: Vec<Value>,
        streams: &[&'static str],
        more: [(&'static str, Value); N],
    ) -> Running {
        let streams: BTreeMap<_, _> =
            streams.iter().map(|name| (*name, self.mux.open().unwrap())).collect();
        let named = streams.iter().map(|(name, channel)| (*name, Value::Channel(channel.id())));
        let rest = [("argv", Value::List(argv))].into_iter().chain(named.collect::<Vec<_>>());
        let control = self.request("command", rest.chain(more)).await;
        Running { control, streams }
    }

    pub(crate) async fn status(&self, key: &str) -> Value {
        let status = cbor::decode(&self.mux.peer_status().await.unwrap()).unwrap();
        status.get(key).cloned().unwrap()
    }

    /// All that it printed, when its end has come.
    pub(crate) async fn printed(self) -> String {
        self.mux.terminate(execnet_channel::proto::Terminate { grace_ms: 60_000, kill_ms: 60_000 });
        self.mux.closed().await;
        self.guard.wait().await;
        self.stderr.closed().await;
        let output = self.output.lock().unwrap().clone();
        let lines = self.stderr.tail_lines(100).into_iter().map(|line| line + "\n");
        String::from_utf8(output).unwrap() + &lines.collect::<String>()
    }
}

impl Running {
    pub(crate) fn stream(&mut self, name: &str) -> &mut Channel {
        self.streams.get_mut(name).unwrap()
    }

    pub(crate) async fn feed(&mut self, bytes: impl Into<Bytes>) {
        self.stream("stdin").send(Message::bytes(bytes)).await.unwrap();
    }

    /// The map that says it has started; its process number.
    pub(crate) async fn started(&mut self) -> i64 {
        let said: Value = self.control.recv_value().await.unwrap().unwrap();
        said.get("pid").and_then(Value::as_i64).unwrap_or_else(|| panic!("{said}"))
    }

    /// How it ended: the last map on its channel, behind the one with `pid`.
    pub(crate) async fn ended(&mut self) -> Value {
        let said = items(&mut self.control).await.unwrap_or_else(|fault| panic!("{fault}"));
        said.last().cloned().unwrap_or_else(|| panic!("nothing was said"))
    }

    /// All that comes on a stream.
    pub(crate) async fn all(&mut self, name: &str) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(message) = self.stream(name).recv().await.unwrap() {
            assert_eq!(message.format, Format::Bytes);
            all.extend_from_slice(&message.payload);
        }
        all
    }
}

/// All values on a channel, or the fault at its end.
pub(crate) async fn items(channel: &mut Channel) -> Result<Vec<Value>, Fault> {
    let mut items = Vec::new();
    loop {
        match channel.recv_value().await {
            Ok(Some(item)) => items.push(item),
            Ok(None) => return Ok(items),
            Err(ReceiveError::Remote(fault)) => return Err(fault),
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) fn exit(status: i64) -> Value {
    Value::dict([("exit", status)])
}

pub(crate) fn killed_by(signal: i64) -> Value {
    Value::dict([("signal", signal)])
}
