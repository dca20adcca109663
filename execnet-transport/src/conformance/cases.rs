//! The cases, one for each clause of the contract in [`Transport`](crate::Transport)'s documentation.

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::peer::given;
use super::{Capability, Suite};
use crate::{BoxFuture, Ending, Link};

type Outcome = Result<(), String>;

/// One case: what it is about, and how it is tried.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) clause: &'static str,
    pub(super) needs: Option<Capability>,
    pub(super) run: for<'a> fn(&'a Suite) -> BoxFuture<'a, Outcome>,
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "order",
        clause: "Bytes. In order, unchanged, without loss, whatever the pieces",
        needs: None,
        run: |suite| Box::pin(order(suite)),
    },
    Case {
        name: "both ways",
        clause: "Bytes. In both directions at once: either half works while the other waits",
        needs: None,
        run: |suite| Box::pin(both_ways(suite)),
    },
    Case {
        name: "backpressure",
        clause: "Bytes. A full link makes the writer wait; nothing is buffered without a limit",
        needs: None,
        run: |suite| Box::pin(backpressure(suite)),
    },
    Case {
        name: "flush",
        clause: "Writing. After `poll_flush` nothing is held back. An empty write is not an error",
        needs: None,
        run: |suite| Box::pin(flush(suite)),
    },
    Case {
        name: "half-close",
        clause: "Half-close. After `poll_shutdown`, or when the writer is dropped, the far side reads \
                 end-of-file after the last byte written, and its own bytes still arrive",
        needs: None,
        run: |suite| Box::pin(half_close(suite)),
    },
    Case {
        name: "end",
        clause: "The end. The reader gives what was still on the way and then end-of-file. Writes \
                 then fail with `BrokenPipe` or `ConnectionReset`",
        needs: None,
        run: |suite| Box::pin(end(suite)),
    },
    Case {
        name: "ending",
        clause: "`FarEnd::wait`. Resolves once the far end has ended; cancel safe, callable any \
                 number of times, with one answer",
        needs: None,
        run: |suite| Box::pin(ending(suite)),
    },
    Case {
        name: "signal",
        clause: "`FarEnd::wait`. A far end that a signal ended is `Ending::Signaled`",
        needs: Some(Capability::Signal),
        run: |suite| Box::pin(signal(suite)),
    },
    Case {
        name: "kill",
        clause: "`FarEnd::kill`. Ends the far end at once: afterwards `wait` resolves, and both \
                 directions reach their end. Callable any number of times",
        needs: None,
        run: |suite| Box::pin(kill(suite)),
    },
    Case {
        name: "drop",
        clause: "The guard. Dropping it ends the far end; a link that is dropped leaves nothing behind",
        needs: None,
        run: |suite| Box::pin(drop_ends(suite)),
    },
    Case {
        name: "interrupt",
        clause: "`FarEnd::interrupt`. Asks the far end to stop what it is doing",
        needs: Some(Capability::Interrupt),
        run: |suite| Box::pin(interrupt(suite)),
    },
    Case {
        name: "stderr",
        clause: "Standard error. Read all the time, to its end, whether or not anybody looks; it never \
                 appears in the reader",
        needs: Some(Capability::Stderr),
        run: |suite| Box::pin(stderr(suite)),
    },
    Case {
        name: "declared",
        clause: "What a transport is declared to lack, it lacks",
        needs: None,
        run: |suite| Box::pin(declared(suite)),
    },
    Case {
        name: "many",
        clause: "`connect`. May be called any number of times, also at once: each call is a far end of its own",
        needs: None,
        run: |suite| Box::pin(many(suite)),
    },
    Case {
        name: "connect errors",
        clause: "`connect`. `ConnectError` tells the stage that failed, and whose fault it was",
        needs: Some(Capability::ConnectErrors),
        run: |suite| Box::pin(connect_errors(suite)),
    },
    Case {
        name: "drop while connecting",
        clause: "Nothing left behind. A `connect` whose future is dropped at any await leaves nothing",
        needs: None,
        run: |suite| Box::pin(drop_while_connecting(suite)),
    },
];

