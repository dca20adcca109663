//! Ours, with its default settings.

use bytes::Bytes;
use execnet_channel::{Channel as Inner, Config, Incoming, Message, Mux, Request, Side};

use crate::link::drive;
use crate::{Channel, Link, Open, Rival};

/// execnet-channel.
#[derive(Debug)]
pub struct Execnet;

impl Rival for Execnet {
    const NAME: &'static str = "execnet";
    const MESSAGES: bool = true;
    type Opener = Opener;
    type Acceptor = Acceptor;
    type Channel = Inner;

    async fn connect<L: Link>(a: L, b: L) -> (Opener, Acceptor) {
        let end = |link: L, side| {
            let (reader, writer) = link.halves();
            let (mux, incoming, driver) =
                Mux::new(reader, writer, side, Config::default()).expect("a good config");
            drive(driver);
            (mux, incoming)
        };
        let (near, near_incoming) = end(a, Side::Connector);
        let (far, far_incoming) = end(b, Side::FarEnd);
        near.peer().await.expect("hello");
        far.peer().await.expect("hello");
        drop(near_incoming);
        (Opener(near), Acceptor(far_incoming))
    }
}

/// Opens channels.
#[derive(Debug, Clone)]
pub struct Opener(Mux);

impl Open for Opener {
    type Channel = Inner;
    async fn next(&mut self) -> Inner {
        self.0.open().expect("room")
    }
}

/// Accepts channels.
#[derive(Debug)]
pub struct Acceptor(Incoming);

impl Open for Acceptor {
    type Channel = Inner;
    async fn next(&mut self) -> Inner {
        match self.0.next().await {
            Some(Request::Opened { channel, .. }) => channel,
            other => panic!("expected a channel, found {other:?}"),
        }
    }
}

impl Channel for Inner {
    async fn send(&mut self, message: Bytes) {
        Inner::send(self, Message::bytes(message)).await.expect("sent");
    }

    async fn finish(&mut self, message: Bytes) {
        self.send_last(Message::bytes(message)).await.expect("sent");
    }

    async fn receive(&mut self) -> usize {
        self.recv().await.expect("no error").map_or(0, |message| message.payload.len())
    }
}
