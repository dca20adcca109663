//! Hostile bytes against a live core.

use std::time::Instant;

use bytes::BytesMut;
use execnet_channel::core::{Batch, Connection, Event, Received};
use execnet_channel::{Config, Message};
use execnet_proto::{Frame, Hello, Limits, MAGIC, Side};

/// Anything may come, behind a good HELLO or at once. The core never panics, holds no more than its
/// limits, keeps its books, and either goes on or ends with an error that has a name.
///
/// The first byte says which side we are, whether a HELLO is put in front, and how the bytes are cut.
pub fn core_bytes(data: &[u8]) {
    let Some((&flags, data)) = data.split_first() else { return };
    let side = if flags & 1 == 0 { Side::Connector } else { Side::FarEnd };
    let now = Instant::now();
    let config = Config { max_channels: 256, ..Config::compact() };
    let mut core = Connection::new(side, config, now).expect("a good config");
    let ours: Vec<_> = (0..3).filter_map(|_| core.open(false).ok()).collect();

    let mut wire = BytesMut::new();
    if flags & 2 == 0 {
        wire.extend_from_slice(&MAGIC);
        Frame::Hello(Box::new(Hello::new(Limits::LEAST))).encode(&mut wire);
    }
    wire.extend_from_slice(data);
    let mut batch = Batch::new();
    let step = usize::from(flags >> 2) + 1;
    for chunk in wire.chunks(step * step) {
        core.handle_input(now, chunk);
        while let Some(event) = core.poll_event() {
            match event {
                Event::Opened { channel, .. } if channel.get() % 3 != 0 => core.accept(channel),
                Event::Opened { channel, .. } => core.forget(channel),
                Event::StatusAsked => core.answer_status(vec![0xa0].into()),
                _ => {}
            }
        }
        if let Some(&id) = ours.first() {
            let _ = core.try_send(id, Message::bytes(chunk.to_vec()));
            while let Ok(Received::Message(_)) = core.recv(id) {}
        }
        while core.poll_transmit(now, &mut batch) {
            batch.advance(batch.len());
        }
        core.check().expect("its books balance");
        assert!(core.status().channels <= 256 + ours.len());
    }
    core.handle_end();
    assert!(!core.error().expect("it has ended").to_string().is_empty());
}
