//! Each leader has a member of its group that would outlive the tests, were it not killed.

use super::*;

/// Says when it is up, then stays; so does a member of its group. Neither looks at its input.
const STAYS: &str = "sleep 100000 & echo up; sleep 100000";

#[tokio::test]
async fn kill_reaches_the_whole_group() {
    watchdog(async {
        let mut link = connect(sh(STAYS)).await;
        assert_eq!(read_line(&mut link).await, "up");
        let stderr = link.stderr.clone().unwrap();
        link.guard.kill();
        link.guard.kill();
        assert_eq!(link.guard.wait().await.to_string(), "killed by SIGKILL (signal 9)");
        assert_eq!(read_all(&mut link).await, "");
        stderr.closed().await;
    })
    .await;
}

#[tokio::test]
async fn kill_while_others_wait() {
    watchdog(async {
        let Link { guard, mut reader, .. } = connect(sh(STAYS)).await;
        reader.read_u8().await.unwrap();
        let (ending, ()) = tokio::join!(guard.wait(), async { guard.kill() });
        assert!(matches!(ending, Ending::Signaled { signal: 9, .. }));
    })
    .await;
}

#[tokio::test]
async fn dropping_the_link_kills() {
    watchdog(async {
        let mut link = connect(sh(STAYS)).await;
        assert_eq!(read_line(&mut link).await, "up");
        let stderr = link.stderr.clone().unwrap();
        drop(link);
        stderr.closed().await;
    })
    .await;
}

#[tokio::test]
async fn dropping_the_guard_kills() {
    watchdog(async {
        let Link { mut reader, writer: _writer, guard, .. } = connect(sh(STAYS)).await;
        reader.read_exact(&mut [0; 3]).await.unwrap();
        drop(guard);
        assert_eq!(reader.read(&mut [0; 1]).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_member_that_lingers_is_killed_when_its_leader_has_ended() {
    watchdog(async {
        let mut link = connect(sh("sleep 100000 & echo up; exit 4")).await;
        let stderr = link.stderr.clone().unwrap();
        assert_eq!(link.guard.wait().await, Ending::Exited(4));
        // The member holds the link and standard error open.
        assert_eq!(read_all(&mut link).await, "up\n");
        stderr.closed().await;
    })
    .await;
}

/// A pipe with a name: whoever inherits its writing end keeps a reader from reaching the end.
struct Witness {
    directory: tempfile::TempDir,
}

impl Witness {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("mkfifo").arg(directory.path().join("w")).status();
        assert!(made.unwrap().success());
        Self { directory }
    }

    fn popen(&self) -> Popen {
        let script = "exec 9>w; sleep 100000 & echo up >&9; sleep 100000";
        sh(script).current_dir(self.directory.path())
    }

    /// Blocks until a process has said that it is up, then until all that hold it are gone.
    fn watch(&self) -> (std::thread::JoinHandle<String>, std::sync::mpsc::Receiver<()>) {
        let path = self.directory.path().join("w");
        let (up, is_up) = std::sync::mpsc::channel();
        let watching = std::thread::spawn(move || {
            let mut pipe = std::fs::File::open(path).unwrap();
            let mut first = [0; 3];
            io::Read::read_exact(&mut pipe, &mut first).unwrap();
            up.send(()).unwrap();
            io::read_to_string(pipe).unwrap()
        });
        (watching, is_up)
    }
}

#[test]
fn shutting_the_runtime_down_kills_and_reaps() {
    let witness = Witness::new();
    let (watching, is_up) = witness.watch();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let link = runtime.block_on(connect(witness.popen()));
    is_up.recv().unwrap();
    drop(runtime);
    assert_eq!(watching.join().unwrap(), "");
    // The status is told to another runtime: so the leader has been reaped.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ending = runtime.block_on(watchdog(link.guard.wait()));
    assert!(matches!(ending, Ending::Signaled { signal: 9, .. }));
}

#[test]
fn a_guard_kills_without_its_runtime_running() {
    let witness = Witness::new();
    let (watching, is_up) = witness.watch();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let link = runtime.block_on(connect(witness.popen()));
    is_up.recv().unwrap();
    // Nobody drives this runtime: the kill must be the work of the drop itself.
    drop(link);
    assert_eq!(watching.join().unwrap(), "");
}

#[tokio::test]
async fn a_connect_that_is_given_up_leaves_nothing() {
    watchdog(async {
        let witness = Witness::new();
        let popen = witness.popen();
        drop(popen.connect());
        // It finishes at the first poll, and so within any limit; what it made goes with it.
        let (watching, is_up) = witness.watch();
        let link = tokio::time::timeout(Duration::ZERO, popen.connect()).await.unwrap().unwrap();
        tokio::task::spawn_blocking(move || is_up.recv().unwrap()).await.unwrap();
        drop(link);
        let rest = tokio::task::spawn_blocking(move || watching.join().unwrap()).await.unwrap();
        assert_eq!(rest, "");
    })
    .await;
}
