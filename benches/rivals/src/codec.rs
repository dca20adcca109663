//! tokio-util's `LengthDelimitedCodec`, bare: one stream of messages, no multiplexer, no flow control but the
//! link's own. What any multiplexer is measured against.
//!
//! Its `send` feeds a buffer that is written when it holds 64 KiB, or on `flush`: its best, at the price that a message
//! may stay behind.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

use crate::{Channel, FRAME, Link, Open, Rival};

/// The bare codec.
#[derive(Debug)]
pub struct Codec;

/// What stands for a channel: the link itself.
pub struct Framed {
    reader: FramedRead<Box<dyn AsyncRead + Send + Sync + Unpin>, LengthDelimitedCodec>,
    writer: FramedWrite<Box<dyn AsyncWrite + Send + Sync + Unpin>, LengthDelimitedCodec>,
}

/// Gives it, once.
#[derive(Clone)]
pub struct Once(Arc<Mutex<Option<Framed>>>);

impl Rival for Codec {
    const NAME: &'static str = "bare codec";
    const MESSAGES: bool = true;
    type Opener = Once;
    type Acceptor = Once;
    type Channel = Framed;

    async fn connect<L: Link>(a: L, b: L) -> (Once, Once) {
        (Once::new(a), Once::new(b))
    }
}

impl Once {
    fn new(link: impl Link) -> Self {
        let (reader, writer) = link.halves();
        let mut reader = FramedRead::with_capacity(
            Box::new(reader) as _,
            LengthDelimitedCodec::new(),
            FRAME as usize,
        );
        let mut writer = FramedWrite::new(Box::new(writer) as _, LengthDelimitedCodec::new());
        reader.decoder_mut().set_max_frame_length(8 << 20);
        writer.encoder_mut().set_max_frame_length(8 << 20);
        writer.set_backpressure_boundary(FRAME as usize);
        Self(Arc::new(Mutex::new(Some(Framed { reader, writer }))))
    }
}

impl Open for Once {
    type Channel = Framed;
    async fn next(&mut self) -> Framed {
        self.0.lock().expect("not poisoned").take().expect("there is only one")
    }
}

impl Channel for Framed {
    async fn send(&mut self, message: Bytes) {
        self.writer.feed(message).await.expect("sent");
    }

    async fn flush(&mut self) {
        SinkExt::<Bytes>::flush(&mut self.writer).await.expect("flushed");
    }

    async fn finish(&mut self, message: Bytes) {
        self.writer.feed(message).await.expect("sent");
        SinkExt::<Bytes>::close(&mut self.writer).await.expect("closed");
    }

    async fn receive(&mut self) -> usize {
        self.reader.next().await.map_or(0, |message| message.expect("no error").len())
    }
}
