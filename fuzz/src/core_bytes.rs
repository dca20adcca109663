//! Hostile bytes against a live core.

use std::time::Instant;

use bytes::BytesMut;
use execnet_channel::core::{Batch, Connection, Event, Received};
use execnet_channel::{Config, Message};
use execnet_proto::{Frame, Hello, Limits, MAGIC, Side};

/// After a good HELLO anything may come. The core never panics, holds no more than its limits, and
/// either goes on or ends with an error that has a name.
pub fn core_bytes(data: &[u8]) {
    let Some((&flags, data)) = data.split_first() else { return };
    let side = if flags & 1 == 0 { Side::Connector } else { Side::FarEnd };
    let now = Instant::now();
    let config = Config { max_channels: 256, ..Config::compact() };
    let most = u64::from(config.connection_window) + config.max_message;
    let mut core = Connection::new(side, config, now).expect("a good config");
    let ours: Vec<_> = (0..3).filter_map(|_| core.open(false).ok()).collect();

    let mut wire = BytesMut::from(&MAGIC[..]);
    Frame::Hello(Box::new(Hello::new(Limits::LEAST))).encode(&mut wire);
    wire.extend_from_slice(data);
    let mut batch = Batch::new();
    let step = usize::from(flags >> 1) + 1;
    for chunk in wire.chunks(step * 7) {
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
        let status = core.status();
        assert!(u64::from(status.unread_total) <= most);
        assert!(status.channels <= 256 + ours.len());
    }
    core.handle_end();
    assert!(!core.error().expect("it has ended").to_string().is_empty());
}
