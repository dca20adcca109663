//! Feature `sim`: every window with all its parts, and whether the books balance.

use std::collections::BTreeMap;

use execnet_proto::ChannelId;

use super::credit::{RecvWindow, SendWindow};
use super::slot::{Receiving, Slot};
use super::{Connection, cost_of};

/// Where the credit and the memory of one side are. See [`Connection::diagnostics`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostics {
    /// The connection's own windows.
    pub connection: Windows,
    /// Those of every channel whose state is kept.
    pub channels: BTreeMap<ChannelId, Windows>,
    /// The number that the peer must open next; `None` when it has used all.
    pub next_remote: Option<ChannelId>,
    /// Bytes in memory whose credit went back before they were read.
    pub advanced: usize,
    /// By how much all channels' receive windows have grown together.
    pub grown: u32,
    /// Payload bytes in memory: received, and not taken by the application.
    pub unread: usize,
    /// Payload bytes in memory: taken for sending, and not in the send buffer yet.
    pub unsent: usize,
}

/// Both windows of a channel, or of the connection, seen from one side. In bytes of credit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Windows {
    /// What we may still send.
    pub send: u32,
    /// The whole window that the peer sends into: what it may still send, what is held, and what
    /// is free again and not announced yet.
    pub window: u32,
    /// What the peer may still send, once all CREDIT on its way has arrived.
    pub receive: u32,
    /// What unread messages and fragments hold.
    pub held: u32,
}

impl Windows {
    fn new(send: &SendWindow, receive: &RecvWindow) -> Self {
        Self {
            send: send.available(),
            window: receive.window(),
            receive: receive.available(),
            held: receive.held(),
        }
    }

    /// What is free again and has not been announced.
    #[must_use]
    pub const fn unreturned(&self) -> u32 {
        self.window - self.receive - self.held
    }
}

impl Connection {
    /// Where credit and memory are. Takes time in proportion to the channels kept.
    #[must_use]
    pub fn diagnostics(&self) -> Diagnostics {
        let windows = |slot: &Slot| Windows::new(&slot.send_window, &slot.recv_window);
        let partial = |slot: &Slot| slot.partial.as_ref().map_or(0, |partial| partial.bytes.len());
        let slots = self.channels.values();
        Diagnostics {
            connection: Windows::new(&self.send_window, &self.recv_window),
            channels: self.channels.iter().map(|(&id, slot)| (id, windows(slot))).collect(),
            next_remote: self.next_remote,
            advanced: self.advanced,
            grown: self.grown,
            unread: slots.clone().map(|slot| slot.inbox.payload_len() + partial(slot)).sum(),
            unsent: slots.filter_map(|slot| slot.pending.as_ref()).map(|out| out.rest.len()).sum(),
        }
    }

    /// A copy of the frames that [`poll_transmit`](Self::poll_transmit) has not given out yet.
    #[must_use]
    pub fn send_buffer(&self) -> Vec<u8> {
        self.out.to_vec()
    }

    /// Adds everything up in a second way and compares. Costs time in proportion to all state.
    ///
    /// # Errors
    /// Which number is wrong. Never happens, unless this crate has a bug.
    pub fn check(&self) -> Result<(), String> {
        if self.error.is_some() {
            return Ok(());
        }
        self.check_receiving()?;
        self.check_sending()?;
        self.check_counts()
    }

    fn check_receiving(&self) -> Result<(), String> {
        let (mut held, mut advanced, mut unfinished) = (0, 0, 0);
        for (id, slot) in &self.channels {
            let (mut cost, mut early) = slot.inbox.totals();
            if let Some(partial) = &slot.partial {
                cost += partial.cost;
                early += partial.advanced;
                unfinished += 1;
                let entry = (*id, partial.serial);
                equal("places in `long`", count(&self.long, &entry), 1, *id)?;
                equal("bytes", partial.bytes.is_empty(), false, *id)?;
            }
            equal("held", slot.recv_window.held(), cost, *id)?;
            if slot.receiving != Receiving::Open || slot.is_closed_here() || slot.discard {
                equal("unfinished message", slot.partial.is_some(), false, *id)?;
            }
            let growth = slot.recv_window.window().checked_sub(self.config.channel_window);
            equal("window at least the first", growth.is_some(), true, *id)?;
            if slot.recv_window.window() > self.config.max_channel_window {
                return Err(format!("channel {id}: its window has outgrown max_channel_window"));
            }
            held += cost;
            advanced += early;
        }
        equal("held", self.recv_window.held(), held, "connection")?;
        equal("advanced", self.advanced, advanced, "connection")?;
        let most = self.config.connection_window as usize + self.config.long_messages;
        let most = (most as u64).saturating_add(self.config.max_message);
        let used = self.diagnostics().unread as u64;
        if used > most {
            return Err(format!("{used} bytes unread, more than all limits together: {most}"));
        }
        if self.long.len() < unfinished {
            return Err("an unfinished message that nobody keeps in order".into());
        }
        Ok(())
    }

    fn check_sending(&self) -> Result<(), String> {
        let most = self.max_fragment;
        for (&id, slot) in &self.channels {
            equal("scheduled", count(&self.schedule, &id), usize::from(slot.scheduled), id)?;
            let started = slot.pending.as_ref().is_some_and(|message| message.started);
            equal("started", count(&self.started, &id), usize::from(started), id)?;
            if let Some(message) = &slot.pending {
                let enough = slot.send_window.available() >= cost_of(message.rest.len().min(most));
                if enough && !slot.scheduled {
                    return Err(format!("channel {id} has credit and a message, and no turn"));
                }
            }
        }
        Ok(())
    }

    fn check_counts(&self) -> Result<(), String> {
        let (mut local, mut remote, mut grown) = (0, 0, 0);
        for (id, slot) in self.channels.iter().filter(|(_, slot)| !slot.is_over()) {
            *if id.opener() == self.side { &mut local } else { &mut remote } += 1;
            grown += slot.recv_window.window() - self.config.channel_window;
        }
        equal("channels opened here", self.open_local, local, "connection")?;
        equal("channels opened there", self.open_remote, remote, "connection")?;
        equal("grown", self.grown, grown, "connection")?;
        if self.grown > self.config.connection_window / 2 {
            return Err(format!("windows have grown by {}, more than their budget", self.grown));
        }
        Ok(())
    }
}

fn count<T: PartialEq>(all: impl IntoIterator<Item = T>, one: T) -> usize {
    all.into_iter().filter(|other| *other == one).count()
}

fn equal<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: T,
    expected: T,
    place: impl std::fmt::Display,
) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{place}: {what} = {found:?}, but it adds up to {expected:?}"))
    }
}
