//! The way in: bytes become frames, frames change state, messages wait to be taken.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use execnet_proto::{ChannelId, Format, Frame, Header, Hello, Kind, Side, VERSIONS};
use rustc_hash::FxHashMap;

use super::channels::wake;
use super::credit::RecvWindow;
use super::inbox::Inbox;
use super::slot::{Partial, Receiving, Sending, Slot};
use super::{
    Connection, Event, KEEPALIVE_TOKEN, MAX_UNANSWERED, Message, Received, cost_of,
    longest_fragment, push_credit, trace,
};
use crate::{ConnectionError, PeerMisbehaved, ReceiveError};

impl Connection {
    /// Takes in bytes that came. After an error the rest is ignored: see [`error`](Self::error).
    pub fn handle_input(&mut self, now: Instant, bytes: &[u8]) {
        if self.error.is_none() {
            self.decoder.extend(bytes);
            self.handle_frames(now);
        }
    }

    /// Lends the buffer to read into, instead of [`handle_input`](Self::handle_input): append to it, then give it
    /// back with [`handle_read`](Self::handle_read). Saves a copy.
    #[must_use = "give it back with `handle_read`"]
    pub fn take_read_buf(&mut self) -> BytesMut {
        std::mem::take(self.decoder.read_buf())
    }

    /// Works through what was appended to the buffer of [`take_read_buf`](Self::take_read_buf).
    pub fn handle_read(&mut self, now: Instant, buf: BytesMut) {
        if self.error.is_none() {
            self.decoder.put_read_buf(buf);
            self.handle_frames(now);
        }
    }

    fn handle_frames(&mut self, now: Instant) {
        self.keepalive.received(now);
        loop {
            match self.decoder.next_header() {
                Ok(Some(header)) => {
                    trace::received(header);
                    if let Err(error) = self.handle_frame(now, &header) {
                        return self.end(error);
                    }
                }
                Ok(None) => return,
                Err(error) => return self.end(error.into()),
            }
        }
    }

    /// Takes the next message off a channel and gives its credit back.
    ///
    /// # Errors
    /// [`ReceiveError::Remote`] or [`ReceiveError::Connection`] after the last message, for ever.
    pub fn recv(&mut self, id: ChannelId) -> Result<Received, ReceiveError> {
        let Some(slot) = self.channels.get_mut(&id) else { return Ok(Received::End) };
        if let Some(taken) = slot.inbox.pop() {
            self.release(id, taken.cost, taken.advanced);
            return Ok(Received::Message(taken.message));
        }
        let end = end_of(slot, self.error.as_ref()).map_err(|error| *error)?;
        Ok(if end { Received::End } else { Received::Nothing })
    }

    /// Takes all messages that wait on a channel at once, in exchange for an empty inbox. Their credit goes
    /// back only with [`release`](Self::release).
    ///
    /// Gives false when there was nothing and may still be: [`Event::Readable`] will tell.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    #[cfg(feature = "tokio")]
    pub(crate) fn take_inbox(
        &mut self,
        id: ChannelId,
        inbox: &mut Inbox,
    ) -> Result<bool, Box<ReceiveError>> {
        debug_assert!(inbox.is_empty());
        let Some(slot) = self.channels.get_mut(&id) else { return Ok(true) };
        if slot.inbox.is_empty() {
            return end_of(slot, self.error.as_ref());
        }
        std::mem::swap(&mut slot.inbox, inbox);
        Ok(true)
    }

    /// Takes the message that waits on a channel, if it is a single one, and gives its credit back; asks to be told of the next one. False with it
    /// when none can come.
    #[cfg(feature = "tokio")]
    pub(crate) fn recv_alone(&mut self, id: ChannelId) -> Option<(Message, bool)> {
        let slot = self.channels.get_mut(&id)?;
        let taken = slot.inbox.pop_alone()?;
        let next = !slot.is_ended() && self.error.is_none();
        slot.want_readable = next;
        self.release(id, taken.cost, taken.advanced);
        Some((taken.message, next))
    }

