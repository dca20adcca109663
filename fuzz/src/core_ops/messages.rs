//! Channels and their messages, in order and whole.

use execnet_channel::core::{Received, TrySendError};
use execnet_channel::{Message, ReceiveError, SendError};
use execnet_proto::{ChannelId, Fault, Format, Side};

use super::{Known, MOST_CHANNELS, World};

/// What tells a message from others: its format, its length, and the byte that it is full of.
pub(super) type Mark = (Format, usize, u8);

impl World {
    pub(super) fn open(&mut self, side: Side, exec: bool) {
        let exec = exec && side == Side::Connector;
        let open = self.app(side).channels.values().filter(|known| !known.ended).count();
        if open < MOST_CHANNELS
            && let Ok(id) = self.sim.side(side).open(exec)
        {
            self.app(side).channels.insert(id, Known { exec, ..Known::default() });
        }
    }

    pub(super) fn accept(&mut self, side: Side) -> bool {
        let Some(id) = self.app(side).offered.pop_front() else { return false };
        self.sim.side(side).accept(id);
        self.app(side).channels.insert(id, Known::default());
        true
    }

    pub(super) fn send(&mut self, side: Side, id: ChannelId, format: Format, len: usize) {
        if self.known(side, id).blocked.is_none() && len <= self.left {
            self.left -= len;
            self.next = self.next.wrapping_add(1);
            self.try_send(side, id, Message { format, payload: vec![self.next; len].into() });
        }
    }

    /// Offers a message again that was blocked, once an event has said that it is worth it.
    pub(super) fn retry(&mut self, side: Side, id: ChannelId) -> bool {
        let known = self.known(side, id);
        if !known.writable {
            return false;
        }
        let Some(message) = known.blocked.take() else { return false };
        self.try_send(side, id, message);
        true
    }

    fn try_send(&mut self, side: Side, id: ChannelId, message: Message) {
        let mark = mark(&message);
        let (format, len, _) = mark;
        let over = self.known(side, id).finished || self.known(side, id).closed;
        let unread = format == Format::Marshal && !(self.marshal && side == Side::Connector);
        let too_long = len > 1 << 20;
        match self.sim.side(side).try_send(id, message) {
            Ok(()) => {
                assert!(!over && !unread && !too_long, "channel {id}: {side:?} sent {mark:?}");
                self.known(side, id).sent.push_back(mark);
            }
            Err(TrySendError::Blocked(message)) => {
                let known = self.known(side, id);
                (known.blocked, known.writable) = (Some(message), false);
            }
            Err(TrySendError::Failed(error)) => {
                let expected = match error {
                    SendError::ClosedHere => over,
                    SendError::ClosedByPeer => self.has_closed(side.peer(), id),
                    SendError::Connection(_) => self.has_ended(side),
                    SendError::Format(_) => unread,
                    SendError::TooLong { .. } => too_long,
                    _ => false,
                };
                assert!(expected, "channel {id}: {side:?} may send {mark:?}, but: {error}");
            }
        }
    }

    /// Receives as long as there is something, and gives how many messages that were.
    pub(super) fn receive(&mut self, side: Side, id: ChannelId, most: usize) -> usize {
        for count in 0..most {
            let known = self.known(side, id);
            if known.waits || known.ended {
                return count;
            }
            match self.sim.side(side).recv(id) {
                Ok(Received::Message(message)) => {
                    assert!(!self.known(side, id).deaf, "channel {id}: a message after discard");
                    let expected = self.known(side.peer(), id).sent.pop_front();
                    assert_eq!(expected, Some(mark(&message)), "channel {id}: lost or reordered");
                }
                Ok(Received::Nothing) => self.known(side, id).waits = true,
                Ok(Received::End) => self.end(side, id),
                Err(ReceiveError::Remote(_)) => {
                    assert!(self.has_closed(side.peer(), id), "channel {id}: nobody's error");
                    self.end(side, id);
                }
                Err(error) => {
                    assert!(self.has_ended(side), "channel {id}: {error}");
                    self.known(side, id).ended = true;
                }
            }
        }
        most
    }

    /// The end comes after everything that was sent, and not out of nothing.
    fn end(&mut self, side: Side, id: ChannelId) {
        let Known { closed, deaf, .. } = *self.known(side, id);
        self.known(side, id).ended = true;
        if !closed {
            let peer = self.known(side.peer(), id);
            assert!(peer.finished || peer.closed, "channel {id}: an end that nobody sent");
            assert!(deaf || peer.sent.is_empty(), "channel {id}: messages lost before the end");
        }
    }

    pub(super) fn finish(&mut self, side: Side, id: ChannelId) {
        let known = self.known(side, id);
        (known.finished, known.blocked) = (true, None);
        self.sim.side(side).finish(id);
    }

    pub(super) fn close(&mut self, side: Side, id: ChannelId, fault: Option<Fault>) {
        let known = self.known(side, id);
        (known.closed, known.blocked) = (true, None);
        self.sim.side(side).close(id, fault);
    }

    pub(super) fn discard(&mut self, side: Side, id: ChannelId) {
        self.known(side, id).deaf = true;
        self.sim.side(side).discard(id);
    }

    pub(super) fn forget(&mut self, side: Side, id: ChannelId) {
        let known = self.known(side, id);
        (known.closed, known.deaf, known.ended, known.forgotten) = (true, true, true, true);
        (known.blocked, known.waits_for_close) = (None, false);
        self.sim.side(side).forget(id);
    }

    /// Asks whether the peer has closed the channel, and to be told when it does.
    pub(super) fn ask_for_close(&mut self, side: Side, id: ChannelId) {
        if self.known(side, id).forgotten {
            return;
        }
        let closed = self.known(side, id).closed || self.has_closed(side.peer(), id);
        match self.sim.side(side).closed(id) {
            None => self.known(side, id).waits_for_close = true,
            Some(Ok(())) => assert!(closed, "channel {id}: a close that nobody sent"),
            Some(Err(ReceiveError::Remote(_))) => {
                assert!(self.has_closed(side.peer(), id), "channel {id}: nobody's error");
            }
            Some(Err(error)) => assert!(self.has_ended(side), "channel {id}: {error}"),
        }
    }

    pub(super) fn told_of_close(&mut self, side: Side, id: ChannelId) {
        let over = self.known(side, id).closed || self.has_closed(side.peer(), id);
        assert!(over || self.has_ended(side), "channel {id}: a close that nobody sent");
        let waited = std::mem::take(&mut self.known(side, id).waits_for_close);
        assert!(waited, "channel {id}: told of its close twice, or unasked");
    }
}

fn mark(message: &Message) -> Mark {
    let payload = &message.payload[..];
    let Some((&first, rest)) = payload.split_first() else { return (message.format, 0, 0) };
    assert_eq!(&payload[..rest.len()], rest, "a message has changed");
    (message.format, payload.len(), first)
}
