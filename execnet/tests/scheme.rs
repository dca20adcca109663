//! Specification keys of one's own.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{bounded, python};
use execnet::{GatewayError, Group, Output, Scheme, XSpec, worker_command};
use execnet_transport::{Bootstrap, BoxFuture, ConnectError, Link, Popen, Transport};
use tokio::net::UnixStream;

/// Each connect starts an interpreter at the other end of two sockets, and knows no more of it than its socket.
#[derive(Debug)]
struct Socket(Vec<String>);

impl Transport for Socket {
    fn address(&self) -> String {
        "socket of our own".to_owned()
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        Box::pin(async {
            let (near, far) = UnixStream::pair().unwrap();
            let far = far.into_std().unwrap();
            far.set_nonblocking(false).unwrap();
            let far = std::os::fd::OwnedFd::from(far);
            let mut worker = std::process::Command::new(&self.0[0]);
            worker.args(&self.0[1..]).stdin(far.try_clone().unwrap()).stdout(far);
            let mut worker = worker.spawn().unwrap();
            std::thread::spawn(move || worker.wait());
            Ok(Link::over(near, self.address()).with_bootstrap(Bootstrap::Python))
        })
    }
}

fn with(schemes: impl IntoIterator<Item = Scheme>) -> Group {
    let builder = Group::builder().output(Output::discard());
    schemes.into_iter().fold(builder, |builder, scheme| builder.scheme(scheme)).build()
}

/// `pair=NAME`, and `pair_color=` beside it.
fn pair() -> Scheme {
    let make = |spec: &XSpec| match spec.value("pair") {
        Some("bad") => Err("not that one"),
        _ => Ok(Socket(worker_command(spec))),
    };
    Scheme::new("pair", make).option("pair_color")
}

#[tokio::test]
async fn a_worker_is_reached_over_a_transport_of_ones_own() {
    let Some(python) = python() else { return };
    let group = with([pair()]);
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().canonicalize().unwrap().join("made");
    let spec = format!(
        "pair=x//pair_color=red//python={}//id=mine//env:COLOR=red//chdir={}",
        python.display(),
        dir.display()
    );
    let gateway = bounded(group.make_gateway(spec)).await.unwrap();
    assert_eq!(gateway.id(), "mine");
    let source = "import os; channel.send((os.environ['COLOR'], os.getcwd()))";
    let mut channel = gateway.remote_exec(source).await.unwrap();
    let found: (String, String) = bounded(channel.receive()).await.unwrap();
    assert_eq!(found, ("red".to_owned(), dir.display().to_string()));
    bounded(group.terminate(Duration::from_secs(5))).await.unwrap();
    // There is no process to ask, so the end of the link is the ending.
    assert!(bounded(gateway.lost()).await.is_exit());
}

#[tokio::test]
async fn the_specification_is_what_the_scheme_sees() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let scheme = Scheme::new("nowhere", move |spec: &XSpec| {
        log.lock().unwrap().push(spec.to_string());
        Ok::<_, String>(Popen::new(["/no/such/program"]))
    });
    let group = with([scheme]);
    let error = group.make_gateway("nowhere//nice=3").await.unwrap_err();
    assert!(matches!(error, GatewayError::Connect { .. }), "{error}");
    assert_eq!(*seen.lock().unwrap(), ["nowhere//nice=3"]);
    assert!(group.is_empty());
}

#[tokio::test]
async fn a_scheme_may_refuse_a_specification() {
    let error = with([pair()]).make_gateway("pair=bad").await.unwrap_err();
    assert_eq!(error.to_string(), "spec \"pair=bad\": `pair`: not that one");
    assert!(error.is_caller_fault());
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "not that one");
}

async fn refused(group: &Group, spec: &str) -> String {
    match group.make_gateway(spec).await {
        Err(GatewayError::Spec(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn keys_of_ones_own_are_known_in_that_group_alone() {
    let group = with([pair()]);
    let text = refused(&group, "pari=x").await;
    assert!(text.ends_with("unknown key `pari`; did you mean `pair`?"), "{text}");
    let text = refused(&group, "pair=x//pair_colour=red").await;
    assert!(text.ends_with("unknown key `pair_colour`; did you mean `pair_color`?"), "{text}");
    let text = refused(&group, "nice=3").await;
    assert!(text.contains("expected one of `popen`,") && text.contains("`pair`"), "{text}");
    let text = refused(&group, "popen//pair=x").await;
    assert!(text.contains("two types of gateway, `pair` and `popen`"), "{text}");
    // Its options are its own.
    let text = refused(&group, "popen//pair_color=red").await;
    assert!(text.contains("unknown key `pair_color`"), "{text}");
    let text = refused(&Group::new(), "pair=x").await;
    assert!(text.contains("unknown key `pair`"), "{text}");
}

#[tokio::test]
async fn of_two_schemes_with_one_key_the_later_one_counts() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let later = Scheme::new("pair", move |_: &XSpec| {
        count.fetch_add(1, Ordering::Relaxed);
        Err::<Popen, _>("closed today")
    });
    let text = with([pair(), later]).make_gateway("pair=x").await.unwrap_err().to_string();
    assert!(text.ends_with("closed today"), "{text}");
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[test]
fn a_key_with_a_meaning_cannot_be_claimed() {
    let make = |_: &XSpec| Ok::<_, String>(Popen::new(["cat"]));
    for key in ["ssh", "env:X", "id", "", "a b", "_x", "a=b", "a//b", "/x"] {
        let attempt = std::panic::catch_unwind(|| Scheme::new(key, make));
        assert!(attempt.is_err(), "{key:?}");
        let attempt = std::panic::catch_unwind(|| Scheme::new("fine", make).option(key));
        assert!(attempt.is_err(), "{key:?}");
    }
}