    /// The application has taken messages that cost so much, `advanced` bytes of them early.
    pub(crate) fn release(&mut self, id: ChannelId, cost: u32, advanced: usize) {
        if cost > 0 || advanced > 0 {
            self.give_back(id, cost, advanced);
        }
        if advanced > 0 {
            if let Some(at) = self.long.iter().position(|&(channel, _)| channel == id) {
                self.long.remove(at);
            }
            self.advance_oldest();
        }
        // What is unfinished stands in there.
        if !self.long.is_empty() {
            self.advance_partial(id);
        }
    }

    #[inline]
    fn handle_frame(&mut self, now: Instant, header: &Header) -> Result<(), ConnectionError> {
        if self.peer.is_none() && !matches!(header.kind, Kind::Hello | Kind::Close) {
            return Err(PeerMisbehaved::BeforeHello(header.kind).into());
        }
        // Each field by itself: a copy of the kind, written by bytes and read as one word, is a twentieth of what a short message costs.
        if let Kind::Data { more, format } = header.kind
            && let Some(id) = ChannelId::new(header.channel)
        {
            self.handle_data(id, more, format)?;
            if !self.long.is_empty() && is_low(&self.recv_window) {
                self.advance_oldest();
            }
            return Ok(());
        }
        self.handle_other(now, header)
    }

    /// All but messages. Not inlined: registers kept for these would be a tenth of what a short message costs.
    #[inline(never)]
    fn handle_other(&mut self, now: Instant, header: &Header) -> Result<(), ConnectionError> {
        let kind = header.kind;
        match Frame::parse(*header, self.decoder.take_payload())? {
            Frame::Hello(hello) => self.handle_hello(*hello),
            Frame::Open(id) => self.handle_open(id, false),
            Frame::Exec(_) if self.side == Side::Connector => {
                Err(PeerMisbehaved::WrongSide(Kind::Exec).into())
            }
            Frame::Exec(id) => self.handle_open(id, true),
            Frame::Credit { channel, amount } => self.handle_credit(channel, amount),
            Frame::Eof(id) => self.handle_eof(id),
            Frame::Close { channel: Some(id), fault } => self.handle_close(id, fault),
            Frame::Close { channel: None, fault: Some(fault) } => {
                Err(ConnectionError::Refused(fault))
            }
            Frame::Close { channel: None, fault: None } => Err(ConnectionError::ClosedByPeer),
            Frame::Interrupt(_) | Frame::Terminate(_) if self.side == Side::Connector => {
                Err(PeerMisbehaved::WrongSide(kind).into())
            }
            Frame::Interrupt(id) => {
                live_slot(&mut self.channels, id, Kind::Interrupt)?;
                self.events.push_back(Event::Interrupt(id));
                Ok(())
            }
            Frame::Terminate(terminate) => {
                self.events.push_back(Event::Terminate(terminate));
                Ok(())
            }
            Frame::Ping(token) => {
                self.pongs_owed += 1;
                if self.pongs_owed > MAX_UNANSWERED {
                    let most = MAX_UNANSWERED;
                    return Err(PeerMisbehaved::Flood { kind: Kind::Ping, most }.into());
                }
                self.out.push_urgent(&Frame::Pong(token));
                Ok(())
            }
            Frame::Pong(token) => self.handle_pong(now, u64::from_be_bytes(token)),
            Frame::Status(answer) => self.handle_status(answer),
            Frame::Output { .. } if self.side == Side::FarEnd => {
                Err(PeerMisbehaved::WrongSide(Kind::Output).into())
            }
            Frame::Output { channel, stream, bytes } => {
                self.events.push_back(Event::Output { channel, stream, bytes });
                Ok(())
            }
            // With a channel's number it went to `handle_data`; `parse` refuses the number 0.
            Frame::Data { .. } => Ok(()),
        }
    }

