//! Windows that grow while their readers keep up, within what the connection allows.

use execnet_channel::Config;
use execnet_channel::sim::Sim;
use execnet_proto::ChannelId;

use super::common::{recv_all, recv_one};
use super::told::{assert_nothing_left, costing, greeted_with, open, roomy};

const KIB: usize = 1 << 10;
const WINDOW: usize = 64 * KIB;

fn growing(most: usize) -> Sim {
    let config = Config { max_channel_window: most as u32, ..roomy() };
    greeted_with(config.clone(), config)
}

/// Sends so many messages of 1 KiB, each of which is read when it comes.
fn keep_up(sim: &mut Sim, id: ChannelId, messages: usize) {
    for _ in 0..messages {
        sim.a().try_send(id, costing(KIB)).unwrap();
        sim.run_until_quiet();
        recv_one(sim.b(), id);
        sim.run_until_quiet();
    }
}

/// The whole window, every byte of which is somewhere: with the sender, unread, or not worth a frame yet.
fn window(sim: &mut Sim, id: ChannelId) -> usize {
    let windows = sim.b().diagnostics().channels[&id];
    let credit = sim.a().diagnostics().channels[&id].send;
    assert_eq!(credit + windows.held + windows.unreturned(), windows.window);
    windows.window as usize
}

#[test]
fn a_window_doubles_each_time_half_of_it_was_read_at_once() {
    let mut sim = growing(4 << 20);
    let id = open(&mut sim);
    keep_up(&mut sim, id, 31);
    assert_eq!(window(&mut sim, id), WINDOW);
    keep_up(&mut sim, id, 1);
    assert_eq!(window(&mut sim, id), 2 * WINDOW);
    keep_up(&mut sim, id, 63);
    assert_eq!(window(&mut sim, id), 2 * WINDOW);
    keep_up(&mut sim, id, 1);
    // The connection's 256 KiB leave half of them for all growth together.
    assert_eq!(window(&mut sim, id), 3 * WINDOW);
    keep_up(&mut sim, id, 1_000);
    assert_eq!(window(&mut sim, id), 3 * WINDOW);
    assert_nothing_left(&mut sim);
}

#[test]
fn the_largest_window_is_reached_to_the_byte() {
    for most in [WINDOW, WINDOW + 1, 100 * KIB, 2 * WINDOW - 1, 2 * WINDOW, 2 * WINDOW + 1] {
        let mut sim = growing(most);
        let id = open(&mut sim);
        keep_up(&mut sim, id, 1_000);
        assert_eq!(window(&mut sim, id), most);
        assert_nothing_left(&mut sim);
    }
}

#[test]
fn a_reader_that_lags_behind_gets_no_larger_window() {
    let mut sim = growing(4 << 20);
    let id = open(&mut sim);
    // The sender is always ahead by more than an eighth of the window.
    for _ in 0..9 {
        sim.a().try_send(id, costing(KIB)).unwrap();
    }
    keep_up(&mut sim, id, 1_000);
    assert_eq!(window(&mut sim, id), WINDOW);
    recv_all(sim.b(), id);
    keep_up(&mut sim, id, 100);
    assert!(window(&mut sim, id) > WINDOW, "it has caught up");
}

#[test]
fn growth_is_shared_and_comes_back_with_the_close() {
    let mut sim = growing(4 << 20);
    let (first, second) = (open(&mut sim), open(&mut sim));
    keep_up(&mut sim, first, 1_000);
    keep_up(&mut sim, second, 1_000);
    assert_eq!((window(&mut sim, first), window(&mut sim, second)), (3 * WINDOW, WINDOW));
    assert_eq!(sim.b().diagnostics().grown as usize, 2 * WINDOW);
    sim.a().close(first, None);
    sim.run_until_quiet();
    assert_eq!(sim.b().diagnostics().grown, 0);
    keep_up(&mut sim, second, 1_000);
    assert_eq!(window(&mut sim, second), 3 * WINDOW);
    assert_nothing_left(&mut sim);
}

#[test]
fn a_grown_window_is_filled_to_its_last_byte_and_stays_within_the_connections() {
    let mut sim = growing(4 << 20);
    let id = open(&mut sim);
    keep_up(&mut sim, id, 1_000);
    // Whatever was not worth a frame comes back once everything that was sent is read.
    let credit = sim.a().diagnostics().channels[&id].send as usize;
    let mut sent = 0;
    while sim.a().try_send(id, costing(KIB)).is_ok() {
        sent += 1;
        sim.run_until_quiet();
    }
    assert_eq!(sent, credit / KIB);
    assert!(sim.b().status().unread_total as usize <= 256 * KIB);
    assert_eq!(recv_all(sim.b(), id).0.len(), sent);
    assert_nothing_left(&mut sim);
}
