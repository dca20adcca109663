//! How a story ends: all has arrived and nothing stays, or the connection has ended and all are told.

use execnet_channel::ConnectionError;
use execnet_proto::Side;

use super::{Known, SIDES, World};

impl World {
    /// Both applications take, read, answer and send again, until nothing moves any more.
    pub(super) fn settle(&mut self) {
        let mut moved = true;
        while moved {
            self.sim.run_until_quiet();
            moved = self.take_events();
            for side in SIDES {
                while self.accept(side) || self.answer(side) {
                    moved = true;
                }
                for id in self.ids(side) {
                    moved |= self.receive(side, id, usize::MAX) > 0;
                    moved |= self.retry(side, id);
                }
            }
            self.assert_in_order();
        }
    }

    /// Behind each operation, not each step of a long one: looking takes longer than stepping, and what is wrong only
    /// on the way shows behind an operation that goes just so far.
    pub(super) fn assert_in_order(&self) {
        if let Err(wrong) = self.sim.check() {
            panic!("{wrong}");
        }
    }

    pub(super) fn assert_all_arrived(&mut self) {
        let errors = SIDES.map(|side| self.sim.side(side).error().cloned());
        assert!(errors.iter().all(Option::is_none), "{errors:?}");
        for side in SIDES {
            for id in self.ids(side) {
                let Known { closed, deaf, .. } = *self.known(side.peer(), id);
                let known = self.known(side, id);
                let heard = !closed && !deaf;
                assert!(!heard || known.sent.is_empty(), "channel {id}: stuck {:?}", known.sent);
                assert!(known.blocked.is_none(), "channel {id}: {side:?} is blocked for ever");
                let over = closed || known.closed;
                assert!(over || known.interrupts == 0, "channel {id}: an interrupt is lost");
                assert!(!over || !known.waits_for_close, "channel {id}: not told of its close");
            }
            let signals = &self.app(side).signals;
            assert!(signals.is_empty(), "{side:?}: {signals:?}");
        }
    }

    pub(super) fn assert_nothing_stays(&mut self) {
        for side in SIDES {
            for id in self.ids(side) {
                self.forget(side, id);
            }
        }
        self.settle();
        for side in SIDES {
            let core = self.sim.side(side);
            assert_eq!((core.channels_kept(), core.status().channels), (0, 0), "{side:?}");
            let left = core.diagnostics();
            assert_eq!((left.unread, left.unsent, left.advanced, left.grown), (0, 0, 0, 0));
            assert_eq!(left.connection.held, 0);
        }
    }

    /// Says farewell behind all that was accepted for sending.
    pub(super) fn drain(&mut self, side: Side) {
        self.sim.side(side).drain_connection();
    }

    /// Whoever said farewell to a peer that was still there has lost nothing.
    pub(super) fn assert_drained(&mut self) {
        for side in SIDES {
            self.assert_told_of_the_end(side);
        }
        let errors = SIDES.map(|side| self.sim.side(side).error().cloned());
        let closed_here = |error: &Option<_>| matches!(error, Some(ConnectionError::ClosedHere));
        let closed_by_peer =
            |error: &Option<_>| matches!(error, Some(ConnectionError::ClosedByPeer));
        assert!(errors.iter().any(closed_here), "{errors:?}");
        assert!(errors.iter().all(|e| closed_here(e) || closed_by_peer(e)), "{errors:?}");
        for (side, peer) in [(0, 1), (1, 0)] {
            if !closed_here(&errors[side]) || !closed_by_peer(&errors[peer]) {
                continue;
            }
            for id in self.ids(SIDES[side]) {
                let Known { closed, deaf, .. } = *self.known(SIDES[peer], id);
                let sent = &self.known(SIDES[side], id).sent;
                assert!(closed || deaf || sent.is_empty(), "channel {id}: lost {sent:?}");
            }
        }
    }

    pub(super) fn assert_told_of_the_end(&mut self, side: Side) {
        self.take_events();
        assert!(self.app(side).ended, "{side:?} was not told");
        while self.accept(side) {}
        for id in self.ids(side) {
            self.receive(side, id, usize::MAX);
            let known = self.known(side, id);
            assert!(known.ended, "channel {id}: its reader waits for ever");
            assert!(known.blocked.is_none() || known.writable, "channel {id}: its sender waits");
            assert!(!known.waits_for_close, "channel {id}: not told of its close");
        }
    }
}
