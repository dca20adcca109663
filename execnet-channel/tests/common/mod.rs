//! What several tests share. Each uses a part of it.
#![allow(dead_code, unreachable_pub)]

pub mod peer;
pub mod world;

use execnet_channel::Config;
use execnet_channel::core::{Connection, Received};
use execnet_channel::{Message, ReceiveError};
use execnet_proto::{ChannelId, Hello, Limits};

/// A config with the least of everything that goes into the HELLO.
pub fn least() -> Config {
    let Limits { max_frame, max_message, max_channels, channel_window, connection_window } =
        Limits::LEAST;
    Config {
        max_frame,
        max_fragment: max_frame,
        max_message,
        max_channels,
        channel_window,
        max_channel_window: channel_window,
        connection_window,
        long_messages: 0,
        send_buffer: 4 << 10,
        keepalive: None,
        idle_timeout: None,
        hello: Hello::new(Limits::LEAST),
        skip_noise: false,
    }
}

pub fn id(number: u32) -> ChannelId {
    ChannelId::new(number).unwrap()
}

/// A message of `len` bytes that tells which one it is.
pub fn numbered(number: u64, len: usize) -> Message {
    let mut payload = vec![number as u8; len];
    for (to, from) in payload.iter_mut().zip(number.to_be_bytes()) {
        *to = from;
    }
    Message::bytes(payload)
}

/// Takes all that is there: messages, and whether the clean end was reached.
pub fn recv_all(core: &mut Connection, id: ChannelId) -> (Vec<Message>, bool) {
    let mut messages = Vec::new();
    loop {
        match core.recv(id).unwrap() {
            Received::Message(message) => messages.push(message),
            Received::Nothing => return (messages, false),
            Received::End => return (messages, true),
        }
    }
}

pub fn recv_one(core: &mut Connection, id: ChannelId) -> Message {
    match core.recv(id) {
        Ok(Received::Message(message)) => message,
        other => panic!("a message was expected on channel {id}, not {other:?}"),
    }
}

pub fn recv_error(core: &mut Connection, id: ChannelId) -> ReceiveError {
    match core.recv(id) {
        Err(error) => error,
        Ok(other) => panic!("an error was expected on channel {id}, not {other:?}"),
    }
}
