//! What becomes of channels: opened, taken, finished, closed, forgotten.

use std::collections::VecDeque;

use execnet_proto::{ChannelId, Fault, Frame};

use super::slot::{Receiving, Sending, Slot};
use super::{Connection, Event};
use crate::{OpenError, ReceiveError};

/// How many slots are kept for channels to come.
const SPARE: usize = 64;

impl Connection {
    /// Opens a channel. With `exec` its first message is a request for the far end to run.
    ///
    /// # Errors
    /// [`OpenError`]: too many, no more numbers, or the connection has ended.
    pub fn open(&mut self, exec: bool) -> Result<ChannelId, OpenError> {
        if let Some(error) = &self.error {
            return Err(error.clone().into());
        }
        if self.open_local >= self.peer_limits.max_channels {
            return Err(OpenError::TooMany(self.peer_limits.max_channels));
        }
        let id = self.next_local.ok_or(OpenError::NumbersUsedUp)?;
        self.next_local = id.next();
        self.open_local += 1;
        self.insert_slot(id, true);
        let frame = if exec { Frame::Exec(id) } else { Frame::Open(id) };
        self.out.push_ordered(&frame);
        Ok(id)
    }

    /// Takes a channel that the peer opened. Without this, its CLOSE is not answered and it counts
    /// against the peer's limit.
    pub fn accept(&mut self, id: ChannelId) {
        let Some(slot) = self.channels.get_mut(&id) else { return };
        if std::mem::replace(&mut slot.accepted, true) {
            return;
        }
        if slot.receiving == Receiving::Closed && self.error.is_none() {
            self.answer_close(id);
        }
    }

    /// Sends no more on this channel: EOF follows the last message.
    pub fn finish(&mut self, id: ChannelId) {
        let Some(slot) = self.channels.get_mut(&id) else { return };
        slot.done = true;
        if self.error.is_none() && matches!(slot.sending, Sending::Open) {
            slot.sending = Sending::Finishing;
            self.flush_ending(id);
        }
    }

    /// Closes the channel in both directions, after what was accepted for sending. With a `fault`
    /// the peer's readers get it as an error. What has been received stays readable, what still
    /// comes is dropped. A second close does nothing.
    pub fn close(&mut self, id: ChannelId, fault: Option<Fault>) {
        let Some(slot) = self.channels.get_mut(&id) else { return };
        slot.done = true;
        if self.error.is_some() || slot.is_closed_here() {
            return;
        }
        slot.sending = Sending::Closing(fault.map(Box::new));
        slot.accepted = true;
        if let Some(partial) = slot.partial.take() {
            self.drop_partial(id, &partial);
        }
        let Some(slot) = self.channels.get_mut(&id) else { return };
        if slot.want_readable {
            slot.want_readable = false;
            self.events.push_back(Event::Readable(id));
        }
        self.flush_ending(id);
    }

    /// The error that the peer closed the channel with, while the application has not been told of it: neither received
    /// it nor waited for the close, nor interrupted what runs there before it came.
    #[must_use]
    pub fn unread_fault(&self, id: ChannelId) -> Option<&Fault> {
        let slot = self.channels.get(&id)?;
        slot.fault.as_deref().filter(|_| !slot.fault_told)
    }

    /// The application lets go of one half of the channel. Whether it had let go of the other one before.
    #[cfg(feature = "tokio")]
    pub(crate) fn let_go(&mut self, id: ChannelId) -> bool {
        let Some(slot) = self.channels.get_mut(&id) else { return true };
        std::mem::replace(&mut slot.half_gone, true)
    }

    /// The application lets go of the channel: it is closed, and its unread messages are dropped.
    pub fn forget(&mut self, id: ChannelId) {
        self.close(id, None);
        self.discard(id);
        let Some(slot) = self.channels.get_mut(&id) else { return };
        slot.forgotten = true;
        (slot.want_readable, slot.want_writable, slot.want_closed) = (false, false, false);
        if slot.is_over() || self.error.is_some() {
            self.remove_slot(id);
        }
    }

