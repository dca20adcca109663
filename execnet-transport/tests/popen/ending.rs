use super::*;

#[tokio::test]
async fn tells_the_exit_status() {
    watchdog(async {
        let link = connect(sh("exit 3")).await;
        let ending = link.guard.wait().await;
        assert_eq!(ending, Ending::Exited(3));
        assert_eq!(ending.to_string(), "exit status 3");
    })
    .await;
}

#[tokio::test]
async fn names_the_signal() {
    watchdog(async {
        let link = connect(sh("kill -TERM $$")).await;
        let ending = link.guard.wait().await;
        assert!(matches!(ending, Ending::Signaled { signal: 15, core_dumped: false }));
        assert_eq!(ending.to_string(), "killed by SIGTERM (signal 15)");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn is_told_to_everybody_and_for_ever() {
    watchdog(async {
        let Link { guard, mut reader, writer, .. } = connect(sh("echo up; read x; exit 7")).await;
        let guard = Arc::new(guard);
        reader.read_u8().await.unwrap();
        let waiting = [(); 2].map(|()| {
            let guard = guard.clone();
            tokio::spawn(async move { guard.wait().await })
        });
        // A wait that is given up takes nothing from the others.
        assert!(tokio::time::timeout(Duration::ZERO, guard.wait()).await.is_err());
        drop(writer);
        for task in waiting {
            assert_eq!(task.await.unwrap(), Ending::Exited(7));
        }
        assert_eq!(guard.wait().await, Ending::Exited(7));
        guard.kill();
        guard.interrupt();
        assert_eq!(guard.wait().await, Ending::Exited(7));
    })
    .await;
}

#[tokio::test]
async fn interrupt_reaches_the_leader_alone() {
    watchdog(async {
        // The leader's trap runs once the member has ended, which is at end-of-file. A shell cannot trap what was ignored
        // when it started, as the signal is where these tests run in the background.
        let member = "trap 'echo member' INT; echo up; read x";
        let script = format!("trap 'echo leader; exit 5' INT; sh -c \"{member}\"; exit 0");
        let argv = ["env", "--default-signal=INT", "sh", "-c", &script];
        let mut link = connect(Popen::new(argv)).await;
        assert_eq!(read_line(&mut link).await, "up");
        link.guard.interrupt();
        link.writer.shutdown().await.unwrap();
        assert_eq!(read_all(&mut link).await, "leader\n");
        assert_eq!(link.guard.wait().await, Ending::Exited(5));
    })
    .await;
}