/// How long a writer has to be stuck to count as waiting. Too short a time makes the case weaker, never wrong.
const STUCK: Duration = Duration::from_millis(300);

/// More than any link may hold on its way.
const TOO_MUCH: usize = 64 << 20;

async fn order(suite: &Suite) -> Outcome {
    let Link { mut reader, mut writer, guard: _guard, .. } = suite.start("echo").await?;
    let mut random = Random::new();
    let sent = random.bytes(1 << 20);
    let writing = async {
        let mut random = Random::new();
        let mut rest = &sent[..];
        while !rest.is_empty() {
            // In one piece or gathered from two, mostly short.
            let most = if random.below(8) == 0 { 40_000 } else { 500 };
            let (one, more) = rest.split_at(random.below(most).min(rest.len()));
            let (two, _) = more.split_at(random.below(most).min(more.len()));
            let parts = [IoSlice::new(one), IoSlice::new(two)];
            let written = writer.write_vectored(&parts).await.map_err(writing_failed)?;
            if written > one.len() + two.len() || (written == 0 && one.len() + two.len() > 0) {
                return Err(format!("a write of {} bytes took {written}", one.len() + two.len()));
            }
            rest = &rest[written..];
        }
        writer.shutdown().await.map_err(writing_failed)
    };
    let mut cuts = Random::new();
    let reading = expect(&mut *reader, sent.len(), |at| sent[at], || 1 + cuts.below(3000));
    tokio::try_join!(reading, writing).map(drop)
}

async fn both_ways(suite: &Suite) -> Outcome {
    const PIECES: usize = 128;
    let Link { mut reader, mut writer, guard: _guard, .. } = suite.start("echo").await?;
    // Of an odd length, so that pieces and buffers never fall together.
    let piece = Random::new().bytes((128 << 10) - 1);
    let writing = async {
        for _ in 0..PIECES {
            writer.write_all(&piece).await.map_err(writing_failed)?;
        }
        writer.shutdown().await.map_err(writing_failed)
    };
    let reading =
        expect(&mut *reader, PIECES * piece.len(), |at| piece[at % piece.len()], || 64 << 10);
    tokio::try_join!(reading, writing).map(drop)
}

async fn backpressure(suite: &Suite) -> Outcome {
    // An echo stands still as soon as nobody reads what it says.
    let Link { mut reader, mut writer, guard: _guard, .. } = suite.start("echo").await?;
    let piece = Random::new().bytes((64 << 10) - 1);
    let mut sent = 0;
    while let Ok(result) = timeout(STUCK, writer.write(&piece[sent % piece.len()..])).await {
        sent += result.map_err(writing_failed)?;
        if sent > TOO_MUCH {
            return Err(format!("{sent} bytes were taken while nobody read; expected a limit"));
        }
    }
    let writing = async { writer.shutdown().await.map_err(writing_failed) };
    let reading = expect(&mut *reader, sent, |at| piece[at % piece.len()], || 64 << 10);
    tokio::try_join!(reading, writing).map(drop)
}

async fn flush(suite: &Suite) -> Outcome {
    let Link { mut reader, mut writer, guard: _guard, .. } = suite.start("echo").await?;
    for round in 0..100_u8 {
        let empty = writer.write(&[]).await.map_err(|error| format!("an empty write: {error}"))?;
        if empty != 0 {
            return Err(format!("an empty write took {empty} bytes"));
        }
        writer.write_all(&[round]).await.map_err(writing_failed)?;
        writer.flush().await.map_err(|error| format!("cannot flush: {error}"))?;
        let back = timeout(suite.step(), reader.read_u8()).await;
        let back = back.map_err(|_| format!("byte {round} was flushed and did not come back"))?;
        let back = back.map_err(reading_failed)?;
        if back != round {
            return Err(format!("sent {round}, and {back} came back"));
        }
    }
    Ok(())
}

