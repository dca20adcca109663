//! Links that break one clause each, made from sound ones, and what the suite says of them.

use std::fmt;
use std::future::pending;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use execnet_transport::conformance::Report;
use execnet_transport::{BoxFuture, ConnectError, Ending, FarEnd, Guard, Link, Stderr, Transport};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::*;

/// Long enough for what works, short for what never comes.
const PATIENCE: Duration = Duration::from_secs(12);

/// A transport whose links are altered.
struct Altered<T> {
    inner: T,
    alter: Box<dyn Fn(Link) -> Link + Send + Sync>,
}

impl<T: Transport> Transport for Altered<T> {
    fn address(&self) -> String {
        self.inner.address()
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        Box::pin(async { self.inner.connect().await.map(&self.alter) })
    }
}

impl<T> fmt::Debug for Altered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Altered")
    }
}

/// Runs one case on processes whose links are altered.
async fn try_altered(
    case: &'static str,
    alter: impl Fn(Link) -> Link + Send + Sync + 'static,
) -> Report {
    let peer = Peer::new().unwrap();
    let transport = Altered { inner: python(&peer), alter: Box::new(alter) };
    Suite::new(&peer, transport).only(case).patience(PATIENCE).run().await
}

/// The one case failed, for this reason, and the clause is named.
#[track_caller]
fn assert_blamed(report: &Report, reason: &str, clause: &str) {
    assert_eq!(report.outcomes().len(), 1, "{report}");
    let text = report.to_string();
    assert!(report.failures().next().is_some() && text.contains(reason), "{text}");
    assert!(text.contains(&format!("the contract: {clause}")), "{text}");
}

/// A writer with one thing wrong.
struct BadWriter {
    inner: Box<dyn AsyncWrite + Send + Unpin>,
    wrong: Wrong,
    held: Option<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Wrong {
    /// Always keeps the last byte for later.
    HoldsOneBack,
    /// The first two bytes of each long piece change places.
    Swaps,
    /// Says that it took all, and took half.
    Loses,
    /// The far end never learns that it was shut down.
    IgnoresShutdown,
    /// Does not forward an empty write.
    RefusesEmpty,
}

impl BadWriter {
    fn alter(wrong: Wrong) -> impl Fn(Link) -> Link {
        move |mut link| {
            let inner = link.writer;
            link.writer = Box::new(Self { inner, wrong, held: None });
            link
        }
    }
}

impl AsyncWrite for BadWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.wrong {
            Wrong::HoldsOneBack => {
                while let Some(held) = self.held {
                    if ready!(Pin::new(&mut self.inner).poll_write(cx, &[held]))? == 1 {
                        self.held = None;
                    }
                }
                let Some((last, rest)) = bytes.split_last() else { return Poll::Ready(Ok(0)) };
                if !rest.is_empty() {
                    return Pin::new(&mut self.inner).poll_write(cx, rest);
                }
                self.held = Some(*last);
                Poll::Ready(Ok(1))
            }
            Wrong::Swaps if bytes.len() > 100 => {
                let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(
                    cx,
                    &[IoSlice::new(&bytes[1..2]), IoSlice::new(&bytes[..1])]
                ))?;
                Poll::Ready(Ok(written))
            }
            Wrong::Loses if bytes.len() > 100 => {
                let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &bytes[..50]))?;
                Poll::Ready(Ok(2 * written))
            }
            Wrong::RefusesEmpty if bytes.is_empty() => {
                Poll::Ready(Err(io::ErrorKind::InvalidInput.into()))
            }
            _ => Pin::new(&mut self.inner).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.wrong == Wrong::IgnoresShutdown {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn bytes_that_change_places() {
    let report = try_altered("order", BadWriter::alter(Wrong::Swaps)).await;
    assert_blamed(&report, " of 1048576 is ", "Bytes. In order");
}

#[tokio::test]
async fn bytes_that_are_lost() {
    let report = try_altered("order", BadWriter::alter(Wrong::Loses)).await;
    assert_blamed(&report, "; expected ", "Bytes. In order, unchanged, without loss");
}

#[tokio::test]
async fn a_last_byte_that_stays_behind() {
    // The newline of the command is the first that should have been sent by a flush.
    let report = try_altered("flush", BadWriter::alter(Wrong::HoldsOneBack)).await;
    assert_blamed(&report, "was flushed and did not come back", "Writing. After `poll_flush`");
}

#[tokio::test]
async fn an_empty_write_that_is_an_error() {
    let report = try_altered("flush", BadWriter::alter(Wrong::RefusesEmpty)).await;
    assert_blamed(&report, "an empty write: ", "Writing. After `poll_flush`");
}

#[tokio::test]
async fn a_shutdown_that_is_ignored() {
    let report = try_altered("half-close", BadWriter::alter(Wrong::IgnoresShutdown)).await;
    assert_blamed(&report, "the writer was shut down, the far side sees no end", "Half-close.");
}

#[tokio::test]
async fn a_dropped_writer_that_lives_on() {
    /// Somebody else holds the writer as well.
    struct Shared(Arc<Mutex<Box<dyn AsyncWrite + Send + Unpin>>>);
    impl AsyncWrite for Shared {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut *self.0.lock().unwrap()).poll_write(cx, bytes)
        }
        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut *self.0.lock().unwrap()).poll_flush(cx)
        }
        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut *self.0.lock().unwrap()).poll_shutdown(cx)
        }
    }
    let kept = Mutex::new(Vec::new());
    let report = try_altered("half-close", move |mut link| {
        let writer = Arc::new(Mutex::new(link.writer));
        kept.lock().unwrap().push(writer.clone());
        link.writer = Box::new(Shared(writer));
        link
    })
    .await;
    assert_blamed(&report, "the writer was dropped, the far side sees no end", "Half-close.");
}

