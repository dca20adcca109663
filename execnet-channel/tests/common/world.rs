//! Two applications on a simulated connection, and a model of what must come out.
//!
//! An application is driven by events alone: it receives only where it has not found nothing since the
//! last `Readable`, and repeats a blocked send only after `Writable`. So a wakeup that is lost shows as
//! a message that never arrives.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use execnet_channel::core::{Event, Received, TrySendError};
use execnet_channel::sim::Sim;
use execnet_channel::{ConnectionError, Message, OpenError, ReceiveError, SendError};
use execnet_proto::{ChannelId, Fault, Side};

use super::numbered;

pub const SIDES: [Side; 2] = [Side::Connector, Side::FarEnd];

pub struct World {
    pub sim: Sim,
    pub apps: [App; 2],
}

/// What one application knows.
#[derive(Default)]
pub struct App {
    pub channels: BTreeMap<ChannelId, Chan>,
    /// Opened by the peer and not accepted yet.
    pub offered: VecDeque<ChannelId>,
    pub ended: bool,
    pub pongs: usize,
}

/// One side of one channel.
#[derive(Default)]
pub struct Chan {
    /// Accepted for sending and not yet received on the other side: number and length.
    pub sent: VecDeque<(u64, usize)>,
    next: u64,
    /// Lengths of messages that [`World::turn`] sends as soon as it can.
    pub to_send: VecDeque<usize>,
    /// A send that waits: what, and whether it is worth another try.
    pub blocked: Option<(u64, Message)>,
    writable: bool,
    /// Nothing was found, and `Readable` has not come since.
    waits: bool,
    waits_for_close: bool,
    /// Whether its sending, all of it, or its reading was given up here.
    pub finished: bool,
    pub closed: Option<Option<Fault>>,
    pub deaf: bool,
    /// Its application does not read for now.
    pub stalled: bool,
    pub forgotten: bool,
    /// How reading came to its end.
    pub end: Option<Result<(), ReceiveError>>,
    pub received: usize,
}

fn index(side: Side) -> usize {
    usize::from(side == Side::FarEnd)
}

impl World {
    pub fn new(sim: Sim) -> Self {
        Self { sim, apps: [App::default(), App::default()] }
    }

    pub fn app(&mut self, side: Side) -> &mut App {
        &mut self.apps[index(side)]
    }

    pub fn chan(&mut self, side: Side, id: ChannelId) -> Option<&mut Chan> {
        self.apps[index(side)].channels.get_mut(&id)
    }

    /// The `nth` channel of a side, counted around.
    pub fn pick(&self, side: Side, nth: usize) -> Option<ChannelId> {
        let channels = &self.apps[index(side)].channels;
        channels.keys().nth(nth % channels.len().max(1)).copied()
    }

    pub fn open(&mut self, side: Side) -> Option<ChannelId> {
        match self.sim.side(side).open(false) {
            Ok(id) => {
                self.app(side).channels.insert(id, Chan::default());
                Some(id)
            }
            Err(OpenError::TooMany(_)) => None,
            Err(OpenError::Connection(_)) if self.app(side).ended => None,
            Err(other) => panic!("{other}"),
        }
    }

    pub fn accept(&mut self, side: Side) -> Option<ChannelId> {
        let id = self.app(side).offered.pop_front()?;
        self.sim.side(side).accept(id);
        self.app(side).channels.insert(id, Chan::default());
        Some(id)
    }

    /// Starts to send a message, unless the one before it still waits.
    pub fn send(&mut self, side: Side, id: ChannelId, len: usize) {
        let Some(chan) = self.chan(side, id) else { return };
        if chan.blocked.is_some() {
            return;
        }
        let number = chan.next;
        chan.next += 1;
        self.try_send(side, id, number, numbered(number, len));
    }

    fn try_send(&mut self, side: Side, id: ChannelId, number: u64, message: Message) {
        let len = message.payload.len();
        let result = self.sim.side(side).try_send(id, message);
        let max = self.sim.side(side).peer().map(|hello| hello.limits.max_message);
        let (mut finished, mut peer_closed) = (false, false);
        if let Some(chan) = self.chan(side, id) {
            finished = chan.finished || chan.closed.is_some();
        }
        if let Some(other) = self.chan(side.peer(), id) {
            peer_closed = other.closed.is_some();
        }
        let ended = self.app(side).ended;
        let Some(chan) = self.chan(side, id) else { return };
        match result {
            Ok(()) => {
                assert!(!finished, "channel {id}: sent after the end");
                chan.sent.push_back((number, len));
            }
            Err(TrySendError::Blocked(message)) => {
                chan.blocked = Some((number, message));
                chan.writable = false;
            }
            Err(TrySendError::Failed(error)) => match error {
                SendError::TooLong { len: found, most } => {
                    assert_eq!((found, Some(most)), (len as u64, max));
                    assert!(found > most);
                }
                SendError::ClosedHere => assert!(finished, "channel {id}: not closed here"),
                SendError::ClosedByPeer => assert!(peer_closed, "channel {id}: not closed there"),
                SendError::Connection(_) => assert!(ended || chan.end.is_none()),
                other => panic!("channel {id}: {other}"),
            },
        }
    }

