//! What messages and channels cost in memory, counted by the allocator.
//!
//! The bounds are what was measured, with little room above: a change that needs more has to say so here.

mod common;

use std::io::IoSlice;
use std::time::{Duration, Instant};

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use common::recv_one;
use execnet_channel::core::{Batch, Connection, Event, Received};
use execnet_channel::{Config, Incoming, Message, Mux, Request};
use execnet_proto::{ChannelId, Side};

/// Two cores back to back, with nothing in between that would allocate.
struct Pair {
    now: Instant,
    a: Connection,
    b: Connection,
    batch: Batch,
}

impl Pair {
    #[expect(clippy::disallowed_methods, reason = "some instant to count from")]
    fn new() -> Self {
        let now = Instant::now();
        let side = |side| Connection::new(side, Config::default(), now).unwrap();
        let (a, b) = (side(Side::Connector), side(Side::FarEnd));
        let mut pair = Self { now, a, b, batch: Batch::new() };
        pair.exchange();
        pair
    }

    fn exchange(&mut self) {
        let Self { now, a, b, batch } = self;
        while transfer(a, b, batch, *now) | transfer(b, a, batch, *now) {}
    }

    /// A channel of `a`, taken by `b`.
    fn open(&mut self) -> ChannelId {
        let id = self.a.open(false).unwrap();
        self.exchange();
        self.take_events();
        id
    }

    fn take_events(&mut self) {
        while self.a.poll_event().is_some() {}
        while let Some(event) = self.b.poll_event() {
            if let Event::Opened { channel, .. } = event {
                self.b.accept(channel);
            }
        }
    }
}

fn transfer(from: &mut Connection, to: &mut Connection, batch: &mut Batch, now: Instant) -> bool {
    let mut moved = false;
    while from.poll_transmit(now, batch) {
        while !batch.is_empty() {
            let mut slices = [IoSlice::new(&[]); 64];
            let count = batch.slices(&mut slices);
            let mut buf = to.take_read_buf();
            slices[..count].iter().for_each(|slice| buf.extend_from_slice(slice));
            let written = slices[..count].iter().map(|slice| slice.len()).sum();
            to.handle_read(now, buf);
            batch.advance(written);
        }
        moved = true;
    }
    moved
}

/// Sends and receives 1,000 messages in groups, again and again until all buffers have their size, then once more
/// and counts: on the way out, and on the way in.
fn steady(len: usize, group: usize) -> [AllocationInfo; 2] {
    let mut pair = Pair::new();
    let id = pair.open();
    let payload = Bytes::from(vec![7; len]);
    let mut total = [AllocationInfo::default(); 2];
    for _round in 0..20 {
        total = [AllocationInfo::default(); 2];
        for _ in 0..1_000 / group {
            let sending = measure(|| {
                for _ in 0..group {
                    pair.a.try_send(id, Message::bytes(payload.clone())).unwrap();
                }
            });
            let receiving = measure(|| {
                pair.exchange();
                for _ in 0..group {
                    assert_eq!(recv_one(&mut pair.b, id).payload.len(), len);
                }
                assert!(matches!(pair.b.recv(id), Ok(Received::Nothing)));
                pair.exchange();
                pair.take_events();
            });
            total = [add(total[0], sending), add(total[1], receiving)];
        }
    }
    total
}

fn add(sum: AllocationInfo, part: AllocationInfo) -> AllocationInfo {
    AllocationInfo {
        count_total: sum.count_total + part.count_total,
        bytes_total: sum.bytes_total + part.bytes_total,
        bytes_current: sum.bytes_current + part.bytes_current,
        ..sum
    }
}

#[test]
fn small_messages_that_come_together_share_their_memory() {
    let [sending, receiving] = steady(32, 100);
    assert_eq!(sending.count_total, 0);
    // One buffer for each hundred, which grows while they come.
    assert!(receiving.count_total <= 100, "{receiving:?} for 1,000 messages");
    assert!(receiving.bytes_total <= 100_000, "{receiving:?} for 1,000 messages");
    assert_eq!(receiving.bytes_current, 0);
}

