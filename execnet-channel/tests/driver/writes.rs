//! How many calls to the system the messages cost.

use execnet_channel::{Config, Mux};
use execnet_proto::Side;
use tokio::io::{BufWriter, duplex, split};

use super::support::{End, Ends, Task, message, now, zeros};

#[tokio::test]
async fn preamble_hello_open_and_first_messages_leave_with_one_call() {
    let mut ends = Ends::silent(1 << 20, Default::default(), Default::default());
    let mut channel = ends.a.mux.open().unwrap();
    for number in 0..100 {
        now(channel.send(message(number))).unwrap();
    }
    ends.a.driver.poll();
    assert_eq!(ends.a.writes.take().0, 1);
}

#[tokio::test]
async fn all_messages_that_wait_leave_with_one_call() {
    let mut ends = Ends::new(1 << 20);
    let mut channels: Vec<_> = (0..10).map(|_| ends.a.mux.open().unwrap()).collect();
    ends.run();
    ends.a.writes.take();
    for (count, of, channels_used) in [(1, 1, 1), (2_000, 2_000, 1), (2_000, 200, 10)] {
        for channel in &mut channels[..channels_used] {
            for number in 0..of {
                now(channel.send(message(number))).unwrap();
            }
        }
        assert_eq!(ends.a.writes.take(), (0, 0), "only the driver writes");
        while ends.a.driver.poll_if_woken() {}
        assert_eq!(ends.a.writes.take(), (1, count * (8 + 32)));
    }
}

#[tokio::test]
async fn with_several_channels_the_tasks_that_are_ready_go_first() {
    let mut ends = Ends::new(1 << 20);
    let (mut one, _far_one) = ends.open();
    let (mut other, _far_other) = ends.open();
    ends.run();
    ends.a.writes.take();
    now(one.send(message(1))).unwrap();
    assert!(ends.a.driver.poll_if_woken());
    assert_eq!(ends.a.writes.take(), (0, 0));
    // What was ready when the driver was woken.
    now(other.send(message(2))).unwrap();
    assert!(ends.a.driver.poll_if_woken());
    assert_eq!(ends.a.writes.take(), (1, 2 * (8 + 32)));
    assert!(!ends.a.driver.poll_if_woken(), "once is enough");
}

#[tokio::test]
async fn long_payloads_are_gathered_into_the_same_call() {
    let mut ends = Ends::new(1 << 20);
    let (mut channel, _far) = ends.open();
    ends.a.writes.take();
    for _ in 0..12 {
        now(channel.send(message(0))).unwrap();
        now(channel.send(zeros(10_000))).unwrap();
    }
    ends.a.driver.poll_if_woken();
    assert_eq!(ends.a.writes.take(), (1, 12 * (8 + 32 + 8 + 10_000)));
}

#[tokio::test]
async fn a_batch_is_filled_up_to_the_send_buffer() {
    let mut ends = Ends::new(8 << 20);
    let (mut channel, _far) = ends.open();
    ends.a.writes.take();
    // Fits the channel's first window of 256 KiB; the send buffer holds 128 KiB.
    now(channel.send(zeros(250_000))).unwrap();
    ends.a.driver.poll_if_woken();
    let (calls, bytes) = ends.a.writes.take();
    assert!(bytes > 250_000, "all of it: {bytes}");
    assert_eq!(calls, 2);
}

#[tokio::test]
async fn credit_is_not_sent_for_each_message() {
    let mut ends = Ends::new(8 << 20);
    let (mut channel, mut far) = ends.open();
    ends.b.writes.take();
    for round in 0..100 {
        for number in 0..10 {
            now(channel.send(message(10 * round + number))).unwrap();
        }
        ends.run();
        for number in 0..10 {
            assert_eq!(now(far.recv()).unwrap(), Some(message(10 * round + number)));
        }
        ends.run();
    }
    // 40,000 bytes of credit used: less than half of any window.
    assert_eq!(ends.b.writes.take(), (0, 0));
}

#[tokio::test]
async fn a_writer_that_gathers_is_flushed_when_there_is_nothing_more_to_write() {
    let (here, there) = duplex(1 << 20);
    let (reader, writer) = split(here);
    let writer = BufWriter::with_capacity(1 << 20, writer);
    let (mux, _incoming, driver) =
        Mux::new(reader, writer, Side::Connector, Config::default()).unwrap();
    let mut driver = Task::new(driver);
    let mut far = End::new(there, Side::FarEnd, Config::default());
    let mut channel = mux.open().unwrap();
    while driver.poll_if_woken() | far.driver.poll_if_woken() {}
    let mut there = far.accept();
    for number in 0..10 {
        now(channel.send(message(number))).unwrap();
        while driver.poll_if_woken() | far.driver.poll_if_woken() {}
        assert_eq!(now(there.recv()).unwrap(), Some(message(number)));
    }
}