async fn half_close(suite: &Suite) -> Outcome {
    for how in ["shut down", "dropped"] {
        let link = suite.start("count").await?;
        let Link { mut reader, mut writer, guard: _guard, .. } = link;
        read_exactly(&mut *reader, "ok\n").await?;
        writer.write_all(&[7; 10_000]).await.map_err(writing_failed)?;
        let _kept = if how == "shut down" {
            writer.shutdown().await.map_err(writing_failed)?;
            Some(writer)
        } else {
            drop(writer);
            None
        };
        let mut count = String::new();
        let reading = reader.read_to_string(&mut count);
        let read = timeout(suite.step(), reading).await;
        let read = read.map_err(|_| format!("the writer was {how}, the far side sees no end"))?;
        read.map_err(reading_failed)?;
        if count != "10000\n" {
            return Err(format!(
                "the writer was {how} after 10000 bytes; the far side read {count:?} of them"
            ));
        }
    }
    Ok(())
}

async fn end(suite: &Suite) -> Outcome {
    let link = suite.start("give 30000").await?;
    let Link { mut reader, mut writer, guard: _guard, .. } = link;
    let expected = given(30_000);
    expect(&mut *reader, expected.len(), |at| expected[at], || 4096).await?;
    writes_fail(suite, &mut *writer).await
}

async fn ending(suite: &Suite) -> Outcome {
    let Link { mut reader, mut writer, guard, .. } = suite.start("exit 7").await?;
    // A wait that is given up takes nothing from the others.
    let mut given_up = Box::pin(guard.wait());
    poll_fn(|cx| {
        let _ = given_up.as_mut().poll(cx);
        Poll::Ready(())
    })
    .await;
    drop(given_up);
    let waiting = async {
        let ends = async { tokio::join!(guard.wait(), guard.wait()) };
        timeout(suite.step(), ends).await
    };
    // Where there is no process, the end of both directions is all there is to see.
    let seeing = async {
        expect(&mut *reader, 0, |_| 0, || 1).await?;
        if !suite.has(Capability::ExitStatus) {
            let _ = writer.shutdown().await;
        }
        Outcome::Ok(())
    };
    let (waited, seen) = tokio::join!(waiting, seeing);
    seen?;
    let (one, two) = waited.map_err(|_| "the far end has ended, and `wait` does not resolve")?;
    let three = guard.wait().await;
    if one != two || one != three {
        return Err(format!("three calls of `wait`: {one}, {two}, {three}"));
    }
    if suite.has(Capability::ExitStatus) && one != Ending::Exited(7) {
        return Err(format!("the far end left with exit status 7; `wait` says: {one}"));
    }
    // Of no effect on one that has ended.
    guard.kill();
    guard.interrupt();
    if guard.wait().await != one {
        return Err("`wait` says something else after a kill that came too late".to_owned());
    }
    Ok(())
}

async fn signal(suite: &Suite) -> Outcome {
    let link = suite.start("die").await?;
    match link.guard.wait().await {
        Ending::Signaled { signal: 9, .. } => Ok(()),
        other => Err(format!("the far end died by signal 9; `wait` says: {other}")),
    }
}

/// A link to a far end that stays: whatever happens if it can be killed, until end-of-file if not.
async fn one_that_stays(suite: &Suite) -> Result<Link, String> {
    let command = if suite.has(Capability::Kill) { "hold" } else { "count" };
    let mut link = suite.start(command).await?;
    read_exactly(&mut *link.reader, "ok\n").await?;
    Ok(link)
}

async fn kill(suite: &Suite) -> Outcome {
    let Link { mut reader, mut writer, guard, .. } = one_that_stays(suite).await?;
    guard.kill();
    guard.kill();
    timeout(suite.step(), guard.wait()).await.map_err(|_| "killed, and `wait` does not resolve")?;
    timeout(suite.step(), reaches_end(&mut *reader))
        .await
        .map_err(|_| "killed, and the reader does not reach its end")??;
    writes_fail(suite, &mut *writer).await
}

