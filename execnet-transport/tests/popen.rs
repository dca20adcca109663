//! Real child processes.
//!
//! That a process is gone shows in what it held open: its standard error, the socket, or a named
//! pipe reach end-of-file only when the last holder has died.
#![cfg(unix)]

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use execnet_transport::{
    Bootstrap, ConnectError, Ending, Fault, Link, Popen, SpawnFault, Stage, Transport,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Against hangs only: nothing here should come near it.
async fn watchdog<T>(story: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), story).await.expect("it hangs")
}

fn sh(script: &str) -> Popen {
    Popen::new(["/bin/sh", "-c", script])
}

async fn connect(popen: Popen) -> Link {
    popen.connect().await.expect("it starts")
}

async fn read_all(link: &mut Link) -> String {
    let mut text = String::new();
    link.reader.read_to_string(&mut text).await.expect("text until the end");
    text
}

/// Waits for the far end to say that it is up.
async fn read_line(link: &mut Link) -> String {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        line.push(link.reader.read_u8().await.expect("a line"));
    }
    String::from_utf8(line).unwrap().trim_end().to_owned()
}

mod bytes {
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
        (0..BLOCK / 8)
            .flat_map(|n| (index * BLOCK / 8 + n).wrapping_mul(ODD).to_le_bytes())
            .collect()
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
}

mod setup {
    use super::*;

    #[tokio::test]
    async fn environment_and_directory() {
        watchdog(async {
            let directory = tempfile::tempdir().unwrap();
            let popen = sh(r#"pwd -P; echo "$SET/${PATH_GONE-unset}""#)
                .env("SET", "lost")
                .env("SET", "kept")
                .env("PATH_GONE", "x")
                .env_remove("PATH_GONE")
                .current_dir(directory.path());
            let expected = directory.path().canonicalize().unwrap();
            let text = read_all(&mut connect(popen).await).await;
            assert_eq!(text, format!("{}\nkept/unset\n", expected.display()));
        })
        .await;
    }

    #[tokio::test]
    async fn arguments_reach_the_program_untouched() {
        watchdog(async {
            let popen =
                Popen::new(["/bin/sh", "-c", r#"printf '<%s>' "$@""#, "sh", "a b", "", "'$x"]);
            assert_eq!(read_all(&mut connect(popen).await).await, "<a b><><'$x>");
        })
        .await;
    }

    #[tokio::test]
    async fn input_and_output_are_one_socket_and_no_more_is_inherited() {
        if !cfg!(target_os = "linux") {
            return;
        }
        watchdog(async {
            let _other = connect(Popen::new(["cat"])).await;
            let script = "for fd in 0 1 2; do readlink /proc/self/fd/$fd; done; ls /proc/$$/fd";
            let text = read_all(&mut connect(sh(script)).await).await;
            let lines: Vec<_> = text.lines().collect();
            assert!(lines[0].starts_with("socket:"), "{text}");
            assert_eq!(lines[0], lines[1]);
            assert!(lines[2].starts_with("pipe:"), "{text}");
            // The test harness of this program may leave descriptors open, but no socket is ours.
            assert!(["0", "1", "2"].iter().all(|fd| lines[3..].contains(fd)), "{text}");
        })
        .await;
    }

    #[tokio::test]
    async fn a_link_describes_itself() {
        watchdog(async {
            let popen = sh("cat");
            assert_eq!(popen.address(), "popen /bin/sh");
            let link = connect(popen.clone()).await;
            let pid = link.guard.pid().unwrap();
            assert_eq!(link.guard.address(), format!("popen /bin/sh [pid {pid}]"));
            assert_eq!(link.bootstrap, Bootstrap::Python);

            let link = connect(popen.label("agent").bootstrap(Bootstrap::None)).await;
            let pid = link.guard.pid().unwrap();
            assert_eq!(link.guard.address(), format!("agent [pid {pid}]"));
            assert_eq!(link.bootstrap, Bootstrap::None);
        })
        .await;
    }

    #[test]
    fn secrets_of_the_environment_are_not_printed() {
        let text = format!("{:?}", Popen::new(["x"]).env("TOKEN", "hush"));
        assert!(text.contains("TOKEN") && !text.contains("hush"), "{text}");
    }

    #[tokio::test]
    async fn python_answers() {
        watchdog(async {
            let code = "import sys; print(sys.stdin.readline().upper(), end='')";
            let mut link = match Popen::new(["python3", "-c", code]).connect().await {
                Err(ConnectError::Spawn { fault: SpawnFault::NotOnPath, .. }) => return,
                link => link.unwrap(),
            };
            link.writer.write_all(b"spam\n").await.unwrap();
            assert_eq!(read_all(&mut link).await, "SPAM\n");
        })
        .await;
    }
}

mod ending {
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
            let Link { guard, mut reader, writer, .. } =
                connect(sh("echo up; read x; exit 7")).await;
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
    async fn interrupt_reaches_the_leader() {
        watchdog(async {
            let script = "trap 'echo leader; exit 5' INT; sleep 1000 & echo up; wait";
            let mut link = connect(sh(script)).await;
            assert_eq!(read_line(&mut link).await, "up");
            link.guard.interrupt();
            assert_eq!(read_all(&mut link).await, "leader\n");
            assert_eq!(link.guard.wait().await, Ending::Exited(5));
        })
        .await;
    }
}

/// Each leader has a member of its group that would outlive the tests, were it not killed.
mod nothing_survives {
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
            let made =
                std::process::Command::new("mkfifo").arg(directory.path().join("w")).status();
            assert!(made.unwrap().success());
            Self { directory }
        }

        fn popen(&self) -> Popen {
            sh(&format!("exec 9>w; echo up >&9; {STAYS}")).current_dir(self.directory.path())
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
            let link =
                tokio::time::timeout(Duration::ZERO, popen.connect()).await.unwrap().unwrap();
            tokio::task::spawn_blocking(move || is_up.recv().unwrap()).await.unwrap();
            drop(link);
            let rest = tokio::task::spawn_blocking(move || watching.join().unwrap()).await.unwrap();
            assert_eq!(rest, "");
        })
        .await;
    }
}

