//! Messages that are serde types: of the rivals only remoc has them.

use std::future::Future;

use remoc::rch::base;
use serde::{Deserialize, Serialize};

use crate::remoc::Port;
use crate::{Execnet, Remoc, Rival};

/// A test's outcome, as a runner would report it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Which one.
    pub name: String,
    /// How it ended.
    pub passed: bool,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How often it was tried.
    pub attempts: u32,
}

impl Record {
    /// One of them.
    pub fn example() -> Self {
        Self {
            name: "tests/test_channel.py::test_order".into(),
            passed: true,
            seconds: 0.25,
            attempts: 1,
        }
    }
}

/// A channel of records.
pub trait Typed: Send + 'static {
    /// What it is made from.
    type Rival: Rival;
    /// Makes it.
    fn new(channel: <Self::Rival as Rival>::Channel) -> Self;
    /// Sends one.
    fn send(&mut self, record: &Record) -> impl Future<Output = ()> + Send;
    /// Receives one.
    fn receive(&mut self) -> impl Future<Output = Record> + Send;
}

impl Typed for execnet_channel::Channel {
    type Rival = Execnet;
    fn new(channel: Self) -> Self {
        channel
    }

    async fn send(&mut self, record: &Record) {
        self.send_value(record).await.expect("sent");
    }

    async fn receive(&mut self) -> Record {
        self.recv_value().await.expect("no error").expect("a record")
    }
}

impl Typed for (base::Sender<Record>, base::Receiver<Record>) {
    type Rival = Remoc;
    fn new(port: Port) -> Self {
        (base::Sender::new(port.sender), base::Receiver::new(port.receiver))
    }

    async fn send(&mut self, record: &Record) {
        // It takes them by value, so that one must be made anew: ours reads a reference.
        self.0.send(record.clone()).await.expect("sent");
    }

    async fn receive(&mut self) -> Record {
        self.1.recv().await.expect("no error").expect("a record")
    }
}
