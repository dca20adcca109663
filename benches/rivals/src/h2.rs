//! HTTP/2: a channel is a request and its response, a message is one DATA frame or several.
//!
//! Tuned: windows and frames as ours, a send buffer of 1 MiB for each stream, no limit on small frames. A sender asks for 64 KiB of
//! capacity at a time, so that it does not ask for each message.

use std::future::poll_fn;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use tokio::sync::mpsc;

use crate::link::drive;
use crate::{CHANNEL_WINDOW, CONNECTION_WINDOW, Channel, FRAME, Link, Open, Rival};

const STREAMS: u32 = 200_000;
const SEND_BUFFER: usize = 1 << 20;
const CAPACITY: usize = 64 << 10;

/// The crate `h2`.
#[derive(Debug)]
pub struct H2;

impl Rival for H2 {
    const NAME: &'static str = "h2";
    const MESSAGES: bool = false;
    type Opener = Opener;
    type Acceptor = Acceptor;
    type Channel = Stream;

    async fn connect<L: Link>(a: L, b: L) -> (Opener, Acceptor) {
        let (accepted, acceptor) = mpsc::unbounded_channel();
        drive(async move {
            let mut connection = h2::server::Builder::new()
                .initial_window_size(CHANNEL_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_frame_size(FRAME)
                .max_concurrent_streams(STREAMS)
                .max_send_buffer_size(SEND_BUFFER)
                .data_frame_budget(usize::MAX / 2)
                .handshake::<_, Bytes>(b)
                .await
                .expect("handshake");
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let send = respond.send_response(Response::new(()), false).expect("answered");
                let _ = accepted.send(Stream { send, receive: Body::Here(request.into_body()) });
            }
        });
        let (opener, connection) = h2::client::Builder::new()
            .initial_window_size(CHANNEL_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME)
            .initial_max_send_streams(STREAMS as usize)
            .max_send_buffer_size(SEND_BUFFER)
            .data_frame_budget(usize::MAX / 2)
            .handshake(a)
            .await
            .expect("handshake");
        drive(connection);
        (Opener(opener.ready().await.expect("ready")), Acceptor(acceptor))
    }
}

/// Opens streams.
#[derive(Clone)]
pub struct Opener(SendRequest<Bytes>);

impl Open for Opener {
    type Channel = Stream;
    async fn next(&mut self) -> Stream {
        poll_fn(|cx| self.0.poll_ready(cx)).await.expect("ready");
        let request = Request::post("http://a/").body(()).expect("a request");
        let (response, send) = self.0.send_request(request, false).expect("opened");
        Stream { send, receive: Body::Expected(response) }
    }
}

/// Accepts streams.
pub struct Acceptor(mpsc::UnboundedReceiver<Stream>);

impl Open for Acceptor {
    type Channel = Stream;
    async fn next(&mut self) -> Stream {
        self.0.recv().await.expect("a stream")
    }
}

/// Both directions of a stream.
pub struct Stream {
    send: SendStream<Bytes>,
    receive: Body,
}

enum Body {
    Expected(ResponseFuture),
    Here(RecvStream),
}

impl Stream {
    async fn write(&mut self, mut message: Bytes, last: bool) {
        loop {
            let mut room = self.send.capacity();
            // A short message is to stay one frame.
            if room < message.len().min(CAPACITY) {
                self.send.reserve_capacity(message.len().max(CAPACITY));
                room = poll_fn(|cx| self.send.poll_capacity(cx))
                    .await
                    .expect("open")
                    .expect("no error");
            }
            let part = message.split_to(room.min(message.len()));
            let done = message.is_empty();
            self.send.send_data(part, last && done).expect("sent");
            if done {
                return;
            }
        }
    }
}

impl Channel for Stream {
    async fn send(&mut self, message: Bytes) {
        self.write(message, false).await;
    }

    async fn finish(&mut self, message: Bytes) {
        self.write(message, true).await;
    }

    async fn receive(&mut self) -> usize {
        if let Body::Expected(response) = &mut self.receive {
            let body = response.await.expect("a response").into_body();
            self.receive = Body::Here(body);
        }
        let Body::Here(body) = &mut self.receive else { return 0 };
        let Some(data) = body.data().await else { return 0 };
        let len = data.expect("no error").len();
        body.flow_control().release_capacity(len).expect("released");
        len
    }
}
