//! That credit is neither lost nor made: what one side may send, what the other believes, and what is on its way.

use std::collections::BTreeMap;

use execnet_proto::{ChannelId, HEADER_LEN, Limits, MAGIC, Side};

use super::End;
use super::link::Link;
use crate::core::Diagnostics;

/// The credit that frames on their way have spent and carry, by channel; 0 is the connection.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    sent: Frames,
    arrived: Frames,
    /// DATA, at its cost.
    data: BTreeMap<u32, u64>,
    credit: BTreeMap<u32, u64>,
}

impl Ledger {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        for (channel, data, credit) in self.sent.read(bytes) {
            *self.data.entry(channel).or_default() += data;
            *self.data.entry(0).or_default() += data;
            *self.credit.entry(channel).or_default() += credit;
        }
    }

    pub(super) fn remove(&mut self, bytes: &[u8]) {
        for (channel, data, credit) in self.arrived.read(bytes) {
            *self.data.entry(channel).or_default() -= data;
            *self.data.entry(0).or_default() -= data;
            *self.credit.entry(channel).or_default() -= credit;
        }
        self.data.retain(|_, amount| *amount > 0);
        self.credit.retain(|_, amount| *amount > 0);
    }

    fn data(&self, channel: u32) -> u64 {
        self.data.get(&channel).copied().unwrap_or_default()
    }

    fn credit(&self, channel: u32) -> u64 {
        self.credit.get(&channel).copied().unwrap_or_default()
    }
}

/// Reads what frames spend and give: channel, cost of DATA, amount of CREDIT. A second reader of
/// the format, which trusts it: whether it is kept is for the cores to see.
#[derive(Debug, Default)]
struct Frames {
    /// The beginning of a frame; of the stream, its preamble.
    rest: Vec<u8>,
    started: bool,
}

impl Frames {
    fn read(&mut self, bytes: &[u8]) -> Vec<(u32, u64, u64)> {
        self.rest.extend_from_slice(bytes);
        let mut left = self.rest.as_slice();
        if !self.started {
            let Some(frames) = left.strip_prefix(&MAGIC) else { return Vec::new() };
            (left, self.started) = (frames, true);
        }
        let mut out = Vec::new();
        while let Some((header, behind)) = left.split_first_chunk::<HEADER_LEN>() {
            let [kind, l0, l1, l2, channel @ ..] = *header;
            let len = u32::from_be_bytes([0, l0, l1, l2]) as usize;
            let Some((payload, behind)) = behind.split_at_checked(len) else { break };
            let channel = u32::from_be_bytes(channel);
            match (kind, payload) {
                (0x10..=0x1f, _) => out.push((channel, (HEADER_LEN + len) as u64, 0)),
                (0x04, &[a0, a1, a2, a3]) => {
                    out.push((channel, 0, u32::from_be_bytes([a0, a1, a2, a3]).into()));
                }
                _ => {}
            }
            left = behind;
        }
        let read = self.rest.len() - left.len();
        self.rest.drain(..read);
        out
    }
}

/// What `to` believes that `from` may still send is what `from` may send, and what is on its way:
/// DATA in one direction, CREDIT in the other.
pub(super) fn conserved(
    (from, sender): (&End, &Diagnostics),
    (to, receiver): (&End, &Diagnostics),
) -> Result<(), String> {
    let data = Waiting::new(from, &to.inbound);
    let credit = Waiting::new(to, &from.inbound);
    // Before the receiver's HELLO is here, the sender counts from the least.
    let unaware = from.core.peer().is_none();
    let compare = |id: u32, send: u32, receive: u32, first: u32, least: u32| {
        let unknown = if unaware { first - least } else { 0 };
        let sum = u64::from(send) + u64::from(unknown) + data.data(id) + credit.credit(id);
        if sum == u64::from(receive) {
            return Ok(());
        }
        Err(format!(
            "channel {id}: {:?} may send {send} + {unknown} before HELLO, {} are on their way and \
             {} come back; {:?} counts {receive}",
            from.core.side(),
            data.data(id),
            credit.credit(id),
            to.core.side(),
        ))
    };
    let least = Limits::LEAST;
    compare(
        0,
        sender.connection.send,
        receiver.connection.receive,
        to.config.connection_window,
        least.connection_window,
    )?;
    for (&id, windows) in &sender.channels {
        let first = to.config.channel_window;
        if let Some(receive) = receive_window(receiver, id, first, to.core.side()) {
            compare(id.get(), windows.send, receive, first, least.channel_window)?;
        }
    }
    Ok(())
}

/// The receiver's count, where there is one: it may not have heard of the channel yet, which then
/// has its first window, or have forgotten it.
fn receive_window(receiver: &Diagnostics, id: ChannelId, first: u32, side: Side) -> Option<u32> {
    match receiver.channels.get(&id) {
        Some(windows) => Some(windows.receive),
        None if id.opener() != side && receiver.next_remote.is_some_and(|next| id >= next) => {
            Some(first)
        }
        None => None,
    }
}

/// Frames on their way from one end: in its send buffer, and on the link.
struct Waiting<'a> {
    buffered: Ledger,
    link: &'a Ledger,
}

impl<'a> Waiting<'a> {
    fn new(from: &End, link: &'a Link) -> Self {
        let bytes = from.core.send_buffer();
        // The preamble stands in front of the first frames only.
        let sent = Frames { started: !bytes.starts_with(&MAGIC), rest: bytes };
        let mut buffered = Ledger { sent, ..Ledger::default() };
        buffered.add(&[]);
        Self { buffered, link: &link.on_their_way }
    }

    fn data(&self, channel: u32) -> u64 {
        self.buffered.data(channel) + self.link.data(channel)
    }

    fn credit(&self, channel: u32) -> u64 {
        self.buffered.credit(channel) + self.link.credit(channel)
    }
}
