//! Senders that are faster than their readers: they wait, in bounded memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use execnet_channel::{Config, Message, Request};
use execnet_proto::OutputStream;
use tokio::task::JoinSet;

use super::support::{Ends, Task, message, now, poll_times, taken, zeros};

#[tokio::test]
async fn a_reader_that_does_not_read_blocks_its_sender_and_nobody_else() {
    let mut ends = Ends::new(1 << 20);
    let (mut channel, mut far) = ends.open();
    let (mut other, mut other_far) = ends.open();
    let mut sent = 0;
    while taken(channel.send(zeros(1_000))) {
        sent += 1;
        ends.run();
    }
    // The window, to the last message that fits.
    assert_eq!(sent, (256 << 10) / 1_008);
    let status = ends.b.mux.status();
    assert_eq!(status.unread, [(far.id(), sent * 1_008)]);
    assert_eq!(ends.a.mux.status().waiting_for_credit, [channel.id()]);
    for number in 0..1_000 {
        now(other.send(message(number))).unwrap();
        ends.run();
        assert_eq!(now(other_far.recv()).unwrap(), Some(message(number)));
    }
    assert!(poll_times(1, channel.send(zeros(1_000))).is_none());
    for _ in 0..sent {
        now(far.recv()).unwrap();
    }
    ends.run();
    now(channel.send(zeros(1_000))).unwrap();
}

#[tokio::test]
async fn a_link_that_is_stuck_blocks_senders_in_bounded_memory() {
    let mut ends = Ends::new(1 << 10);
    let mut channels: Vec<_> = (0..100).map(|_| ends.a.mux.open().unwrap()).collect();
    ends.run();
    // From here on the peer reads nothing.
    let mut kept = 0;
    for channel in &mut channels {
        while taken(channel.send(zeros(1_000))) {
            kept += 1_008;
            ends.a.driver.poll_if_woken();
        }
    }
    // What the driver holds, the send buffer, and one waiting message for each channel.
    let most = 2 * ((128 << 10) + 1_008) + 100 * 1_008 + 1_024;
    assert!(kept <= most, "{kept} bytes were taken, more than {most}");
    assert!(kept >= 128 << 10);
    let mut waiting: Vec<_> =
        channels.iter_mut().map(|channel| Task::new(channel.send(message(0)))).collect();
    waiting.iter_mut().for_each(|task| assert!(!task.poll()));
    ends.b.driver.wakes();
    ends.b.driver.poll();
    loop {
        let mut any = ends.step();
        waiting.iter_mut().for_each(|task| any |= task.poll_if_woken());
        if !any {
            break;
        }
    }
    for task in waiting {
        task.output.expect("its sender waits for ever").unwrap();
    }
}

#[tokio::test]
async fn output_that_nobody_takes_stops_the_reading_until_somebody_does() {
    let mut ends = Ends::new(1 << 10);
    let far = ends.b.mux.clone();
    let mut printing = Task::new(async move {
        for _ in 0..1_000 {
            let bytes = Bytes::from(vec![b'x'; 1_000]);
            far.output(None, OutputStream::Stdout, bytes).await.unwrap();
        }
    });
    while printing.poll_if_woken() | ends.step() {}
    assert!(printing.output.is_none(), "a megabyte was taken by nobody");
    let mut came = 0;
    while came < 1_000_000 {
        while printing.poll_if_woken() | ends.step() {}
        let Request::Output { bytes, .. } = now(ends.a.incoming.next()).unwrap() else { panic!() };
        came += bytes.len();
    }
    assert_eq!(came, 1_000_000);
    assert!(printing.output.is_some());
}

#[tokio::test]
async fn interrupts_that_nobody_takes_are_bounded_too() {
    let mut ends = Ends::new(1 << 10);
    let (channel, _far) = ends.open();
    ends.run();
    let mut said = 0;
    for _ in 0..200_000 {
        channel.interrupt();
        ends.run();
        said += 1;
        if ends.a.writes.take().0 == 0 {
            // The link is full: the far end has stopped reading.
            break;
        }
    }
    assert!(said < 200_000, "the far end keeps whatever comes");
    // As soon as somebody takes them it goes on.
    let mut came = 0;
    while let Some(request) = poll_times(1, ends.b.incoming.next()) {
        assert!(matches!(request, Some(Request::Interrupt(_))));
        came += 1;
        ends.run();
    }
    assert_eq!(came, said);
}

#[tokio::test]
async fn a_slow_reader_of_much_gets_everything_and_little_is_kept() {
    let limit = Config { max_channel_window: 256 << 10, ..Config::default() };
    let mut ends = Ends::with(64 << 10, limit.clone(), limit);
    let (mut channel, mut far) = ends.open();
    let mut sending = Task::new(async move {
        for nth in 0..200u32 {
            let payload = vec![nth as u8; 40_000];
            channel.send(Message::bytes(payload)).await.unwrap();
        }
    });
    for nth in 0..200u32 {
        while sending.poll_if_woken() | ends.step() {}
        let held = ends.b.mux.status().unread_total;
        assert!(held <= 256 << 10, "{held} bytes are kept");
        let found = now(far.recv()).unwrap().unwrap();
        assert!(found.payload.iter().all(|byte| *byte == nth as u8));
    }
    while sending.poll_if_woken() | ends.step() {}
    assert_eq!(now(far.recv()).unwrap(), None);
}

#[tokio::test]
async fn a_busy_sender_lets_others_run_before_the_send_buffer_is_full() {
    for len in [0, 32, 256, 1_000, 4_000] {
        let mut ends = Ends::new(1 << 20);
        let (mut channel, _far) = ends.open();
        let sent = Arc::new(AtomicUsize::new(0));
        let count = sent.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                channel.send(zeros(len)).await.unwrap();
                count.fetch_add(len + 8, Ordering::Relaxed);
            }
        });
        // Once for the sender's turn, which ends by itself: nobody polls the driver.
        tokio::task::yield_now().await;
        let turn = sent.load(Ordering::Relaxed);
        assert!(turn > 90 << 10 && turn < 128 << 10, "{turn} bytes in messages of {len}");
    }
}
