//! What the stories have in common.
#![allow(unreachable_pub)]

use execnet_channel::core::{Connection, Event, Received, TrySendError};
use execnet_channel::sim::Sim;
use execnet_channel::{Config, ConnectionError, Message, SendError};
use execnet_proto::{ChannelId, Side};

use super::common::least;
pub use super::common::world::costing;

pub const A: Side = Side::Connector;
pub const B: Side = Side::FarEnd;

/// The least limits, and a send buffer that nothing waits for: only credit is.
pub fn roomy() -> Config {
    Config { send_buffer: 1 << 20, ..least() }
}

/// Two such sides that have heard each other.
pub fn greeted() -> Sim {
    greeted_with(roomy(), roomy())
}

pub fn greeted_with(a: Config, b: Config) -> Sim {
    let mut sim = Sim::new(a, b).checked();
    sim.run_until_quiet();
    assert_eq!((sim.events(A), sim.events(B)), (vec![Event::Hello], vec![Event::Hello]));
    sim
}

/// A channel of `a` that `b` has accepted.
pub fn open(sim: &mut Sim) -> ChannelId {
    let id = sim.a().open(false).unwrap();
    sim.run_until_quiet();
    assert_eq!(sim.events(B), [Event::Opened { channel: id, exec: false }]);
    sim.b().accept(id);
    id
}

/// The message comes back: it would have to wait.
#[track_caller]
pub fn blocked(core: &mut Connection, id: ChannelId, message: Message) -> Message {
    match core.try_send(id, message) {
        Err(TrySendError::Blocked(message)) => message,
        other => panic!("channel {id}: {other:?}"),
    }
}

/// It can never be sent.
#[track_caller]
pub fn refused(core: &mut Connection, id: ChannelId, message: Message) -> SendError {
    match core.try_send(id, message) {
        Err(TrySendError::Failed(error)) => error,
        other => panic!("channel {id}: {other:?}"),
    }
}

#[track_caller]
pub fn assert_nothing(core: &mut Connection, id: ChannelId) {
    let found = core.recv(id);
    assert!(matches!(found, Ok(Received::Nothing)), "channel {id}: {found:?}");
}

#[track_caller]
pub fn assert_end(core: &mut Connection, id: ChannelId) {
    for _ in 0..3 {
        let found = core.recv(id);
        assert!(matches!(found, Ok(Received::End)), "channel {id}: {found:?}");
    }
}

#[track_caller]
pub fn assert_alive(sim: &mut Sim) {
    for side in [A, B] {
        assert_eq!(sim.side(side).error().map(ConnectionError::to_string), None, "{side:?}");
    }
}

/// Lets go of everything: nothing is kept, and all credit is back where it belongs.
#[track_caller]
pub fn assert_nothing_left(sim: &mut Sim) {
    for side in [A, B] {
        for id in sim.side(side).diagnostics().channels.into_keys() {
            sim.side(side).forget(id);
        }
    }
    sim.run_until_quiet();
    assert_alive(sim);
    for side in [A, B] {
        let status = sim.side(side).status();
        assert_eq!((sim.side(side).channels_kept(), status.channels), (0, 0), "{side:?}");
        let own = sim.side(side).diagnostics();
        assert_eq!((own.advanced, own.grown, own.unread, own.unsent), (0, 0, 0, 0), "{side:?}");
        assert_eq!(own.connection.held, 0, "{side:?}");
    }
}