    /// Receives up to `most` messages, as far as events allow.
    pub fn recv(&mut self, side: Side, id: ChannelId, most: usize) -> usize {
        for count in 0..most {
            let Some(chan) = self.chan(side, id) else { return count };
            if chan.waits || chan.end.is_some() {
                return count;
            }
            let received = self.sim.side(side).recv(id);
            match received {
                Ok(Received::Message(message)) => self.received(side, id, &message),
                Ok(Received::Nothing) => {
                    self.chan(side, id).unwrap().waits = true;
                    return count;
                }
                Ok(Received::End) => {
                    self.reading_ended(side, id, Ok(()));
                    return count;
                }
                Err(error) => {
                    self.reading_ended(side, id, Err(error));
                    return count;
                }
            }
        }
        most
    }

    fn received(&mut self, side: Side, id: ChannelId, message: &Message) {
        let chan = self.chan(side, id).unwrap();
        assert!(!chan.deaf, "channel {id}: a message after its reading was given up");
        chan.received += 1;
        let other = self.chan(side.peer(), id).expect("a message from nobody");
        let (number, len) = other.sent.pop_front().expect("a message that nobody sent");
        assert_eq!(message.payload.len(), len, "channel {id}: message {number}");
        assert!(*message == numbered(number, len), "channel {id}: message {number} has changed");
    }

    /// The end must be the right one, and behind everything that was sent.
    fn reading_ended(&mut self, side: Side, id: ChannelId, end: Result<(), ReceiveError>) {
        let closed_here = self.chan(side, id).unwrap().closed.is_some();
        let deaf = self.chan(side, id).unwrap().deaf;
        if let Some(other) = self.chan(side.peer(), id) {
            let all = other.sent.is_empty() || closed_here || deaf;
            match &end {
                Ok(()) => {
                    assert!(all, "channel {id}: {} messages lost", other.sent.len());
                    let over = other.finished || other.closed.is_some() || closed_here;
                    assert!(over, "channel {id}: an end that nobody sent");
                }
                Err(ReceiveError::Remote(fault)) => {
                    assert!(all, "channel {id}: {} messages lost", other.sent.len());
                    assert_eq!(other.closed, Some(Some(fault.clone())), "channel {id}");
                }
                Err(ReceiveError::Connection(_)) => {
                    assert!(self.sim.side(side).error().is_some());
                }
                Err(other) => panic!("channel {id}: {other}"),
            }
        }
        self.chan(side, id).unwrap().end = Some(end);
    }

    pub fn finish(&mut self, side: Side, id: ChannelId) {
        let Some(chan) = self.chan(side, id) else { return };
        chan.finished = true;
        chan.blocked = None;
        self.sim.side(side).finish(id);
    }

    pub fn close(&mut self, side: Side, id: ChannelId, fault: Option<Fault>) {
        let Some(chan) = self.chan(side, id) else { return };
        if chan.closed.is_none() {
            chan.closed = Some(fault.clone());
        }
        chan.blocked = None;
        self.sim.side(side).close(id, fault);
    }

    pub fn discard(&mut self, side: Side, id: ChannelId) {
        let Some(chan) = self.chan(side, id) else { return };
        chan.deaf = true;
        self.sim.side(side).discard(id);
    }

    pub fn forget(&mut self, side: Side, id: ChannelId) {
        let Some(chan) = self.chan(side, id) else { return };
        // The core is not to be asked about it any more; what it sent may still arrive.
        chan.closed.get_or_insert(None);
        chan.blocked = None;
        (chan.deaf, chan.forgotten) = (true, true);
        (chan.waits, chan.waits_for_close, chan.end) = (false, false, Some(Ok(())));
        self.sim.side(side).forget(id);
    }

    /// Asks to be told when the peer has closed.
    pub fn wait_close(&mut self, side: Side, id: ChannelId) {
        let Some(chan) = self.chan(side, id) else { return };
        if !chan.forgotten && !chan.waits_for_close {
            let waits = self.sim.side(side).closed(id).is_none();
            self.chan(side, id).unwrap().waits_for_close = waits;
        }
    }

    /// Takes notice of what the cores tell.
    pub fn take_events(&mut self) -> bool {
        let mut any = false;
        for side in SIDES {
            for event in self.sim.events(side) {
                any = true;
                self.take_event(side, event);
            }
        }
        any
    }

    fn take_event(&mut self, side: Side, event: Event) {
        match event {
            Event::Opened { channel, exec: false } => self.app(side).offered.push_back(channel),
            Event::Readable(id) => {
                let chan = self.chan(side, id).expect("Readable: a channel that was accepted");
                let waited = std::mem::take(&mut chan.waits) || chan.forgotten;
                assert!(waited, "channel {id}: nobody waits to read");
            }
            Event::Writable(id) => {
                let chan = self.chan(side, id).expect("Writable: a channel that was accepted");
                chan.writable = true;
            }
            Event::Closed(id) => {
                let chan = self.chan(side, id).expect("Closed: a channel that was accepted");
                assert!(std::mem::take(&mut chan.waits_for_close));
                assert!(self.sim.side(side).closed(id).is_some());
            }
            Event::Pong { .. } => self.app(side).pongs += 1,
            Event::Hello => {}
            Event::Ended => {
                assert!(!std::mem::replace(&mut self.app(side).ended, true));
            }
            other => panic!("{other:?}"),
        }
    }

