//! Links within one process.
//!
//! The clock is paused: it moves on only when nothing else can happen, so a time-out is proof that
//! something waits.

use std::io::{ErrorKind, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use execnet_transport::{Bootstrap, Ending, Link, Memory, Transport, memory};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const BRIEFLY: Duration = Duration::from_secs(1);

async fn read_all(link: &mut Link) -> String {
    let mut text = String::new();
    link.reader.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test(start_paused = true)]
async fn bytes_go_both_ways() {
    let (mut near, mut far) = memory::pair(64);
    near.writer.write_all(b"ping").await.unwrap();
    far.writer.write_all(b"pong").await.unwrap();
    let (mut at_far, mut at_near) = ([0; 4], [0; 4]);
    far.reader.read_exact(&mut at_far).await.unwrap();
    near.reader.read_exact(&mut at_near).await.unwrap();
    assert_eq!((&at_far, &at_near), (b"ping", b"pong"));
}

#[tokio::test(start_paused = true)]
async fn order_is_kept_through_any_buffer() {
    for buffer in [0, 1, 2, 7, 64, 4096] {
        let (Link { mut writer, guard: _near, .. }, mut far) = memory::pair(buffer);
        let sent: Vec<u8> = (0..10_000_u32).flat_map(u32::to_le_bytes).collect();
        let expected = sent.clone();
        let writing = tokio::spawn(async move {
            for chunk in sent.chunks(333) {
                writer.write_all(chunk).await.unwrap();
            }
        });
        let mut got = vec![0; expected.len()];
        for part in got.chunks_mut(100) {
            far.reader.read_exact(part).await.unwrap();
        }
        writing.await.unwrap();
        assert!(got == expected, "through {buffer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_buffer_makes_the_writer_wait() {
    let (mut near, mut far) = memory::pair(8);
    near.writer.write_all(b"12345678").await.unwrap();
    {
        let mut writing = Box::pin(near.writer.write_all(b"9"));
        assert!(timeout(BRIEFLY, &mut writing).await.is_err());
        far.reader.read_u8().await.unwrap();
        writing.await.unwrap();
    }
    near.writer.shutdown().await.unwrap();
    assert_eq!(read_all(&mut far).await, "23456789");
}

#[tokio::test(start_paused = true)]
async fn a_write_takes_what_fits_from_several_buffers() {
    let (mut near, mut far) = memory::pair(5);
    assert!(near.writer.is_write_vectored());
    let parts = [IoSlice::new(b"abc"), IoSlice::new(b""), IoSlice::new(b"defg")];
    assert_eq!(near.writer.write_vectored(&parts).await.unwrap(), 5);
    near.writer.shutdown().await.unwrap();
    assert_eq!(read_all(&mut far).await, "abcde");
}

#[tokio::test(start_paused = true)]
async fn half_close_leaves_the_other_direction() {
    let (mut near, mut far) = memory::pair(64);
    near.writer.write_all(b"question").await.unwrap();
    near.writer.shutdown().await.unwrap();
    assert_eq!(read_all(&mut far).await, "question");
    assert_eq!(near.writer.write_all(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert!(timeout(BRIEFLY, far.guard.wait()).await.is_err());
    far.writer.write_all(b"answer").await.unwrap();
    drop(far.writer);
    assert_eq!(read_all(&mut near).await, "answer");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_writer_is_a_half_close() {
    let (Link { writer, guard: _near, reader: _reader, .. }, mut far) = memory::pair(64);
    drop(writer);
    assert_eq!(read_all(&mut far).await, "");
    far.writer.write_all(b"still there").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_writer_learns_that_nobody_reads() {
    let (mut near, Link { reader, writer: _writer, guard: _far, .. }) = memory::pair(4);
    near.writer.write_all(b"full").await.unwrap();
    let mut writing = Box::pin(near.writer.write_all(b"more"));
    assert!(timeout(BRIEFLY, &mut writing).await.is_err());
    drop(reader);
    assert_eq!(writing.await.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn an_empty_write_or_read_does_not_wait() {
    let (mut near, _far) = memory::pair(1);
    near.writer.write_all(b"x").await.unwrap();
    assert_eq!(near.writer.write(b"").await.unwrap(), 0);
    assert_eq!(near.writer.write_vectored(&[]).await.unwrap(), 0);
    assert_eq!(near.reader.read(&mut []).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_far_end_has_ended_when_both_its_halves_are_gone() {
    let (near, far) = memory::pair(64);
    let Link { reader, writer, guard: _held, .. } = far;
    assert!(timeout(BRIEFLY, near.guard.wait()).await.is_err());
    drop(reader);
    assert!(timeout(BRIEFLY, near.guard.wait()).await.is_err());
    let dropping = async {
        tokio::task::yield_now().await;
        drop(writer);
    };
    let (one, two, ()) = tokio::join!(near.guard.wait(), near.guard.wait(), dropping);
    assert_eq!((one, two), (Ending::Closed, Ending::Closed));
    assert_eq!(near.guard.wait().await, Ending::Closed);
}

#[tokio::test(start_paused = true)]
async fn kill_ends_both_sides() {
    for from_near in [true, false] {
        let (mut near, mut far) = memory::pair(64);
        near.writer.write_all(b"said").await.unwrap();
        let killed = if from_near { &near.guard } else { &far.guard };
        killed.kill();
        killed.kill();
        assert_eq!(near.guard.wait().await, Ending::Closed);
        assert_eq!(far.guard.wait().await, Ending::Closed);
        // What was on the way arrives, then both sides see the end.
        assert_eq!(read_all(&mut far).await, "said");
        assert_eq!(read_all(&mut near).await, "");
        for link in [&mut near, &mut far] {
            let error = link.writer.write_all(b"x").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_guard_ends_what_waits() {
    let (Link { mut reader, mut writer, guard, .. }, far) = memory::pair(1);
    writer.write_all(b"x").await.unwrap();
    let mut buffer = [0];
    let dropping = async {
        tokio::task::yield_now().await;
        drop(guard);
    };
    let (read, written, ending, ()) =
        tokio::join!(reader.read(&mut buffer), writer.write(b"y"), far.guard.wait(), dropping);
    assert_eq!(read.unwrap(), 0);
    assert_eq!(written.unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(ending, Ending::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_link_describes_itself() {
    let (near, _far) = memory::pair(1);
    assert_eq!((near.guard.address(), near.guard.pid()), ("memory", None));
    assert_eq!(near.bootstrap, Bootstrap::None);
    assert!(near.stderr.is_none());
    near.guard.interrupt();
    assert!(timeout(BRIEFLY, near.guard.wait()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_transport_hands_each_far_link_to_its_function() {
    let echo = Memory::new(|far| {
        tokio::spawn(async move {
            // All of the link: its guard, left behind, would end it.
            let mut far = far;
            tokio::io::copy(&mut far.reader, &mut far.writer).await.unwrap();
        });
    })
    .buffer(3);
    let echo: Box<dyn Transport> = Box::new(echo);
    assert_eq!(echo.address(), "memory");
    let (one, two) = tokio::join!(echo.connect(), echo.connect());
    for (link, text) in [(one, "one and a bit"), (two, "two")] {
        let Link { mut reader, mut writer, guard, .. } = link.unwrap();
        let writing = async {
            writer.write_all(text.as_bytes()).await.unwrap();
            writer.shutdown().await.unwrap();
        };
        let mut back = String::new();
        let ((), read) = tokio::join!(writing, reader.read_to_string(&mut back));
        read.unwrap();
        assert_eq!(back, text);
        assert_eq!(guard.wait().await, Ending::Closed);
    }
}

#[tokio::test]
async fn a_busy_link_lets_other_tasks_run() {
    let (mut near, mut far) = memory::pair(1024);
    let ran = Arc::new(AtomicBool::new(false));
    let other = tokio::spawn({
        let ran = ran.clone();
        async move { ran.store(true, Ordering::Relaxed) }
    });
    // On one thread this ends only if the pair yields at times.
    while !ran.load(Ordering::Relaxed) {
        near.writer.write_all(b"x").await.unwrap();
        far.reader.read_u8().await.unwrap();
    }
    other.await.unwrap();
}
