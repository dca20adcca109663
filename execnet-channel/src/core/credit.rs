//! Credit: what may still be sent, and when to give it back.
//!
//! Two types, one for each end of a window. The sender's knows a single number. The receiver's
//! knows where every byte of the window is:
//!
//! ```text
//!        window
//!  ├───────────────────────────────────────┤
//!  │ available      │ held     │ unreturned│
//!   the peer may     received,  released, not yet
//!   still send       unread     announced
//! ```

use execnet_proto::MAX_WINDOW;

/// The most credit that a channel keeps back to announce it at once, in bytes. With a window of 4 MiB, 3.5 MiB can be
/// on their way: at 20 ms that is 171 MiB/s; where half was kept, it was 98, not the 119 of 1 Gbit/s.
const MOST_KEPT: u32 = 512 << 10;

/// What one side may still send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SendWindow {
    available: u32,
}

impl SendWindow {
    pub(crate) const fn new(available: u32) -> Self {
        Self { available }
    }

    pub(crate) const fn available(&self) -> u32 {
        self.available
    }

    /// Takes `cost`, if there is so much.
    #[must_use]
    pub(crate) const fn spend(&mut self, cost: u32) -> bool {
        match self.available.checked_sub(cost) {
            Some(left) => {
                self.available = left;
                true
            }
            None => false,
        }
    }

    /// Adds a peer's grant; false when the window would exceed its maximum.
    #[must_use]
    pub(crate) const fn grant(&mut self, amount: u32) -> bool {
        match self.available.checked_add(amount) {
            Some(sum) if sum <= MAX_WINDOW => {
                self.available = sum;
                true
            }
            _ => false,
        }
    }
}

/// What one side lets the other send, and what became of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecvWindow {
    window: u32,
    available: u32,
    held: u32,
}

impl RecvWindow {
    pub(crate) const fn new(window: u32) -> Self {
        Self { window, available: window, held: 0 }
    }

    pub(crate) const fn window(&self) -> u32 {
        self.window
    }

    /// Bytes received and not released.
    pub(crate) const fn held(&self) -> u32 {
        self.held
    }

    const fn unreturned(&self) -> u32 {
        self.window - self.available - self.held
    }

    /// Takes in what arrived; false when the peer overspent.
    #[must_use]
    pub(crate) const fn receive(&mut self, cost: u32) -> bool {
        match self.available.checked_sub(cost) {
            Some(left) => {
                self.available = left;
                self.held += cost;
                true
            }
            None => false,
        }
    }

    /// The application has taken `cost` bytes.
    pub(crate) fn release(&mut self, cost: u32) {
        debug_assert!(cost <= self.held, "released {cost} of {}", self.held);
        self.held = self.held.saturating_sub(cost);
    }

    /// What the peer may still send.
    pub(crate) const fn available(&self) -> u32 {
        self.available
    }

    /// Credit that a channel should announce now: 0 while the peer can well go on without, which it
    /// can with half of the window. Of a large window more than half must be on its way to fill a
    /// distant link, so there it is announced sooner. All that is held will be read by one reader,
    /// in order.
    #[must_use]
    pub(crate) const fn take_grant(&mut self) -> u32 {
        let half = self.window / 2;
        self.grant_from(if half < MOST_KEPT { half } else { MOST_KEPT })
    }

    /// The same for a window that many readers share. Here half of the whole would be a trap: with
    /// more than half of it held by a stalled reader, the others could never free so much, and
    /// their peers would wait for ever. So half of what is not held; and anything, when a frame
    /// that costs as much as `longest` could not be sent without.
    #[must_use]
    pub(crate) const fn take_shared_grant(&mut self, longest: u32) -> u32 {
        let threshold = if self.available < longest { 0 } else { (self.window - self.held) / 2 };
        self.grant_from(threshold)
    }

    const fn grant_from(&mut self, threshold: u32) -> u32 {
        let unreturned = self.unreturned();
        if unreturned == 0 || unreturned < threshold {
            return 0;
        }
        self.available += unreturned;
        unreturned
    }

    /// How far the window should grow while announcing a grant: it doubles as long as the reader
    /// keeps up, that is, hardly anything is held when the peer has used half of it.
    pub(crate) fn wanted_growth(&self, most: u32) -> u32 {
        if self.held > self.window / 8 {
            return 0;
        }
        self.window.min(most.saturating_sub(self.window))
    }

    /// Widens the window; the caller announces `amount` to the peer.
    pub(crate) const fn grow(&mut self, amount: u32) {
        self.window += amount;
        self.available += amount;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spending_stops_exactly_at_zero() {
        let mut window = SendWindow::new(100);
        assert!(!window.spend(101));
        assert!(window.spend(100));
        assert!(!window.spend(1));
        assert!(window.spend(0));
    }

    #[test]
    fn grants_stop_exactly_at_the_maximum() {
        let mut window = SendWindow::new(1);
        assert!(!window.grant(MAX_WINDOW));
        assert!(window.grant(MAX_WINDOW - 1));
        assert!(!window.grant(1));
        assert!(!window.grant(u32::MAX));
    }

    #[test]
    fn overspending_by_one_byte_is_noticed() {
        let mut window = RecvWindow::new(100);
        assert!(window.receive(60));
        assert!(!window.receive(41));
        assert!(window.receive(40));
        assert!(!window.receive(1));
    }

    #[test]
    fn a_channel_gives_credit_back_at_half_its_window() {
        let mut window = RecvWindow::new(100);
        assert!(window.receive(100));
        window.release(49);
        assert_eq!(window.take_grant(), 0);
        window.release(1);
        assert_eq!(window.take_grant(), 50);
        assert_eq!(window.available(), 50);
    }

    #[test]
    fn a_large_window_gives_credit_back_long_before() {
        let mut window = RecvWindow::new(4 << 20);
        assert!(window.receive(4 << 20));
        window.release(MOST_KEPT - 1);
        assert_eq!(window.take_grant(), 0);
        window.release(1);
        assert_eq!(window.take_grant(), MOST_KEPT);
    }

    #[test]
    fn a_shared_window_gives_it_back_at_half_of_what_is_not_held() {
        let mut window = RecvWindow::new(100);
        // 80 stay unread for ever; the others use the remaining 20 again and again.
        assert!(window.receive(80));
        for _ in 0..10 {
            assert!(window.receive(10));
            window.release(4);
            assert_eq!(window.take_shared_grant(10), 0);
            window.release(6);
            assert_eq!(window.take_shared_grant(10), 10);
        }
    }

    proptest! {
        /// Whatever is received and released in whatever order: nothing is given twice or lost,
        /// and a reader that has taken everything leaves the peer at least half the window.
        #[test]
        fn the_parts_always_make_the_window(steps in prop::collection::vec((any::<bool>(), 1u32..400), 1..200)) {
            let mut window = RecvWindow::new(1_000);
            let mut peer = SendWindow::new(1_000);
            for (receive, amount) in steps {
                if receive {
                    prop_assert_eq!(window.receive(amount), peer.spend(amount));
                } else {
                    window.release(amount.min(window.held()));
                    let grant = window.take_grant() + window.take_shared_grant(200);
                    prop_assert!(peer.grant(grant));
                }
                prop_assert_eq!(window.available, peer.available());
                prop_assert!(window.available + window.held <= window.window);
            }
            window.release(window.held());
            prop_assert!(peer.grant(window.take_grant()));
            prop_assert!(peer.available() >= 500);
        }
    }
}
