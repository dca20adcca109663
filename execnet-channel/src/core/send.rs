//! The way out: messages become fragments, in turn, as far as credit and the send buffer go.

use std::time::Instant;

use bytes::Bytes;
use execnet_proto::{ChannelId, Frame, Kind, OutputStream};

use super::receive::live_slot;
use super::slot::{Outgoing, Receiving, Sending};
use super::{Batch, Connection, Event, Message, cost_of};
use crate::{ConnectionError, SendError};

/// Why [`Connection::try_send`] did not take a message.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "taken, blocked or failed: there is no fourth")]
pub enum TrySendError {
    /// No credit, or the message before it is still on its way. The message comes back;
    /// [`Event::Writable`] tells when to try again.
    Blocked(Message),
    /// It can never be sent.
    Failed(SendError),
}

impl Connection {
    /// Sends a message, or takes it to be sent when its turn comes; at most one message of a channel waits so.
    ///
    /// # Errors
    /// [`TrySendError::Blocked`] gives the message back; [`TrySendError::Failed`] says why it can never be sent.
    pub fn try_send(&mut self, id: ChannelId, message: Message) -> Result<(), TrySendError> {
        let mut message = Some(message);
        self.send_from(id, &mut message).map_err(|error| TrySendError::Failed(*error))?;
        message.map_or(Ok(()), |message| Err(TrySendError::Blocked(message)))
    }

    /// The same from where the message lies, since every move of a short one shows: it is gone when it was taken, and still
    /// there when that is blocked.
    ///
    /// # Errors
    /// It can never be sent. Boxed: room for an error, moved along with each success, shows as well.
    pub(crate) fn send_from(
        &mut self,
        id: ChannelId,
        message: &mut Option<Message>,
    ) -> Result<(), Box<SendError>> {
        let Some(Message { format, payload }) = message else { return Ok(()) };
        let (format, len) = (*format, payload.len());
        if let Some(error) = &self.error {
            return Err(Box::new(SendError::Connection(error.clone())));
        }
        let max_fragment = self.max_fragment;
        let known = self.peer.is_some();
        let Some(slot) = self.channels.get_mut(&id) else {
            return Err(Box::new(SendError::ClosedHere));
        };
        // In this order: the peer's CLOSE may be no more than the answer to ours.
        if slot.done {
            return Err(Box::new(SendError::ClosedHere));
        }
        if slot.receiving == Receiving::Closed {
            return Err(Box::new(SendError::ClosedByPeer));
        }
        let too_long = len as u64 > self.peer_limits.max_message;
        let unread = !self.peer_reads.contains(format);
        if known && too_long {
            let most = self.peer_limits.max_message;
            return Err(Box::new(SendError::TooLong { len: len as u64, most }));
        }
        if known && unread {
            return Err(Box::new(SendError::Format(format)));
        }
        let first = cost_of(len.min(max_fragment));
        if slot.pending.is_some()
            || slot.send_window.available() < first
            // Whether the peer takes it will be known when its HELLO is here.
            || too_long
            || unread
        {
            slot.want_writable = true;
            return Ok(());
        }
        let at_once = len <= max_fragment
            && self.schedule.is_empty()
            && self.out.len() < self.config.send_buffer
            && self.send_window.available() >= first;
        if at_once && slot.send_window.spend(first) && self.send_window.spend(first) {
            self.out.push_data(id, false, format, payload);
            *message = None;
        } else if let Some(Message { payload, .. }) = message.take() {
            slot.pending = Some(Outgoing { format, rest: payload, started: false });
            slot.scheduled = true;
            self.schedule.push_back(id);
        }
        Ok(())
    }

    /// Sends what a far end's program printed. Not subject to credit: the caller reads on only when
    /// [`wants_output`](Self::wants_output) says so.
    ///
    /// `bytes` beyond what a frame takes are sent in several.
    pub fn output(&mut self, channel: Option<ChannelId>, stream: OutputStream, mut bytes: Bytes) {
        let most = self.max_fragment - 1;
        while !bytes.is_empty() && self.error.is_none() {
            let bytes = bytes.split_to(most.min(bytes.len()));
            self.out.push_ordered(&Frame::Output { channel, stream, bytes });
        }
    }

