//! An agent in this process, and the controller's side of its connection.

use std::collections::BTreeMap;

use execnet_agent::{Agent, Channel, Config, Message, ReceiveError, ServeError};
use execnet_channel::proto::{Fault, Value, cbor};
use execnet_channel::{Incoming, Mux, Side};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{duplex, split};
use tokio::task::JoinHandle;

/// The controller's side.
pub(crate) struct Near {
    pub(crate) mux: Mux,
    pub(crate) served: JoinHandle<Result<(), ServeError>>,
    _incoming: Incoming,
}

#[derive(Serialize)]
struct Call<'a, A: ?Sized> {
    kind: &'a str,
    task: &'a str,
    args: &'a A,
}

/// Serves `agent` over a pair in memory.
pub(crate) fn connect(agent: &Agent) -> Near {
    connect_with(agent, [])
}

/// The same, with settings.
pub(crate) fn connect_with<const N: usize>(
    agent: &Agent,
    settings: [(&'static str, Value); N],
) -> Near {
    let (near, far) = duplex(64 << 10);
    let (reader, writer) = split(far);
    let agent = agent.clone();
    let served = tokio::spawn(async move { agent.serve(reader, writer).await });
    let mut config = Config::default();
    config.hello.settings = settings
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect::<BTreeMap<_, _>>();
    let (mux, incoming, driver) = Mux::over(near, Side::Connector, config).unwrap();
    tokio::spawn(driver);
    Near { mux, served, _incoming: incoming }
}

impl Near {
    /// Starts a task.
    pub(crate) async fn start<A: Serialize + ?Sized>(&self, task: &str, args: &A) -> Channel {
        let mut channel = self.mux.exec().unwrap();
        channel.send_value(&Call { kind: "call", task, args }).await.unwrap();
        channel
    }

    /// Sends a request of any kind.
    pub(crate) async fn request(&self, request: &Value) -> Channel {
        let mut channel = self.mux.exec().unwrap();
        channel.send(Message::cbor(cbor::encode(request).unwrap())).await.unwrap();
        channel
    }

    /// Calls a task that sends nothing but its result.
    pub(crate) async fn call<Out: DeserializeOwned>(
        &self,
        task: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<Out, Fault> {
        result(self.start(task, args).await).await
    }
}

/// The last message, or the fault.
pub(crate) async fn result<Out: DeserializeOwned>(mut channel: Channel) -> Result<Out, Fault> {
    let mut last = None;
    loop {
        match channel.recv().await {
            Ok(Some(message)) => last = Some(message),
            Ok(None) => return Ok(last.expect("a result").to_value().expect("of this type")),
            Err(ReceiveError::Remote(fault)) => return Err(fault),
            Err(error) => panic!("{error}"),
        }
    }
}