    fn handle_hello(&mut self, hello: Hello) -> Result<(), ConnectionError> {
        if self.peer.is_some() {
            return Err(PeerMisbehaved::SecondHello.into());
        }
        VERSIONS.settle(hello.versions)?;
        let before = std::mem::replace(&mut self.peer_limits, hello.limits);
        self.peer_reads = hello.readable();
        self.max_fragment = longest_fragment(&hello.limits, self.config.max_fragment);
        // All that was sent so far was sent on the least; the difference comes on top. The limits were checked,
        // so neither subtraction nor window overflows.
        let more = hello.limits.connection_window - before.connection_window;
        let _ = self.send_window.grant(more);
        let more = hello.limits.channel_window - before.channel_window;
        for (&id, slot) in &mut self.channels {
            let _ = slot.send_window.grant(more);
            if slot.pending.is_some() && !std::mem::replace(&mut slot.scheduled, true) {
                self.schedule.push_back(id);
            }
            if slot.pending.is_none() && std::mem::take(&mut slot.want_writable) {
                self.events.push_back(Event::Writable(id));
            }
        }
        if hello.keepalive_ms > 0 {
            self.keepalive.promised(Duration::from_millis(hello.keepalive_ms));
        }
        self.peer = Some(hello);
        self.events.push_back(Event::Hello);
        Ok(())
    }

    fn handle_open(&mut self, id: ChannelId, exec: bool) -> Result<(), ConnectionError> {
        if Some(id) != self.next_remote {
            let expected = self.next_remote;
            return Err(PeerMisbehaved::WrongNumber { found: id, expected }.into());
        }
        if self.open_remote >= self.config.max_channels {
            return Err(PeerMisbehaved::TooManyChannels(self.config.max_channels).into());
        }
        self.next_remote = id.next();
        self.open_remote += 1;
        self.insert_slot(id, false);
        self.events.push_back(Event::Opened { channel: id, exec });
        Ok(())
    }

    fn handle_data(
        &mut self,
        id: ChannelId,
        more: bool,
        format: Format,
    ) -> Result<(), ConnectionError> {
        let kind = Kind::Data { more, format };
        let payload = self.decoder.payload();
        let len = payload.len();
        let cost = cost_of(len);
        let most = self.config.max_message;
        let credit = self.recv_window.available();
        if !self.recv_window.receive(cost) {
            return Err(PeerMisbehaved::ConnectionOverspent { cost, credit }.into());
        }
        let announced = self.reads.contains(format);
        let slot = live_slot(&mut self.channels, id, kind)?;
        if slot.receiving != Receiving::Open {
            return Err(PeerMisbehaved::AfterEof { kind, channel: id }.into());
        }
        let credit = slot.recv_window.available();
        if !slot.recv_window.receive(cost) {
            return Err(PeerMisbehaved::Overspent { channel: id, cost, credit }.into());
        }
        if !announced {
            return Err(PeerMisbehaved::FormatNotAnnounced { channel: id, format }.into());
        }
        if more && len == 0 {
            return Err(PeerMisbehaved::EmptyFragment(id).into());
        }
        if slot.is_closed_here() || slot.discard {
            self.give_back(id, cost, 0);
            return Ok(());
        }
        if more || slot.partial.is_some() {
            return self.handle_fragment(id, more, format, cost);
        }
        if len as u64 > most {
            return Err(PeerMisbehaved::MessageTooLong { channel: id, most }.into());
        }
        if Inbox::packs(len) {
            slot.inbox.push_packed(format, payload);
        } else {
            slot.inbox.push_whole(format, self.decoder.take_payload(), cost, 0);
        }
        if std::mem::take(&mut slot.want_readable) {
            self.events.push_back(Event::Readable(id));
        }
        Ok(())
    }

