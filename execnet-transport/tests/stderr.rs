//! The tail and the live stream, over an in-memory reader.
//!
//! The clock is paused: it moves on only when nothing else can happen, so a time-out is proof that
//! something waits.

use std::time::Duration;

use execnet_transport::{Stderr, StderrStream};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

const LIMIT: usize = 100;
const BRIEFLY: Duration = Duration::from_secs(1);

fn stderr() -> (DuplexStream, Stderr) {
    let (writer, reader) = duplex(64);
    (writer, Stderr::with_limit(reader, LIMIT))
}

/// Writes, then waits until all of it has been drained.
async fn write(writer: &mut DuplexStream, text: &str) {
    writer.write_all(text.as_bytes()).await.unwrap();
    settle().await;
}

/// Lets every other task run until it waits.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

async fn finish(writer: DuplexStream, stderr: &Stderr) {
    drop(writer);
    stderr.closed().await;
}

async fn collect(mut stream: StderrStream) -> String {
    let mut all = Vec::new();
    while let Some(chunk) = stream.next().await {
        all.extend_from_slice(&chunk);
    }
    String::from_utf8(all).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_tail_is_what_came_last() {
    let (mut writer, stderr) = stderr();
    assert_eq!(stderr.tail(), "");
    assert!(stderr.tail_lines(3).is_empty());
    write(&mut writer, &"x".repeat(LIMIT - 1)).await;
    assert_eq!(stderr.tail(), "x".repeat(LIMIT - 1));
    write(&mut writer, "yz").await;
    assert_eq!(stderr.tail(), "x".repeat(LIMIT - 2) + "yz");
}

#[tokio::test(start_paused = true)]
async fn lines_are_whole() {
    let (mut writer, stderr) = stderr();
    let all: Vec<_> = (0..50).map(|n| format!("line {n}")).collect();
    write(&mut writer, &format!("{}\r\n", all.join("\n"))).await;
    assert_eq!(stderr.tail_lines(2), ["line 48", "line 49"]);
    assert_eq!(stderr.tail_lines(0), [""; 0]);
    // 100 bytes are 12 lines of 8, the "\r", and 3 bytes of one that began earlier.
    assert_eq!(stderr.tail_lines(usize::MAX), all[38..]);
    // A last line without an end is a line as well.
    write(&mut writer, "partial").await;
    assert_eq!(stderr.tail_lines(1), ["partial"]);
}

#[tokio::test(start_paused = true)]
async fn a_first_line_that_was_not_cut_is_kept() {
    let (mut writer, stderr) = stderr();
    // The limit falls exactly between two lines.
    write(&mut writer, &format!("gone\nfirst\n{}\n", "x".repeat(LIMIT - 7))).await;
    assert_eq!(stderr.tail_lines(9), ["first".to_owned(), "x".repeat(LIMIT - 7)]);
    // And within the only one.
    write(&mut writer, &"y".repeat(LIMIT * 2)).await;
    assert_eq!(stderr.tail_lines(9), ["y".repeat(LIMIT)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_utf8_is_shown_as_such() {
    let (mut writer, stderr) = stderr();
    writer.write_all(b"caf\xe9\n").await.unwrap();
    settle().await;
    assert_eq!(stderr.tail_lines(1), ["caf\u{fffd}"]);
}

#[tokio::test(start_paused = true)]
async fn the_first_stream_begins_at_the_start() {
    let (mut writer, stderr) = stderr();
    write(&mut writer, "early, ").await;
    let stream = stderr.subscribe();
    write(&mut writer, "late").await;
    finish(writer, &stderr).await;
    assert_eq!(collect(stream).await, "early, late");
    assert_eq!(stderr.tail(), "early, late");
}

#[tokio::test(start_paused = true)]
async fn a_stream_after_the_end_still_has_what_is_kept() {
    let (mut writer, stderr) = stderr();
    write(&mut writer, &("x".repeat(LIMIT) + "last words")).await;
    finish(writer, &stderr).await;
    assert_eq!(collect(stderr.subscribe()).await, "x".repeat(LIMIT - 10) + "last words");
    assert_eq!(collect(stderr.subscribe()).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_later_stream_goes_on_where_the_one_before_stopped() {
    let (mut writer, stderr) = stderr();
    let mut first = stderr.subscribe();
    write(&mut writer, "one").await;
    assert_eq!(first.next().await.unwrap(), "one");
    write(&mut writer, "two").await;
    drop(first);
    write(&mut writer, "three").await;
    let second = stderr.subscribe();
    finish(writer, &stderr).await;
    assert_eq!(collect(second).await, "twothree");
}

#[tokio::test(start_paused = true)]
async fn two_streams_each_have_it_all() {
    let (mut writer, stderr) = stderr();
    let (first, second) = (stderr.subscribe(), stderr.subscribe());
    let text: String = (0..100).map(|n| format!("{n} ")).collect();
    let writing = async {
        write(&mut writer, &text).await;
        drop(writer);
    };
    let ((), a, b) = tokio::join!(writing, collect(first), collect(second));
    assert_eq!((&a, &b), (&text, &text));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_lags_makes_the_far_end_wait() {
    let (mut writer, stderr) = stderr();
    let mut stream = stderr.subscribe();
    let much = "x".repeat(100_000);
    let mut writing = Box::pin(writer.write_all(much.as_bytes()));
    assert!(timeout(BRIEFLY, &mut writing).await.is_err());
    // Reading lets it go on, but only so far; being dropped lets it go on for good.
    assert!(stream.next().await.unwrap().len() >= LIMIT);
    assert!(timeout(BRIEFLY, &mut writing).await.is_err());
    drop(stream);
    writing.await.unwrap();
    assert_eq!(stderr.tail(), "x".repeat(LIMIT));
}

#[tokio::test(start_paused = true)]
async fn the_slowest_of_several_streams_is_waited_for() {
    let (mut writer, stderr) = stderr();
    let (fast, slow) = (stderr.subscribe(), stderr.subscribe());
    let reading = tokio::spawn(collect(fast));
    let much = "x".repeat(100_000);
    let mut writing = Box::pin(writer.write_all(much.as_bytes()));
    assert!(timeout(BRIEFLY, &mut writing).await.is_err());
    drop(slow);
    writing.await.unwrap();
    drop(writer);
    assert_eq!(reading.await.unwrap(), much);
}

#[tokio::test(start_paused = true)]
async fn what_comes_another_way_is_treated_alike() {
    let (mut writer, stderr) = stderr();
    let mut stream = stderr.subscribe();
    stderr.push(b"pushed ").await;
    write(&mut writer, "written").await;
    assert_eq!(stderr.tail(), "pushed written");
    assert_eq!(stream.next().await.unwrap(), "pushed written");
    // Both wait for a stream that lags, and both go on.
    let much = "x".repeat(2 * LIMIT);
    stderr.push(much.as_bytes()).await;
    let mut pushing = Box::pin(stderr.push(b"more"));
    let mut writing = Box::pin(writer.write_all(much.as_bytes()));
    assert!(timeout(BRIEFLY, &mut pushing).await.is_err());
    assert!(timeout(BRIEFLY, &mut writing).await.is_err());
    drop(stream);
    tokio::join!(pushing, async { writing.await.unwrap() });
}

#[tokio::test(start_paused = true)]
async fn a_full_tail_is_no_reason_to_wait_and_is_all_promised_to_a_new_stream() {
    let (mut writer, stderr) = stderr();
    write(&mut writer, &"x".repeat(LIMIT)).await;
    let stream = stderr.subscribe();
    // The draining was already reading when the stream came: nothing of the tail may go for it.
    write(&mut writer, "y").await;
    assert_eq!(stderr.tail(), "x".repeat(LIMIT - 1) + "y");
    drop(writer);
    assert_eq!(collect(stream).await, "x".repeat(LIMIT) + "y");
}

#[tokio::test(start_paused = true)]
async fn closed_waits_for_the_end_and_for_ever_after() {
    let (mut writer, stderr) = stderr();
    write(&mut writer, "x").await;
    assert!(timeout(BRIEFLY, stderr.closed()).await.is_err());
    finish(writer, &stderr).await;
    stderr.closed().await;
    stderr.clone().closed().await;
}

#[test]
fn the_end_of_the_runtime_is_an_end() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let (_writer, stderr) = first.block_on(async { stderr() });
    let stream = stderr.subscribe();
    drop(first);
    runtime().block_on(async {
        stderr.closed().await;
        assert_eq!(collect(stream).await, "");
    });
}

#[tokio::test(start_paused = true)]
async fn no_limit_is_too_small() {
    let (mut writer, reader) = duplex(64);
    let stderr = Stderr::with_limit(reader, 0);
    let stream = stderr.subscribe();
    let writing = async {
        writer.write_all(b"abc").await.unwrap();
        drop(writer);
    };
    let ((), text) = tokio::join!(writing, collect(stream));
    assert_eq!((text.as_str(), stderr.tail().as_str()), ("abc", "c"));
}