#[tokio::test]
async fn a_buffer_without_a_limit() {
    /// Takes everything, and leaves it to a task.
    struct Endless(tokio::sync::mpsc::UnboundedSender<Vec<u8>>);
    impl AsyncWrite for Endless {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.send(bytes.to_vec()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            Poll::Ready(Ok(bytes.len()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
    let report = try_altered("backpressure", |mut link| {
        let (sender, mut pieces) = tokio::sync::mpsc::unbounded_channel::<Vec<u8>>();
        let mut inner = link.writer;
        tokio::spawn(async move {
            while let Some(piece) = pieces.recv().await {
                if inner.write_all(&piece).await.is_err() {
                    return;
                }
            }
        });
        link.writer = Box::new(Endless(sender));
        link
    })
    .await;
    assert_blamed(&report, "were taken while nobody read", "Bytes. A full link makes the writer");
}

/// A guard with one thing wrong.
struct BadGuard {
    inner: Guard,
    lie: Lie,
}

#[derive(Clone, Copy, PartialEq)]
enum Lie {
    NeverEnds,
    AlwaysFine,
    DoesNotKill,
    DoesNotInterrupt,
}

impl BadGuard {
    fn alter(lie: Lie) -> impl Fn(Link) -> Link {
        move |mut link| {
            link.guard = Guard::new(Self { inner: link.guard, lie });
            link
        }
    }
}

impl FarEnd for BadGuard {
    fn address(&self) -> &str {
        self.inner.address()
    }

    fn wait(&self) -> BoxFuture<'_, Ending> {
        Box::pin(async {
            let ending = self.inner.wait().await;
            match self.lie {
                Lie::NeverEnds => pending().await,
                Lie::AlwaysFine => Ending::Exited(0),
                _ => ending,
            }
        })
    }

    fn kill(&self) {
        if self.lie != Lie::DoesNotKill {
            self.inner.kill();
        }
    }

    fn interrupt(&self) {
        if self.lie != Lie::DoesNotInterrupt {
            self.inner.interrupt();
        }
    }
}

#[tokio::test]
async fn a_death_that_is_never_told() {
    let report = try_altered("ending", BadGuard::alter(Lie::NeverEnds)).await;
    assert_blamed(&report, "the far end has ended, and `wait` does not resolve", "`FarEnd::wait`");
}

#[tokio::test]
async fn an_ending_that_is_made_up() {
    let report = try_altered("ending", BadGuard::alter(Lie::AlwaysFine)).await;
    assert_blamed(&report, "exit status 7; `wait` says: exit status 0", "`FarEnd::wait`");
    let report = try_altered("signal", BadGuard::alter(Lie::AlwaysFine)).await;
    assert_blamed(&report, "died by signal 9; `wait` says: exit status 0", "`FarEnd::wait`");
}

#[tokio::test]
async fn a_kill_that_does_nothing() {
    let report = try_altered("kill", BadGuard::alter(Lie::DoesNotKill)).await;
    assert_blamed(&report, "killed, and `wait` does not resolve", "`FarEnd::kill`");
}

#[tokio::test]
async fn an_interrupt_that_does_nothing() {
    let report = try_altered("interrupt", BadGuard::alter(Lie::DoesNotInterrupt)).await;
    assert_blamed(&report, "the far end does not learn of it", "`FarEnd::interrupt`");
}

#[tokio::test]
async fn a_far_end_that_outlives_its_link() {
    /// Kept when the guard is dropped.
    struct Forgets(Arc<Guard>);
    impl FarEnd for Forgets {
        fn address(&self) -> &str {
            self.0.address()
        }
        fn wait(&self) -> BoxFuture<'_, Ending> {
            Box::pin(self.0.wait())
        }
        fn kill(&self) {}
    }
    let kept = Mutex::new(Vec::new());
    let report = try_altered("drop", move |mut link| {
        let guard = Arc::new(link.guard);
        kept.lock().unwrap().push(guard.clone());
        link.guard = Guard::new(Forgets(guard));
        link
    })
    .await;
    let reason = "the link was dropped, and the far end is still there";
    assert_blamed(&report, reason, "The guard. Dropping it ends the far end");
}

#[tokio::test]
async fn a_standard_error_that_is_lost() {
    let report = try_altered("stderr", |mut link| {
        link.stderr = Some(Stderr::new(tokio::io::empty()));
        link
    })
    .await;
    assert_blamed(&report, "its last line was `last words`; kept is None", "Standard error.");
}

#[tokio::test]
async fn a_standard_error_within_the_bytes() {
    let peer = Peer::new().unwrap();
    let argv = ["sh", "-c", r#"exec python3 -c "$0" 2>&1"#].map(str::to_owned);
    let transport = Popen::new(argv.into_iter().chain([peer.python()]));
    let report = Suite::new(&peer, transport).only("stderr").run().await;
    assert_blamed(&report, "more came than the 0 bytes", "Standard error.");
}

#[tokio::test]
async fn an_error_of_the_wrong_stage() {
    let peer = Peer::new().unwrap();
    let nowhere = Popen::new(["no-such-program"]);
    let suite = popen(&peer).only("connect errors");
    assert_blamed(&suite.run().await, "show one with `Suite::fails`", "`connect`.");
    let suite = suite.fails(nowhere, Stage::Authenticate, Fault::FarEnd);
    let reason = "was to fail while authenticating, fault FarEnd; it failed while starting";
    assert_blamed(&suite.run().await, reason, "`connect`.");
}

#[tokio::test]
async fn a_connect_that_leaves_its_process_behind() {
    /// Waits once after it has started the process; what was started then is in nobody's hands.
    #[derive(Debug)]
    struct Careless(Popen, Arc<Mutex<Vec<Link>>>);
    impl Transport for Careless {
        fn address(&self) -> String {
            self.0.address()
        }
        fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
            Box::pin(async {
                let link = self.0.connect().await?;
                self.1.lock().unwrap().push(link);
                tokio::task::yield_now().await;
                Ok(self.1.lock().unwrap().pop().unwrap())
            })
        }
    }
    let peer = Peer::new().unwrap();
    let careless = Careless(python(&peer), Arc::default());
    // Six processes start, one after another.
    let suite = Suite::new(&peer, careless).only("drop while connecting").patience(3 * PATIENCE);
    let reason = "connecting was given up, and the far end is still there";
    assert_blamed(&suite.run().await, reason, "Nothing left behind.");
}

#[tokio::test]
async fn a_lack_that_was_not_declared() {
    let peer = Peer::new().unwrap();
    let far_end = peer.clone();
    let undeclared = Memory::new(move |far| {
        let far_end = far_end.clone();
        tokio::spawn(async move {
            let Link { reader, writer, guard: _guard, .. } = far;
            far_end.serve(reader, writer).await
        });
    });
    let suite = Suite::new(&peer, undeclared).patience(PATIENCE);
    let failed: Vec<_> = suite.run().await.failures().map(|outcome| outcome.case).collect();
    let expected = ["ending", "signal", "kill", "drop", "interrupt", "stderr", "connect errors"];
    assert_eq!(failed, expected);
}

#[tokio::test]
async fn a_lack_that_is_none() {
    let peer = Peer::new().unwrap();
    for (capability, text) in
        [(Capability::Stderr, "standard error"), (Capability::ExitStatus, "exit status")]
    {
        let suite = popen(&peer).lacks(capability, "so they say").only("declared");
        let reason = format!("{text}, which was declared as lacking");
        assert_blamed(&suite.run().await, &reason, "What a transport is declared to lack");
    }
}

#[tokio::test]
async fn what_could_not_be_tried_is_reported() {
    let peer = Peer::new().unwrap();
    let report = in_memory(&peer, 100).only("signal").run().await;
    let expected =
        "links of memory:\n  signal: not run: no exit status: the far end is in this process";
    assert_eq!(report.to_string(), expected);
    report.assert_passed();
}
