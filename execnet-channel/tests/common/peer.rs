//! A peer made of hand-written frames, opposite a real core.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use execnet_channel::core::{Batch, Connection, Event};
use execnet_channel::{Config, ConnectionError};
use execnet_proto::{
    ChannelId, Decoder, Format, Frame, Header, Hello, Kind, Limits, MAGIC, MAX_FRAME, Side,
};

pub struct Peer {
    /// The core under test.
    pub core: Connection,
    pub now: Instant,
    decoder: Decoder,
}

impl Peer {
    /// Opposite a core that has heard nothing yet.
    #[expect(clippy::disallowed_methods, reason = "a start; from there on time is moved by hand")]
    pub fn silent(side: Side, config: Config) -> Self {
        let now = Instant::now();
        let core = Connection::new(side, config, now).unwrap();
        Self { core, now, decoder: Decoder::new(MAX_FRAME) }
    }

    /// After preamble and a HELLO with the least limits.
    pub fn greeted(side: Side, config: Config) -> Self {
        Self::greeted_with(side, config, Hello::new(Limits::LEAST))
    }

    pub fn greeted_with(side: Side, config: Config, hello: Hello) -> Self {
        let mut peer = Self::silent(side, config);
        peer.raw(&MAGIC);
        peer.frame(Frame::Hello(Box::new(hello)));
        assert_eq!(peer.core.poll_event(), Some(Event::Hello));
        peer.said();
        peer
    }

    /// Sends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.core.handle_input(self.now, bytes);
        self
    }

    pub fn frame(&mut self, frame: Frame) -> &mut Self {
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes);
        self.raw(&bytes)
    }

    /// Sends a frame that [`Frame`] cannot express.
    pub fn framed(&mut self, kind: Kind, channel: u32, payload: &[u8]) -> &mut Self {
        let header = Header { kind, len: payload.len() as u32, channel };
        let bytes = [&header.to_bytes()[..], payload].concat();
        self.raw(&bytes)
    }

    pub fn open(&mut self, id: ChannelId) -> &mut Self {
        self.frame(Frame::Open(id))
    }

    pub fn close(&mut self, id: ChannelId) -> &mut Self {
        self.frame(Frame::Close { channel: Some(id), fault: None })
    }

    pub fn credit(&mut self, channel: Option<ChannelId>, amount: u32) -> &mut Self {
        self.frame(Frame::Credit { channel, amount })
    }

    /// A message, or with `more` a fragment, that costs `cost`.
    pub fn data(&mut self, id: ChannelId, more: bool, cost: usize) -> &mut Self {
        let payload = Bytes::from(vec![1; cost - 8]);
        self.frame(Frame::Data { channel: id, more, format: Format::Bytes, payload })
    }

    /// What the core has said since this was last asked.
    pub fn said(&mut self) -> Vec<Frame> {
        let mut batch = Batch::new();
        while self.core.poll_transmit(self.now, &mut batch) {
            let mut slices = [std::io::IoSlice::new(&[]); 1024];
            let count = batch.slices(&mut slices);
            let len: usize = slices[..count].iter().map(|slice| slice.len()).sum();
            assert_eq!(len, batch.len());
            slices[..count].iter().for_each(|slice| self.decoder.extend(slice));
            batch.advance(len);
        }
        let mut frames = Vec::new();
        while let Some(frame) = self.decoder.next_frame().unwrap() {
            frames.push(frame.parse().unwrap());
        }
        frames
    }

    pub fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.core.poll_event()).collect()
    }

    pub fn assert_alive(&mut self) -> &mut Self {
        assert_eq!(self.core.error().map(ConnectionError::to_string), None);
        self.core.check().unwrap();
        self
    }
}