    /// The application reads no more here: unread messages are dropped, and so is what still comes,
    /// without holding the peer up.
    pub fn discard(&mut self, id: ChannelId) {
        let Some(slot) = self.channels.get_mut(&id) else { return };
        slot.discard = true;
        let inbox = std::mem::take(&mut slot.inbox);
        let partial = slot.partial.take();
        let (cost, advanced) = inbox.totals();
        self.give_back(id, cost, advanced);
        if let Some(partial) = partial {
            self.drop_partial(id, &partial);
        }
        self.long.retain(|&(channel, _)| channel != id);
        self.advance_oldest();
    }

    /// Whether the peer has closed the channel: `None` while it has not and the connection lives.
    ///
    /// Asks for [`Event::Closed`] when the answer is `None`.
    pub fn closed(&mut self, id: ChannelId) -> Option<Result<(), ReceiveError>> {
        let end = self.error.clone();
        let slot = self.channels.get_mut(&id)?;
        if slot.receiving == Receiving::Closed {
            slot.fault_told = true;
            return Some(match &slot.fault {
                Some(fault) => Err(ReceiveError::Remote(Fault::clone(fault))),
                None => Ok(()),
            });
        }
        if let Some(error) = end {
            return Some(Err(ReceiveError::Connection(error)));
        }
        slot.want_closed = true;
        None
    }

    /// Whether sending or receiving on this channel is over for good on this side.
    #[must_use]
    pub fn is_closed(&self, id: ChannelId) -> bool {
        self.error.is_some()
            || self
                .channels
                .get(&id)
                .is_none_or(|slot| slot.is_closed_here() || slot.receiving == Receiving::Closed)
    }

    /// Answers a CLOSE with ours and retires the channel if that was all.
    pub(super) fn answer_close(&mut self, id: ChannelId) {
        let Some(slot) = self.channels.get_mut(&id) else { return };
        if !matches!(slot.sending, Sending::Closed) {
            slot.sending = Sending::Closed;
            self.out.push_ordered(&Frame::Close { channel: Some(id), fault: None });
        }
        self.retire(id);
    }

    pub(super) fn insert_slot(&mut self, id: ChannelId, accepted: bool) {
        let fresh =
            Slot::new(self.peer_limits.channel_window, self.config.channel_window, accepted);
        let slot = match self.spare.pop() {
            Some(mut slot) => {
                *slot = fresh;
                slot
            }
            None => Box::new(fresh),
        };
        self.channels.insert(id, slot);
    }

    fn remove_slot(&mut self, id: ChannelId) {
        if let Some(mut slot) = self.channels.remove(&id)
            && self.spare.len() < SPARE
        {
            *slot = Slot::new(0, 0, false);
            self.spare.push(slot);
        }
    }

    /// When both CLOSEs have passed: stops counting the channel, and drops its state once the
    /// application has let go.
    pub(super) fn retire(&mut self, id: ChannelId) {
        let Some(slot) = self.channels.get(&id) else { return };
        if !slot.is_over() {
            return;
        }
        if id.opener() == self.side {
            self.open_local -= 1;
        } else {
            self.open_remote -= 1;
        }
        self.grown -= slot.recv_window.window() - self.config.channel_window;
        if slot.forgotten {
            self.remove_slot(id);
        }
    }
}

/// Tells all who wait on this channel.
pub(super) fn wake(events: &mut VecDeque<Event>, id: ChannelId, slot: &mut Slot) {
    if std::mem::take(&mut slot.want_readable) {
        events.push_back(Event::Readable(id));
    }
    if std::mem::take(&mut slot.want_writable) {
        events.push_back(Event::Writable(id));
    }
    if std::mem::take(&mut slot.want_closed) {
        events.push_back(Event::Closed(id));
    }
}
