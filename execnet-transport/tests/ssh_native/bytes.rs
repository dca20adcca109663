//! What crosses, and what it costs.

use tokio::io::AsyncWriteExt;

use super::*;

/// What a slow reader may cost this process, kernel buffers not counted: both of the link's buffers, and as much again
/// for what is on its way between the tasks.
const BOUND: u64 = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_makes_the_far_end_wait() {
    let Some(sshd) = Sshd::start() else { return };
    let command = "exec head -c 1073741824 /dev/zero";
    let Link { mut reader, guard, .. } = connect(config(&sshd), command).await.unwrap();
    let mut chunk = vec![0; 64 << 10];
    reader.read_exact(&mut chunk).await.unwrap();
    let before = execnet_testing::resident(u64::from(std::process::id()));
    let mut read = chunk.len();
    let mut most = before;
    // Far slower than it could be sent, at every step; then as fast as it goes.
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        read += reader.read(&mut chunk).await.unwrap();
        most = most.max(execnet_testing::resident(u64::from(std::process::id())));
    }
    assert!(most <= before + BOUND, "{before} MiB became {most}");
    loop {
        match reader.read(&mut chunk).await.unwrap() {
            0 => break,
            count => read += count,
        }
    }
    assert_eq!(read, 1 << 30);
    assert_eq!(guard.wait().await.to_string(), "exit status 0");
}

#[tokio::test]
async fn what_is_written_waits_for_the_far_end() {
    let Some(sshd) = Sshd::start() else { return };
    // One that reads nothing takes no more than windows and buffers hold.
    let Link { mut writer, guard, .. } = connect(config(&sshd), "exec sleep 60").await.unwrap();
    let piece = vec![7; 64 << 10];
    let mut taken = 0;
    let stuck = Duration::from_millis(500);
    while let Ok(result) = tokio::time::timeout(stuck, writer.write(&piece)).await {
        taken += result.unwrap();
        assert!(taken < 64 << 20, "there is no limit");
    }
    guard.kill();
    watched(guard.wait()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_directions_at_once_through_two_hosts() {
    let (Some(hop), Some(sshd)) = (Sshd::start(), Sshd::start()) else { return };
    let mut config = config(&sshd);
    config.jumps = vec![super::config(&hop)];
    let Link { mut reader, mut writer, guard: _guard, .. } =
        connect(config, "exec cat").await.unwrap();
    let total = 64 << 20;
    let writing = async {
        let piece = vec![5; 100_000];
        let mut left = total;
        while left > 0 {
            let count = left.min(piece.len());
            writer.write_all(&piece[..count]).await.unwrap();
            left -= count;
        }
        writer.shutdown().await.unwrap();
    };
    let reading = async {
        let mut chunk = vec![0; 50_000];
        let mut read = 0;
        loop {
            match reader.read(&mut chunk).await.unwrap() {
                0 => break read,
                count => read += count,
            }
        }
    };
    let ((), read) = watched(async { tokio::join!(writing, reading) }).await;
    assert_eq!(read, total);
}

#[tokio::test]
async fn standard_error_and_the_banner_are_apart_from_the_output() {
    let banner = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(banner.path(), "For members only.\n").unwrap();
    let setting = format!("Banner {}", banner.path().display());
    let Some(sshd) = Sshd::builder().setting(&setting).start() else { return };
    let Link { mut reader, stderr, guard, .. } =
        connect(config(&sshd), "echo out; echo err >&2; exit 3").await.unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "out\n");
    assert_eq!(guard.wait().await.to_string(), "exit status 3");
    let stderr = stderr.unwrap();
    watched(stderr.closed()).await;
    assert_eq!(stderr.tail_lines(9), ["For members only.", "err"]);
}
