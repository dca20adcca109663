use super::*;
use execnet_transport::{Stderr, StderrStream};

async fn collect(mut stream: StderrStream) -> String {
    let mut all = Vec::new();
    while let Some(chunk) = stream.next().await {
        assert!(!chunk.is_empty());
        all.extend_from_slice(&chunk);
    }
    String::from_utf8(all).unwrap()
}

#[tokio::test]
async fn keeps_a_bounded_tail_while_nobody_reads() {
    watchdog(async {
        let noise = "head -c 10000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo the end >&2";
        let link = connect(sh(noise)).await;
        let stderr = link.stderr.as_ref().unwrap();
        assert_eq!(link.guard.wait().await, Ending::Exited(0));
        stderr.closed().await;
        let tail = stderr.tail();
        assert_eq!(tail.len(), Stderr::DEFAULT_LIMIT);
        assert!(tail.ends_with("xxx\nthe end\n"));
        assert_eq!(stderr.tail_lines(5), ["the end"]);
    })
    .await;
}

#[tokio::test]
async fn the_limit_is_a_setting() {
    watchdog(async {
        let link = connect(sh("echo one two three >&2").stderr_limit(6)).await;
        let stderr = link.stderr.as_ref().unwrap();
        stderr.closed().await;
        assert_eq!(stderr.tail(), "three\n");
    })
    .await;
}

#[tokio::test]
async fn the_tail_outlives_the_link() {
    watchdog(async {
        let link = connect(sh("echo no such module >&2; exit 1")).await;
        let stderr = link.stderr.clone().unwrap();
        link.guard.wait().await;
        drop(link);
        stderr.closed().await;
        assert_eq!(stderr.tail_lines(1), ["no such module"]);
    })
    .await;
}

#[tokio::test]
async fn a_stream_has_everything_in_order() {
    watchdog(async {
        let script = "echo early >&2; echo up; read go; i=0
            while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done >&2";
        let mut link = connect(sh(script)).await;
        assert_eq!(read_line(&mut link).await, "up");
        let stream = link.stderr.as_ref().unwrap().subscribe();
        link.writer.write_all(b"\n").await.unwrap();
        let expected: String = (0..20000).map(|i| format!("line {i}\n")).collect();
        assert_eq!(collect(stream).await, format!("early\n{expected}"));
    })
    .await;
}

#[tokio::test]
async fn dropping_an_unread_stream_lets_the_far_end_go_on() {
    watchdog(async {
        let noise = "head -c 1000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo done >&2";
        let link = connect(sh(noise).stderr_limit(1024)).await;
        let stderr = link.stderr.clone().unwrap();
        let mut stream = stderr.subscribe();
        // Much more is written than a pipe and the limit hold, so by now it waits, or will.
        assert!(stream.next().await.is_some());
        drop(stream);
        assert_eq!(link.guard.wait().await, Ending::Exited(0));
        stderr.closed().await;
        assert_eq!(stderr.tail_lines(1), ["done"]);
    })
    .await;
}

#[tokio::test]
async fn a_far_end_is_not_hurt_when_all_handles_are_dropped() {
    watchdog(async {
        let script = "echo up; read go; head -c 1000000 /dev/zero >&2 && echo alive";
        let mut link = connect(sh(script)).await;
        assert_eq!(read_line(&mut link).await, "up");
        link.stderr = None;
        link.writer.write_all(b"\n").await.unwrap();
        assert_eq!(read_all(&mut link).await, "alive\n");
    })
    .await;
}