async fn drop_ends(suite: &Suite) -> Outcome {
    drop(one_that_stays(suite).await?);
    still_there(suite, "the link was dropped").await?;
    let Link { mut reader, writer: _writer, guard, .. } = one_that_stays(suite).await?;
    drop(guard);
    timeout(suite.step(), reaches_end(&mut *reader))
        .await
        .map_err(|_| "the guard was dropped, and the reader does not reach its end")??;
    still_there(suite, "the guard was dropped").await
}

async fn still_there(suite: &Suite, after: &str) -> Outcome {
    let gone = timeout(suite.step(), suite.peer.all_gone()).await;
    gone.map_err(|_| {
        suite.peer.forget();
        format!("{after}, and the far end is still there")
    })
}

async fn interrupt(suite: &Suite) -> Outcome {
    let mut link = suite.start("interrupt").await?;
    read_exactly(&mut *link.reader, "ok\n").await?;
    link.guard.interrupt();
    timeout(suite.step(), read_exactly(&mut *link.reader, "interrupted\n"))
        .await
        .map_err(|_| "interrupted, and the far end does not learn of it")?
}

async fn stderr(suite: &Suite) -> Outcome {
    let link = suite.start("complain").await?;
    let Link { mut reader, mut writer, stderr, guard, .. } = link;
    let stderr = stderr.ok_or("there is none; if so it must be, declare it as lacking")?;
    writer.shutdown().await.map_err(writing_failed)?;
    expect(&mut *reader, 0, |_| 0, || 4096).await?;
    // Only now, and with nobody who looks at it, may the last of it arrive.
    guard.wait().await;
    stderr.closed().await;
    match stderr.tail_lines(1).pop() {
        Some(line) if line == "last words" => Ok(()),
        other => Err(format!("its last line was `last words`; kept is {other:?}")),
    }
}

async fn declared(suite: &Suite) -> Outcome {
    let link = suite.start("exit 7").await?;
    if !suite.has(Capability::Stderr) && link.stderr.is_some() {
        return Err("there is a standard error, which was declared as lacking".to_owned());
    }
    let Link { mut reader, mut writer, guard, .. } = link;
    reaches_end(&mut *reader).await?;
    let _ = writer.shutdown().await;
    if !suite.has(Capability::ExitStatus) && guard.wait().await == Ending::Exited(7) {
        return Err("there is an exit status, which was declared as lacking".to_owned());
    }
    if suite.has(Capability::ExitStatus) && !suite.has(Capability::Signal) {
        let link = suite.start("die").await?;
        if matches!(link.guard.wait().await, Ending::Signaled { .. }) {
            return Err("a signal is told, which was declared as lacking".to_owned());
        }
    }
    Ok(())
}

async fn many(suite: &Suite) -> Outcome {
    let ask = async |count: usize| {
        let mut link = suite.start(&format!("give {count}")).await?;
        let expected = given(count);
        expect(&mut *link.reader, count, |at| expected[at], || 4096).await?;
        Ok(link)
    };
    let (one, two, three, four) = tokio::join!(ask(100), ask(200), ask(300), ask(400));
    let links: Vec<Link> = [one, two, three, four].into_iter().collect::<Result<_, String>>()?;
    // In messages they need not differ, but none may be nameless.
    match links.iter().any(|link| link.guard.address().is_empty()) {
        true => Err("`FarEnd::address` is empty; it names the far end in messages".to_owned()),
        false => Ok(()),
    }
}

async fn connect_errors(suite: &Suite) -> Outcome {
    if suite.failing.is_empty() {
        return Err("show one with `Suite::fails`, or declare them as lacking".to_owned());
    }
    for (transport, stage, fault) in &suite.failing {
        let address = transport.address();
        let error = match transport.connect().await {
            Ok(_) => return Err(format!("{address} was to fail while {stage}, and connected")),
            Err(error) => error,
        };
        if (error.stage(), error.fault()) != (*stage, *fault) {
            return Err(format!(
                "{address} was to fail while {stage}, fault {fault:?}; it failed while {}, fault \
                 {:?}: {error}",
                error.stage(),
                error.fault()
            ));
        }
    }
    Ok(())
}