mod stderr {
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
}

mod failing_to_start {
    use super::*;

    async fn fault(popen: Popen) -> (SpawnFault, String) {
        let error = watchdog(popen.connect()).await.unwrap_err();
        assert_eq!(error.stage(), Stage::Spawn);
        assert_eq!((error.fault(), error.is_caller_fault()), (Fault::Caller, true));
        assert!(std::error::Error::source(&error).is_some());
        let text = error.to_string();
        match error {
            ConnectError::Spawn { fault, .. } => (fault, text),
            other => panic!("{other:?}"),
        }
    }

    /// Puts a file there and says whether it may be executed.
    fn file(path: &Path, content: &[u8], mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(path, content).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[tokio::test]
    async fn no_arguments_at_all() {
        let (fault, _) = fault(Popen::new([""; 0])).await;
        assert_eq!(fault, SpawnFault::EmptyArgv);
    }

    #[tokio::test]
    async fn a_nul_byte() {
        for popen in [
            Popen::new(["a\0b"]),
            Popen::new(["cat", "a\0b"]),
            Popen::new(["cat"]).env("A", "b\0"),
            Popen::new(["cat"]).current_dir("\0"),
        ] {
            assert_eq!(fault(popen).await.0, SpawnFault::NulByte);
        }
    }

    #[tokio::test]
    async fn a_program_that_is_nowhere() {
        let (found, text) = fault(Popen::new(["no-such-program-anywhere"])).await;
        assert_eq!(found, SpawnFault::NotOnPath);
        assert!(text.contains("no-such-program-anywhere") && text.contains("PATH"), "{text}");
        let (found, _) = fault(Popen::new(["cat"]).env("PATH", "/no/such/place")).await;
        assert_eq!(found, SpawnFault::NotOnPath);
        assert_eq!(fault(Popen::new([""])).await.0, SpawnFault::NotOnPath);
    }

    #[tokio::test]
    async fn a_path_that_leads_nowhere() {
        for path in ["/no/such/program", "./no-such-program", "/dev/null/program"] {
            assert_eq!(fault(Popen::new([path])).await.0, SpawnFault::NoSuchFile, "{path}");
        }
    }

    #[tokio::test]
    async fn files_that_are_no_programs() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        file(&place.join("text"), b"hello", 0o644);
        file(&place.join("orphan"), b"#!/no/such/interpreter\n", 0o755);
        file(&place.join("noise"), b"\x7fELF and then nothing of the kind", 0o755);
        let cases = [
            ("./text", SpawnFault::NotExecutable),
            ("./orphan", SpawnFault::NoInterpreter),
            ("./noise", SpawnFault::BadFormat),
            (".", SpawnFault::NotExecutable),
        ];
        for (program, expected) in cases {
            let here = Popen::new([program]).current_dir(place);
            assert_eq!(fault(here).await.0, expected, "{program}");
        }
        let path = Popen::new([place.join("orphan")]);
        assert_eq!(fault(path).await.0, SpawnFault::NoInterpreter);
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_entered() {
        for place in ["/no/such/place", "/dev/null"] {
            let (fault, text) = fault(Popen::new(["cat"]).current_dir(place)).await;
            assert_eq!(fault, SpawnFault::Directory(place.into()));
            assert!(text.contains(place), "{text}");
        }
    }

    #[tokio::test]
    async fn too_much_of_it() {
        let long = "x".repeat(8 << 20);
        assert_eq!(fault(Popen::new(["cat".to_owned(), long])).await.0, SpawnFault::TooLong);
    }
}
