//! remoc's multiplexer, chmux: a channel is a port.
//!
//! Over remoc's own transport, which is faster than a codec. Tuned: frames and windows as ours, queues of 256, room for 200,000 ports.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use remoc::chmux::{FixedBuffer, Received, Receiver, Request, Sender};
use remoc::rch::base;
use remoc::{Cfg, Connect};
use tokio::sync::Mutex;

use crate::link::drive;
use crate::{CHANNEL_WINDOW, CONNECTION_WINDOW, Channel, FRAME, Link, Open, Rival};

/// The crate `remoc`.
#[derive(Debug)]
pub struct Remoc;

fn config() -> Cfg {
    Cfg {
        chunk_size: FRAME,
        port_receive_buffer: CHANNEL_WINDOW,
        port_receive_throttle: CHANNEL_WINDOW,
        shared_receive_buffer: FixedBuffer::new(CONNECTION_WINDOW),
        max_data_size: 8 << 20,
        max_ports: 200_000,
        shared_send_queue: 256,
        transport_send_queue: 256,
        transport_receive_queue: 256,
        ..Cfg::default()
    }
}

impl Rival for Remoc {
    const NAME: &'static str = "remoc";
    const MESSAGES: bool = true;
    type Opener = Opener;
    type Acceptor = Acceptor;
    type Channel = Port;

    async fn connect<L: Link>(a: L, b: L) -> (Opener, Acceptor) {
        let end = async |link: L| {
            let (reader, writer) = link.halves();
            let (connection, sender, receiver): (_, base::Sender<()>, base::Receiver<()>) =
                Connect::io(config(), reader, writer).await.expect("connected");
            drive(connection);
            (sender.into_inner(), receiver.into_inner())
        };
        let ((sender, keep), (keep_far, receiver)) = tokio::join!(end(a), end(b));
        let opener = Opener(Arc::new(Mutex::new((sender, keep))));
        (opener, Acceptor { receiver, waiting: VecDeque::new(), _other: keep_far })
    }
}

/// Opens ports through a port that both ends have from the start.
#[derive(Clone)]
pub struct Opener(Arc<Mutex<(Sender, Receiver)>>);

impl Open for Opener {
    type Channel = Port;
    async fn next(&mut self) -> Port {
        let mut connects = {
            let (sender, _) = &mut *self.0.lock().await;
            let request = sender.connect_req().expect("a port").try_pre_connect();
            sender.connect(vec![request]).await.expect("asked")
        };
        let (sender, receiver) = connects.remove(0).await.expect("opened");
        Port { sender, receiver }
    }
}

/// Accepts ports.
pub struct Acceptor {
    receiver: Receiver,
    waiting: VecDeque<Request>,
    _other: Sender,
}

impl Open for Acceptor {
    type Channel = Port;
    async fn next(&mut self) -> Port {
        loop {
            if let Some(request) = self.waiting.pop_front() {
                let (sender, receiver) = request.accept().await.expect("accepted");
                return Port { sender, receiver };
            }
            match self.receiver.recv_any().await.expect("no error") {
                Some(Received::Requests(requests)) => self.waiting.extend(requests),
                other => panic!("expected requests, found {other:?}"),
            }
        }
    }
}

/// Both directions of a port.
pub struct Port {
    pub(crate) sender: Sender,
    pub(crate) receiver: Receiver,
}

impl Channel for Port {
    async fn send(&mut self, message: Bytes) {
        self.sender.send(message).await.expect("sent");
    }

    async fn finish(&mut self, message: Bytes) {
        self.sender.send(message).await.expect("sent");
    }

    async fn receive(&mut self) -> usize {
        self.receiver.recv().await.expect("no error").map_or(0, |message| message.remaining())
    }
}