#[test]
fn a_small_message_that_comes_alone_costs_its_own_bytes() {
    let [sending, receiving] = steady(32, 1);
    assert_eq!(sending.count_total, 0);
    assert!(receiving.count_total <= 1_000, "{receiving:?} for 1,000 messages");
    assert!(receiving.bytes_total <= 32 * 1_000, "{receiving:?} for 1,000 messages");
    assert_eq!(receiving.bytes_current, 0);
}

#[test]
fn a_long_message_is_copied_nowhere() {
    let [sending, receiving] = steady(50_000, 1);
    assert_eq!(sending.count_total, 0);
    // At most the buffer that it is read into.
    assert!(receiving.count_total <= 1_000, "{receiving:?} for 1,000 messages");
    assert!(receiving.bytes_total <= 1_000 * (65 << 10), "{receiving:?} for 1,000 messages");
    assert_eq!(receiving.bytes_current, 0);
}

/// What an idle channel may take, both ends together.
const IDLE: i64 = 1 << 10;

#[test]
fn a_hundred_thousand_idle_channels() {
    const CHANNELS: usize = 100_000;
    let mut pair = Pair::new();
    let mut ids = Vec::with_capacity(CHANNELS);
    let opened = measure(|| {
        for _ in 0..CHANNELS {
            ids.push(pair.open());
        }
    });
    assert_eq!((pair.a.channels_kept(), pair.b.channels_kept()), (CHANNELS, CHANNELS));
    let fresh = opened.bytes_current / CHANNELS as i64;
    assert!(fresh <= IDLE / 2, "{fresh} bytes for a channel that was never used");
    let used = measure(|| {
        for &id in &ids {
            pair.a.try_send(id, Message::bytes("there")).unwrap();
            pair.b.try_send(id, Message::bytes("back")).unwrap();
            pair.exchange();
            recv_one(&mut pair.b, id);
            recv_one(&mut pair.a, id);
            pair.exchange();
        }
    });
    let idle = fresh + used.bytes_current / CHANNELS as i64;
    assert!(idle <= IDLE, "{idle} bytes for a channel that was used in both directions");
    let closed = measure(|| {
        for &id in &ids {
            pair.a.forget(id);
            pair.b.forget(id);
            pair.exchange();
        }
    });
    assert_eq!((pair.a.channels_kept(), pair.b.channels_kept()), (0, 0));
    // Their tables stay for the next ones, and hold no more than a few bytes for each.
    let left = opened.bytes_current + used.bytes_current + closed.bytes_current;
    assert!(left <= 64 * CHANNELS as i64, "{left} bytes are left of all of them");
}

#[test]
fn idle_channels_with_their_handles() {
    const CHANNELS: usize = 10_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mux, mut far) = runtime.block_on(connect());
    let mut channels = Vec::with_capacity(CHANNELS);
    let opened = measure(|| {
        runtime.block_on(async {
            let all = async {
                for _ in 0..CHANNELS {
                    let mut channel = mux.open().unwrap();
                    channel.send(Message::bytes("there")).await.unwrap();
                    let Some(Request::Opened { channel: mut other, .. }) = far.next().await else {
                        panic!("no channel");
                    };
                    other.recv().await.unwrap();
                    channels.push((channel, other));
                }
            };
            // Only against a hang.
            tokio::time::timeout(Duration::from_secs(100), all).await.expect("it hangs");
        });
    });
    let handles = size_of_val(&channels[0]) as i64;
    let idle = opened.bytes_current / CHANNELS as i64 + handles;
    assert!(idle <= IDLE, "{idle} bytes, {handles} of them for the handles");
}

#[expect(clippy::disallowed_methods, reason = "here we are the owner who spawns the drivers")]
async fn connect() -> (Mux, Incoming) {
    let (here, there) = tokio::io::duplex(1 << 20);
    let (mux, _, driver) = Mux::over(here, Side::Connector, Config::default()).unwrap();
    tokio::spawn(driver);
    let (_, far, driver) = Mux::over(there, Side::FarEnd, Config::default()).unwrap();
    tokio::spawn(driver);
    mux.peer().await.unwrap();
    (mux, far)
}