async fn drop_while_connecting(suite: &Suite) -> Outcome {
    /// No transport has more awaits than this.
    const MOST: usize = 10_000;
    drop(suite.transport.connect());
    for polls in 1..MOST {
        let mut connecting = suite.transport.connect();
        let mut polled = 0;
        let done = poll_fn(|cx| {
            polled += 1;
            match connecting.as_mut().poll(cx) {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending if polled == polls => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        drop(connecting);
        if let Some(result) = done {
            // What it has made goes at once, before it was spoken with.
            drop(result.map_err(|error| format!("cannot connect: {error}"))?);
            break;
        }
    }
    // Time for a far end that was left behind to report: as much as some later ones take, one after another.
    for _ in 0..5 {
        let mut link = suite.start("count").await?;
        read_exactly(&mut *link.reader, "ok\n").await?;
    }
    still_there(suite, "connecting was given up").await
}

/// Reads until the end, and compares with what was to come.
async fn expect(
    reader: &mut (dyn AsyncRead + Send + Unpin),
    total: usize,
    byte: impl Fn(usize) -> u8,
    mut next_cut: impl FnMut() -> usize,
) -> Outcome {
    let mut buffer = Vec::new();
    let mut at = 0;
    loop {
        buffer.resize(next_cut(), 0);
        let count = reader.read(&mut buffer).await.map_err(reading_failed)?;
        for &found in &buffer[..count] {
            if at == total {
                return Err(format!("more came than the {total} bytes that were sent"));
            }
            if found != byte(at) {
                let expected = byte(at);
                return Err(format!("byte {at} of {total} is {found}; expected {expected}"));
            }
            at += 1;
        }
        if count == 0 {
            return if at == total {
                Ok(())
            } else {
                Err(format!("the reader ended after {at} bytes; expected {total}"))
            };
        }
    }
}

async fn read_exactly(reader: &mut (dyn AsyncRead + Send + Unpin), expected: &str) -> Outcome {
    let mut found = vec![0; expected.len()];
    reader
        .read_exact(&mut found)
        .await
        .map_err(|error| format!("the far end was to say {expected:?}: {error}"))?;
    if found == expected.as_bytes() {
        return Ok(());
    }
    let found = String::from_utf8_lossy(&found);
    Err(format!("the far end was to say {expected:?}; it said {found:?}"))
}

/// Whatever still comes, the end follows.
async fn reaches_end(reader: &mut (dyn AsyncRead + Send + Unpin)) -> Outcome {
    let mut buffer = vec![0; 4096];
    loop {
        match reader.read(&mut buffer).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(reading_failed(error)),
        }
    }
}

/// The first few may still be taken: the system learns by them that nobody is there.
async fn writes_fail(suite: &Suite, writer: &mut (dyn AsyncWrite + Send + Unpin)) -> Outcome {
    let writing = async {
        loop {
            if let Err(error) = writer.write_all(&[0; 1000]).await {
                return error.kind();
            }
            tokio::task::yield_now().await;
        }
    };
    match timeout(suite.step(), writing).await {
        Ok(ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => Ok(()),
        Ok(kind) => Err(format!("the far end is gone, and a write fails with {kind:?}")),
        Err(_) => Err("the far end is gone, and writes do not fail".to_owned()),
    }
}

fn writing_failed(error: io::Error) -> String {
    format!("cannot write: {error} ({:?})", error.kind())
}

fn reading_failed(error: io::Error) -> String {
    format!("cannot read: {error} ({:?})", error.kind())
}

/// Marsaglia's xorshift: the same numbers every time.
struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 32) as u8).collect()
    }
}
