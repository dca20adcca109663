//! yamux: a channel is a stream of bytes, a message is one write.
//!
//! Tuned: frames as long as ours; windows grow by themselves, without limit. It reads and writes each frame's header and body for
//! themselves, so it is measured twice: straight on the link, as its own documentation puts it there, and with a buffer in between.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use futures::{AsyncWriteExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, BufStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};
use yamux::{Config, Connection, Mode, Stream};

use crate::link::drive;
use crate::{Channel, FRAME, Link, Open, Rival};

/// The crate `yamux`, with or without a buffer between it and its link.
#[derive(Debug)]
pub struct Yamux<const BUFFERED: bool = false>;

type Wanted = oneshot::Sender<Stream>;

impl<const BUFFERED: bool> Rival for Yamux<BUFFERED> {
    const NAME: &'static str = if BUFFERED { "yamux, buffered" } else { "yamux" };
    const MESSAGES: bool = false;
    type Opener = Opener;
    type Acceptor = Acceptor;
    type Channel = Stream;

    async fn connect<L: Link>(a: L, b: L) -> (Opener, Acceptor) {
        if BUFFERED {
            let buffered = |link| BufStream::with_capacity(FRAME as usize, FRAME as usize, link);
            start(buffered(a), buffered(b))
        } else {
            start(a, b)
        }
    }
}

/// Puts a connection on each end and drives both.
fn start<S>(a: S, b: S) -> (Opener, Acceptor)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (opener, mut wanted) = mpsc::unbounded_channel::<Wanted>();
    let (accepted, acceptor) = mpsc::unbounded_channel();
    let mut near = connection(a, Mode::Client);
    let mut far = connection(b, Mode::Server);
    let mut waiting = None;
    drive(poll_fn(move |cx| {
        while let Poll::Ready(Some(want)) = match waiting.take() {
            Some(want) => Poll::Ready(Some(want)),
            None => wanted.poll_recv(cx),
        } {
            match near.poll_new_outbound(cx) {
                Poll::Ready(stream) => drop(want.send(stream.expect("opened"))),
                Poll::Pending => {
                    waiting = Some(want);
                    break;
                }
            }
        }
        near.poll_next_inbound(cx).map(drop)
    }));
    drive(async move {
        while let Some(Ok(stream)) = poll_fn(|cx| far.poll_next_inbound(cx)).await {
            let _ = accepted.send(stream);
        }
    });
    (Opener(opener), Acceptor(acceptor))
}

fn connection<S>(stream: S, mode: Mode) -> Connection<Compat<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut config = Config::default();
    config.set_max_connection_receive_window(None);
    config.set_max_num_streams(200_000);
    config.set_split_send_size(FRAME as usize);
    Connection::new(stream.compat(), config, mode)
}

/// Opens streams.
#[derive(Clone)]
pub struct Opener(mpsc::UnboundedSender<Wanted>);

impl Open for Opener {
    type Channel = Stream;
    async fn next(&mut self) -> Stream {
        let (want, stream) = oneshot::channel();
        self.0.send(want).expect("driven");
        stream.await.expect("opened")
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

impl Channel for Stream {
    async fn send(&mut self, message: Bytes) {
        self.write_all(&message).await.expect("sent");
    }

    async fn finish(&mut self, message: Bytes) {
        self.write_all(&message).await.expect("sent");
        self.close().await.expect("closed");
    }

    async fn receive(&mut self) -> usize {
        self.next().await.map_or(0, |packet| packet.expect("no error").as_ref().len())
    }
}