    /// A message that does not travel in one frame. Credit has been spent on this part.
    #[inline(never)]
    fn handle_fragment(
        &mut self,
        id: ChannelId,
        more: bool,
        format: Format,
        cost: u32,
    ) -> Result<(), ConnectionError> {
        let Some(slot) = self.channels.get_mut(&id) else { return Ok(()) };
        let payload = self.decoder.payload();
        let most = self.config.max_message;
        let begun = slot.partial.as_ref().map_or(0, |partial| partial.bytes.len());
        if begun as u64 + payload.len() as u64 > most {
            return Err(PeerMisbehaved::MessageTooLong { channel: id, most }.into());
        }
        let Some(partial) = &mut slot.partial else {
            let (bytes, serial) = (BytesMut::from(payload), self.next_serial);
            slot.partial = Some(Box::new(Partial { format, bytes, cost, advanced: 0, serial }));
            self.next_serial += 1;
            self.long.push_back((id, serial));
            self.advance_partial(id);
            return Ok(());
        };
        if partial.format != format {
            return Err(PeerMisbehaved::FormatChanged(id).into());
        }
        partial.bytes.extend_from_slice(payload);
        partial.cost += cost;
        if more {
            self.advance_partial(id);
        } else {
            self.complete(id);
            self.tell_readable(id);
        }
        Ok(())
    }

    /// The last fragment has arrived: the message goes to the inbox.
    fn complete(&mut self, id: ChannelId) {
        let Some(slot) = self.channels.get_mut(&id) else { return };
        let Some(partial) = slot.partial.take() else { return };
        let Partial { format, bytes, cost, advanced, serial } = *partial;
        slot.inbox.push_whole(format, bytes.freeze(), cost, advanced);
        if advanced == 0 {
            // It needed nothing beyond its window.
            self.long.retain(|&(_, other)| other != serial);
            self.advance_oldest();
        }
    }

    /// The oldest of the unfinished messages needs no room: it can always be finished.
    pub(super) fn advance_oldest(&mut self) {
        if let Some(&(oldest, _)) = self.long.front() {
            self.advance_partial(oldest);
        }
    }

    /// Gives credit back early for the unfinished message of a channel, when it is the next one
    /// its reader will see, its sender could soon not go on, and there is room for it. The oldest gets it
    /// also when the connection's window is what runs low: others may hold all the rest of that.
    fn advance_partial(&mut self, id: ChannelId) {
        let Some(slot) = self.channels.get_mut(&id) else { return };
        let Some(partial) = &mut slot.partial else { return };
        let oldest = self.long.front().is_some_and(|&(_, serial)| serial == partial.serial);
        let needed = slot.inbox.is_empty()
            && (is_low(&slot.recv_window) || oldest && is_low(&self.recv_window));
        let room = self.advanced + partial.cost as usize <= self.config.long_messages;
        if needed && (room || oldest) {
            let cost = std::mem::take(&mut partial.cost);
            partial.advanced += cost as usize;
            self.advanced += cost as usize;
            self.give_back(id, cost, 0);
        }
    }

    /// An unfinished message will never be finished.
    pub(super) fn drop_partial(&mut self, id: ChannelId, partial: &Partial) {
        self.long.retain(|&(_, serial)| serial != partial.serial);
        self.give_back(id, partial.cost, partial.advanced);
        self.advance_oldest();
    }

    /// Frees `cost` bytes of the channel's and the connection's window and announces what is worth announcing.
    pub(super) fn give_back(&mut self, id: ChannelId, cost: u32, advanced: usize) {
        self.advanced -= advanced;
        self.recv_window.release(cost);
        if self.error.is_some() {
            return;
        }
        let grant = self.recv_window.take_shared_grant(self.longest_cost);
        if grant > 0 {
            push_credit(&mut self.out, None, grant);
        }
        let Some(slot) = self.channels.get_mut(&id) else { return };
        slot.recv_window.release(cost);
        // While our CLOSE waits behind a message, what comes is dropped but still given credit for: the peer
        // may be waiting in just the same way.
        if slot.receiving != Receiving::Open || matches!(slot.sending, Sending::Closed) {
            return;
        }
        let grant = slot.recv_window.take_grant();
        if grant > 0 {
            let budget = self.config.connection_window / 2 - self.grown;
            let wanted = slot.recv_window.wanted_growth(self.config.max_channel_window);
            let growth = wanted.min(budget);
            slot.recv_window.grow(growth);
            self.grown += growth;
            push_credit(&mut self.out, Some(id), grant + growth);
        }
    }

    fn tell_readable(&mut self, id: ChannelId) {
        if let Some(slot) = self.channels.get_mut(&id)
            && std::mem::take(&mut slot.want_readable)
        {
            self.events.push_back(Event::Readable(id));
        }
    }

