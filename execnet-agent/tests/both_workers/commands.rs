//! Programs, their streams and their ends.

use execnet_agent::Message;
use execnet_channel::proto::{Terminate, Value};
use execnet_testing::Lifeline;

use crate::support::{ALL, Far, exit, items, killed_by, sh, with_each};

/// A program that a [`Lifeline`] sees end: Python, connected, then `then`.
fn alive(lifeline: &Lifeline, then: &str) -> Option<Vec<Value>> {
    let python = execnet_testing::python()?;
    let source = format!("{}import os, signal\ns = sys.lifeline\n{then}", lifeline.source());
    Some(vec![python.to_str()?.into(), "-c".into(), source.into()])
}

#[tokio::test(flavor = "multi_thread")]
async fn output_and_status() {
    with_each(async |far: Far| {
        let mut it = far.command(sh("echo out; echo err >&2; exit 3"), &ALL[1..]).await;
        assert!(it.started().await > 0);
        assert_eq!(it.ended().await, exit(3));
        assert_eq!(
            (it.all("stdout").await, it.all("stderr").await),
            (b"out\n".to_vec(), b"err\n".to_vec())
        );
        assert_eq!(far.status("executing").await, Value::Int(0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn input_and_its_end() {
    with_each(async |far: Far| {
        let mut it = far.command(vec!["cat".into()], &ALL[..2]).await;
        it.feed("one ").await;
        it.feed("two").await;
        it.stream("stdin").finish();
        assert_eq!(it.all("stdout").await, b"one two");
        assert_eq!(it.ended().await, exit(0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_channels_input_is_empty_and_output_is_printed() {
    with_each(async |far: Far| {
        let mut it = far.command(sh("cat; echo printed; echo complained >&2"), &[]).await;
        assert_eq!(it.ended().await, exit(0));
        let printed = far.printed().await;
        assert!(printed.contains("printed\n") && printed.contains("complained\n"), "{printed}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn much_both_ways() {
    const SIZE: usize = 8 << 20;
    with_each(async |far: Far| {
        let mut it = far.command(vec!["cat".into()], &ALL[..2]).await;
        let mut stdin = it.streams.remove("stdin").unwrap();
        let feeder = tokio::spawn(async move {
            for _ in 0..SIZE >> 16 {
                stdin.send(Message::bytes(vec![b'x'; 1 << 16])).await.unwrap();
            }
        });
        assert_eq!(it.all("stdout").await.len(), SIZE);
        feeder.await.unwrap();
        assert_eq!(it.ended().await, exit(0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_nobody_reads_holds_up_its_program_only() {
    with_each(async |far: Far| {
        // Far more than pipe and window hold.
        let mut it = far.command(sh("head -c 30000000 /dev/zero; echo done >&2"), &ALL[1..]).await;
        it.started().await;
        let mut other = far.command(sh("echo other"), &ALL[1..2]).await;
        assert_eq!(other.all("stdout").await, b"other\n");
        assert_eq!(it.all("stdout").await.len(), 30_000_000);
        assert_eq!(it.all("stderr").await, b"done\n");
        assert_eq!(it.ended().await, exit(0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_closes_breaks_the_pipe() {
    with_each(async |far: Far| {
        let script = "trap '' PIPE; while echo y; do :; done 2>/dev/null; exit 7";
        let mut it = far.command(sh(script), &ALL[1..2]).await;
        it.stream("stdout").recv().await.unwrap();
        it.streams.clear();
        assert_eq!(it.ended().await, exit(7));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn input_that_is_not_read_is_no_error() {
    with_each(async |far: Far| {
        let mut it = far.command(vec!["true".into()], &ALL[..1]).await;
        it.feed(vec![b'x'; 60_000]).await;
        assert_eq!(it.ended().await, exit(0));
        it.stream("stdin").wait_close().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn directory_environment_and_arguments() {
    with_each(async |far: Far| {
        let env = Value::dict([("HOME", Value::None), ("NEW", "3".into())]);
        let more = [("cwd", "/".into()), ("env", env)];
        let script = sh("pwd; echo \"${HOME-gone}-$NEW\"");
        let mut it = far.command_with(script, &ALL[1..2], more).await;
        assert_eq!(it.all("stdout").await, b"/\ngone-3\n");
        let odd = Value::Bytes(b"\xff$HOME"[..].into());
        let mut it =
            far.command(vec!["printf".into(), "%s|".into(), "a b".into(), odd], &ALL[1..2]).await;
        assert_eq!(it.all("stdout").await, b"a b|\xff$HOME|");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_started_is_named() {
    with_each(async |far: Far| {
        let argv = |words: &[&str]| ("argv", Value::list(words.iter().copied()));
        for (rest, kind, text) in [
            (vec![argv(&["no-such-program"])], "FileNotFoundError", "no-such-program"),
            (vec![argv(&["/etc/passwd"])], "PermissionError", "/etc/passwd"),
            (vec![argv(&["true"]), ("cwd", "/no/such".into())], "FileNotFoundError", "/no/such"),
            (vec![argv(&["tr\0ue"])], "ValueError", ""),
            (vec![argv(&[])], "ValueError", "argv"),
            (vec![argv(&["true"]), ("stdout", 5.into())], "ValueError", ""),
        ] {
            let mut channel = far.request("command", rest).await;
            let fault = items(&mut channel).await.unwrap_err();
            assert_eq!(fault.kind, kind, "{}: {fault}", far.name);
            assert!(fault.message.contains(text), "{}: {fault}", far.name);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_reach_the_group_past_a_full_input() {
    with_each(async |far: Far| {
        for interrupt in [false, true] {
            // A shell is deaf to SIGINT while it starts a program of its own: the one that sleeps says when it is there.
            let mut it = far.command(sh("(echo ready; exec sleep 1000); :"), &ALL[..2]).await;
            it.started().await;
            assert_eq!(it.stream("stdout").recv().await.unwrap().unwrap().payload, "ready\n");
            it.feed(vec![b'x'; 200_000]).await;
            let expected = if interrupt {
                it.control.interrupt();
                2
            } else {
                it.control.send_value(&Value::dict([("signal", 15)])).await.unwrap();
                15
            };
            assert_eq!(it.ended().await, killed_by(expected));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_signal_is_an_error() {
    with_each(async |far: Far| {
        for item in
            [Value::dict([("signal", 0)]), Value::dict([("signal", 1_i64 << 40)]), Value::from("x")]
        {
            let mut it = far.command(sh("exec sleep 1000"), &[]).await;
            it.started().await;
            it.control.send_value(&item).await.unwrap();
            let fault = items(&mut it.control).await.unwrap_err();
            assert!(fault.message.contains("signal"), "{}: {fault}", far.name);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn close_kills_and_so_does_the_end_of_the_link() {
    with_each(async |far: Far| {
        let lifeline = Lifeline::new();
        let Some(argv) = alive(&lifeline, "s.recv(1)") else { return };
        let it = far.command(argv.clone(), &[]).await;
        let life = wait(&lifeline).await;
        drop(it);
        dead(life).await;
        let it = far.command(argv, &[]).await;
        let life = wait(&lifeline).await;
        far.mux.close(None);
        dead(life).await;
        drop(it);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_far_end_leaves_no_command() {
    with_each(async |far: Far| {
        let lifeline = Lifeline::new();
        let Some(argv) = alive(&lifeline, "s.recv(1)") else { return };
        let mut first = far.command(vec!["true".into()], &[]).await;
        first.ended().await;
        let mut it = far.command(argv, &[]).await;
        it.started().await;
        let life = wait(&lifeline).await;
        far.guard.kill();
        dead(life).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_the_group_is_killed() {
    with_each(async |far: Far| {
        let lifeline = Lifeline::new();
        let Some(argv) = alive(&lifeline, "if os.fork(): os._exit(4)\ns.recv(1)") else { return };
        let mut it = far.command(argv, &[]).await;
        let life = wait(&lifeline).await;
        assert_eq!(it.ended().await, exit(4));
        dead(life).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_left_the_group_does_not_hold_output_open() {
    with_each(async |far: Far| {
        let lifeline = Lifeline::new();
        let daemon = "r, w = os.pipe()\nif os.fork(): os.read(r, 1); os._exit(0)\n\
                      os.setsid(); os.write(1, b'daemon'); os.write(w, b'!')\ns.recv(1)";
        let Some(argv) = alive(&lifeline, daemon) else { return };
        let mut it = far.command(argv, &ALL[1..2]).await;
        assert_eq!(it.all("stdout").await, b"daemon");
        assert_eq!(it.ended().await, exit(0));
        // It ends with this side of its connection.
        drop(wait(&lifeline).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn terminate_ends_input_then_interrupts_then_kills() {
    with_each(async |far: Far| {
        let mut cat = far.command(sh("cat; echo its end"), &ALL[..2]).await;
        cat.started().await;
        let lifeline = Lifeline::new();
        let stubborn = "signal.signal(2, lambda *a: s.send(b'2'))\nwhile True: signal.pause()";
        let Some(argv) = alive(&lifeline, stubborn) else { return };
        let _it = far.command(argv, &[]).await;
        let life = wait(&lifeline).await;
        far.mux.terminate(Terminate { grace_ms: 100_000_000, kill_ms: 100_000_000 });
        assert_eq!(cat.all("stdout").await, b"its end\n");
        far.mux.terminate(Terminate { grace_ms: 500, kill_ms: 500 });
        dead(life).await;
        far.guard.wait().await;
    })
    .await;
}

async fn wait(lifeline: &Lifeline) -> execnet_testing::Life {
    tokio::task::block_in_place(|| lifeline.accept())
}

async fn dead(life: execnet_testing::Life) {
    tokio::task::spawn_blocking(|| life.wait_for_death()).await.unwrap();
}
