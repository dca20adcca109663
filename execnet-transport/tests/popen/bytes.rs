use super::*;

#[tokio::test]
async fn come_back_from_cat() {
    watchdog(async {
        let mut link = connect(Popen::new(["cat"])).await;
        link.writer.write_all(b"ping").await.unwrap();
        let mut back = [0; 4];
        link.reader.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"ping");
    })
    .await;
}

#[tokio::test]
async fn half_close_ends_the_input_and_leaves_the_output() {
    watchdog(async {
        let mut link = connect(sh("read a; while read b; do a=$a$b; done; echo got $a")).await;
        link.writer.write_all(b"1\n2\n3\n").await.unwrap();
        link.writer.shutdown().await.unwrap();
        assert_eq!(read_all(&mut link).await, "got 123\n");
        assert_eq!(link.guard.wait().await, Ending::Exited(0));
    })
    .await;
}

#[tokio::test]
async fn dropping_the_writer_is_a_half_close() {
    watchdog(async {
        let Link { mut reader, writer, guard, .. } = connect(sh("cat; echo end")).await;
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "end\n");
        assert_eq!(guard.wait().await, Ending::Exited(0));
    })
    .await;
}

#[tokio::test]
async fn are_gathered_from_several_buffers() {
    watchdog(async {
        let mut link = connect(Popen::new(["cat"])).await;
        assert!(link.writer.is_write_vectored());
        let parts = [io::IoSlice::new(b"head"), io::IoSlice::new(b"er")];
        assert_eq!(link.writer.write_vectored(&parts).await.unwrap(), 6);
        link.writer.shutdown().await.unwrap();
        assert_eq!(read_all(&mut link).await, "header");
    })
    .await;
}

/// Bytes that differ at every place within any buffer size in use.
fn block(index: u64) -> Vec<u8> {
    (0..BLOCK / 8).flat_map(|n| (index * BLOCK / 8 + n).wrapping_mul(ODD).to_le_bytes()).collect()
}
const BLOCK: u64 = 256 * 1024;
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

async fn both_ways_at_once(blocks: u64) {
    let Link { mut reader, mut writer, guard, .. } = connect(Popen::new(["cat"])).await;
    let sending = tokio::spawn(async move {
        for index in 0..blocks {
            writer.write_all(&block(index)).await.unwrap();
        }
        writer.shutdown().await.unwrap();
    });
    let mut got = vec![0; BLOCK as usize];
    for index in 0..blocks {
        reader.read_exact(&mut got).await.unwrap();
        assert!(got == block(index), "block {index} differs");
    }
    assert_eq!(reader.read(&mut got).await.unwrap(), 0);
    sending.await.unwrap();
    assert_eq!(guard.wait().await, Ending::Exited(0));
}

#[tokio::test]
async fn one_mebibyte_both_ways() {
    watchdog(both_ways_at_once(4)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_mebibytes_both_ways() {
    watchdog(both_ways_at_once(256)).await;
}

#[tokio::test]
async fn end_when_the_far_end_leaves_input_unread() {
    watchdog(async {
        let mut link = connect(sh("read line; echo bye; exit 0")).await;
        link.writer.write_all(b"one\ntwo\nthree\n").await.unwrap();
        assert_eq!(read_line(&mut link).await, "bye");
        link.guard.wait().await;
        match link.reader.read(&mut [0; 8]).await {
            Ok(count) => assert_eq!(count, 0),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
        }
        let error = link.writer.write_all(b"four").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    })
    .await;
}