    fn handle_eof(&mut self, id: ChannelId) -> Result<(), ConnectionError> {
        let slot = live_slot(&mut self.channels, id, Kind::Eof)?;
        if slot.receiving != Receiving::Open {
            return Err(PeerMisbehaved::AfterEof { kind: Kind::Eof, channel: id }.into());
        }
        if slot.partial.is_some() {
            return Err(PeerMisbehaved::EofInsideMessage(id).into());
        }
        slot.receiving = Receiving::Finished;
        self.tell_readable(id);
        Ok(())
    }

    fn handle_close(
        &mut self,
        id: ChannelId,
        fault: Option<execnet_proto::Fault>,
    ) -> Result<(), ConnectionError> {
        let slot = live_slot(&mut self.channels, id, Kind::Close)?;
        slot.receiving = Receiving::Closed;
        slot.fault = fault.map(Box::new);
        let accepted = slot.accepted;
        let partial = slot.partial.take();
        self.drop_pending(id);
        if let Some(partial) = partial {
            self.drop_partial(id, &partial);
        }
        if let Some(slot) = self.channels.get_mut(&id) {
            wake(&mut self.events, id, slot);
        }
        if accepted {
            self.answer_close(id);
        }
        Ok(())
    }

    fn handle_pong(&mut self, now: Instant, token: u64) -> Result<(), ConnectionError> {
        match self.pings.pop_front() {
            Some((expected, sent)) if expected == token => {
                if token & KEEPALIVE_TOKEN == 0 {
                    let round_trip = now.saturating_duration_since(sent);
                    self.events.push_back(Event::Pong { token, round_trip });
                }
                Ok(())
            }
            oldest => {
                let awaited = oldest.map(|(expected, _)| expected);
                Err(PeerMisbehaved::WrongPong { token, awaited }.into())
            }
        }
    }

    fn handle_status(&mut self, answer: Bytes) -> Result<(), ConnectionError> {
        if answer.is_empty() {
            self.questions_open += 1;
            if self.questions_open > MAX_UNANSWERED {
                let most = MAX_UNANSWERED;
                return Err(PeerMisbehaved::Flood { kind: Kind::Status, most }.into());
            }
            self.events.push_back(Event::StatusAsked);
            return Ok(());
        }
        self.questions_asked =
            self.questions_asked.checked_sub(1).ok_or(PeerMisbehaved::Unasked(Kind::Status))?;
        self.events.push_back(Event::Status(answer));
        Ok(())
    }
}

/// The state of a channel on which the peer may still send `kind`.
#[inline]
pub(super) fn live_slot(
    channels: &mut FxHashMap<ChannelId, Box<Slot>>,
    id: ChannelId,
    kind: Kind,
) -> Result<&mut Slot, ConnectionError> {
    match channels.get_mut(&id) {
        Some(slot) if slot.receiving != Receiving::Closed => Ok(slot),
        Some(slot) if !slot.is_over() => {
            Err(PeerMisbehaved::AfterClose { kind, channel: id }.into())
        }
        _ => Err(PeerMisbehaved::NotOpen { kind, channel: id }.into()),
    }
}

/// After the last message: the end (true), nothing yet (false), or the error.
fn end_of(slot: &mut Slot, error: Option<&ConnectionError>) -> Result<bool, Box<ReceiveError>> {
    if let Some(fault) = &slot.fault {
        slot.fault_told = true;
        return Err(Box::new(ReceiveError::Remote((**fault).clone())));
    }
    if slot.is_ended() {
        return Ok(true);
    }
    if let Some(error) = error {
        return Err(Box::new(ReceiveError::Connection(error.clone())));
    }
    slot.want_readable = true;
    Ok(false)
}

/// Whether the next fragment may find no credit: one takes at most half of a channel's first window.
const fn is_low(window: &RecvWindow) -> bool {
    window.available() < window.window() / 2
}

impl Message {
    /// What the message costs in credit when it travels in one frame.
    #[must_use]
    pub fn cost(&self) -> u32 {
        cost_of(self.payload.len())
    }
}