    /// One turn of both applications: accept everything, receive everything, repeat what was blocked.
    pub fn turn(&mut self) -> bool {
        let mut progress = self.take_events();
        for side in SIDES {
            while self.accept(side).is_some() {
                progress = true;
            }
            for id in self.app(side).channels.keys().copied().collect::<Vec<_>>() {
                let stalled = self.chan(side, id).unwrap().stalled;
                progress |= !stalled && self.recv(side, id, usize::MAX) > 0;
                progress |= self.retry(side, id);
                progress |= self.send_queued(side, id);
            }
        }
        progress
    }

    /// Tries a blocked send again, if that is worth it.
    pub fn retry(&mut self, side: Side, id: ChannelId) -> bool {
        let Some(chan) = self.chan(side, id) else { return false };
        if !chan.writable {
            return false;
        }
        let Some((number, message)) = chan.blocked.take() else { return false };
        self.try_send(side, id, number, message);
        true
    }

    fn send_queued(&mut self, side: Side, id: ChannelId) -> bool {
        let mut progress = false;
        while let Some(chan) = self.chan(side, id)
            && chan.blocked.is_none()
            && let Some(len) = chan.to_send.pop_front()
        {
            self.send(side, id, len);
            progress = true;
        }
        progress
    }

    /// Lets both applications go on until nothing moves any more.
    pub fn settle(&mut self) {
        loop {
            self.sim.run_until_quiet();
            if !self.turn() {
                self.sim.run_until_quiet();
                if !self.turn() {
                    return;
                }
            }
        }
    }

    /// After [`settle`](Self::settle): everything arrived that somebody could read, and nobody waits.
    pub fn assert_all_arrived(&mut self) {
        self.sim.check().unwrap();
        for side in SIDES {
            assert_eq!(self.sim.side(side).error().map(ConnectionError::to_string), None);
            for (id, chan) in &self.apps[index(side)].channels {
                let other = self.apps[index(side.peer())].channels.get(id).expect("accepted");
                let heard = other.closed.is_none() && !other.deaf && !other.stalled;
                assert!(
                    !heard || chan.sent.is_empty(),
                    "{side:?}, channel {id}: {} messages never arrived, the first {:?}; {:#?}",
                    chan.sent.len(),
                    chan.sent.front(),
                    self.sim.side(side).status(),
                );
                let blocked = chan.blocked.as_ref().map(|(number, _)| number);
                assert!(other.stalled || chan.to_send.is_empty());
                assert!(
                    other.stalled || blocked.is_none(),
                    "{side:?}, channel {id}: a send waits for ever"
                );
            }
        }
    }

    /// Lets go of all channels: nothing must be left, and every window must be whole.
    pub fn assert_clean_after_closing(&mut self) {
        for side in SIDES {
            for id in self.app(side).channels.keys().copied().collect::<Vec<_>>() {
                self.forget(side, id);
            }
        }
        self.settle();
        for side in SIDES {
            assert_eq!(self.sim.side(side).error().map(ConnectionError::to_string), None);
            assert_eq!(self.sim.side(side).channels_kept(), 0, "{side:?} keeps channels");
            assert_eq!(self.sim.side(side).status().channels, 0);
            let own = self.sim.side(side).diagnostics();
            let peer = self.sim.side(side.peer()).diagnostics();
            assert_eq!((own.advanced, own.grown, own.unread, own.unsent), (0, 0, 0, 0));
            assert_eq!(own.connection.held, 0);
            assert_eq!(own.connection.receive, peer.connection.send);
            let window = own.connection.receive + own.connection.unreturned();
            assert_eq!(window, own.connection.window);
        }
    }

    /// A kill: all that arrived stays readable, then comes the reason, and everybody is told.
    pub fn assert_told_of_the_end(&mut self, side: Side) {
        self.take_events();
        assert!(self.app(side).ended, "{side:?} was not told");
        let channels = self.app(side).channels.keys().copied().collect::<Vec<_>>();
        for id in channels {
            self.recv(side, id, usize::MAX);
            let chan = self.chan(side, id).unwrap();
            assert!(chan.end.is_some(), "{side:?}, channel {id}: its reader waits for ever");
            assert!(!chan.waits_for_close, "{side:?}, channel {id}: waits for its close for ever");
            assert!(
                chan.blocked.is_none() || chan.writable,
                "{side:?}, channel {id}: its sender waits for ever"
            );
        }
    }
}

/// A payload that costs exactly `cost` on a window.
pub fn costing(cost: usize) -> Message {
    Message::bytes(Bytes::from(vec![0x2a; cost - 8]))
}