    /// Whether the send buffer has room for output.
    #[must_use]
    pub fn wants_output(&self) -> bool {
        self.out.len() < self.config.send_buffer
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) would give anything. Messages that wait for the
    /// connection's credit do not count.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.out.is_empty() || self.schedule.front().is_some_and(|id| self.may_send(*id))
    }

    /// Whether the connection's credit covers the next fragment of a channel whose turn it is.
    fn may_send(&self, id: ChannelId) -> bool {
        let waiting = self.channels.get(&id).and_then(|slot| slot.pending.as_ref());
        waiting.is_none_or(|message| {
            let len = message.rest.len().min(self.max_fragment);
            self.send_window.available() >= cost_of(len)
        })
    }

    /// Fills `batch`, which must be empty, with what is to be written now; false when there is nothing.
    ///
    /// What it takes out makes room: [`Event::Writable`] may follow.
    #[must_use = "what is in the batch is to be written"]
    #[inline]
    pub fn poll_transmit(&mut self, now: Instant, batch: &mut Batch) -> bool {
        debug_assert!(batch.is_empty(), "the last batch has not been written");
        // Asked at each reading too, when mostly there is nothing.
        if self.out.is_empty() && self.schedule.is_empty() && !self.draining {
            return false;
        }
        self.fill(now, batch)
    }

    fn fill(&mut self, now: Instant, batch: &mut Batch) -> bool {
        self.pump();
        if self.draining && self.schedule.is_empty() {
            self.finish_draining();
        }
        if self.out.is_empty() {
            return false;
        }
        std::mem::swap(&mut self.out, batch);
        self.pongs_owed = 0;
        self.keepalive.sent(now);
        self.pump();
        true
    }

    /// Moves waiting messages into the send buffer. Most are there already.
    #[inline]
    fn pump(&mut self) {
        if !self.schedule.is_empty() {
            self.pump_scheduled();
        }
    }

    /// A fragment each, in turn.
    fn pump_scheduled(&mut self) {
        let max_fragment = self.max_fragment;
        // Turns passed over since the last fragment went out.
        let mut passed = 0;
        while self.out.len() < self.config.send_buffer && passed < self.schedule.len() {
            let Some(&id) = self.schedule.front() else { return };
            let Some(slot) = self.channels.get_mut(&id) else {
                self.schedule.pop_front();
                continue;
            };
            let Some(message) = &mut slot.pending else {
                slot.scheduled = false;
                self.schedule.pop_front();
                continue;
            };
            let len = message.rest.len().min(max_fragment);
            let more = message.rest.len() > len;
            let cost = cost_of(len);
            if slot.send_window.available() < cost {
                // CREDIT brings it back.
                slot.scheduled = false;
                self.schedule.pop_front();
                continue;
            }
            if self.send_window.available() < cost {
                return;
            }
            // When the connection's credit runs low, what is left belongs to the oldest unfinished
            // message: many begun and none completed would leave the peer with nothing to read
            // and so nothing to give credit for.
            let scarce = self.send_window.available() < self.peer_limits.connection_window / 4;
            let whole = !message.started && !more;
            if scarce && !whole && self.started.front().is_some_and(|&oldest| oldest != id) {
                self.schedule.rotate_left(1);
                passed += 1;
                continue;
            }
            if !slot.send_window.spend(cost) || !self.send_window.spend(cost) {
                return;
            }
            passed = 0;
            let payload = message.rest.split_to(len);
            self.out.push_data(id, more, message.format, &payload);
            if more {
                if !std::mem::replace(&mut message.started, true) {
                    self.started.push_back(id);
                }
                self.schedule.rotate_left(1);
                continue;
            }
            if message.started {
                self.started.retain(|&other| other != id);
            }
            slot.pending = None;
            slot.scheduled = false;
            self.schedule.pop_front();
            if std::mem::take(&mut slot.want_writable) {
                self.events.push_back(Event::Writable(id));
            }
            self.flush_ending(id);
        }
    }

    /// Sends the EOF or CLOSE that was waiting for the last message.
    pub(super) fn flush_ending(&mut self, id: ChannelId) {
        let Some(slot) = self.channels.get_mut(&id) else { return };
        if slot.pending.is_some() {
            return;
        }
        match &mut slot.sending {
            Sending::Finishing => {
                slot.sending = Sending::Finished;
                self.out.push_ordered(&Frame::Eof(id));
            }
            Sending::Closing(fault) => {
                let fault = fault.take().map(|fault| *fault);
                slot.sending = Sending::Closed;
                self.out.push_ordered(&Frame::Close { channel: Some(id), fault });
                self.retire(id);
            }
            _ => {}
        }
    }

    /// Drops what waits to be sent: the peer reads no more.
    pub(super) fn drop_pending(&mut self, id: ChannelId) {
        let Some(slot) = self.channels.get_mut(&id) else { return };
        if slot.pending.take().is_some_and(|message| message.started) {
            self.started.retain(|&other| other != id);
        }
    }

    /// CREDIT from the peer.
    pub(super) fn handle_credit(
        &mut self,
        channel: Option<ChannelId>,
        amount: u32,
    ) -> Result<(), ConnectionError> {
        use crate::PeerMisbehaved::TooMuchCredit;
        let Some(id) = channel else {
            return if self.send_window.grant(amount) {
                Ok(())
            } else {
                Err(TooMuchCredit(None).into())
            };
        };
        let slot = live_slot(&mut self.channels, id, Kind::Credit)?;
        if !slot.send_window.grant(amount) {
            return Err(TooMuchCredit(channel).into());
        }
        if slot.pending.is_some() {
            if !std::mem::replace(&mut slot.scheduled, true) {
                self.schedule.push_back(id);
            }
        } else if std::mem::take(&mut slot.want_writable) {
            self.events.push_back(Event::Writable(id));
        }
        Ok(())
    }
}
