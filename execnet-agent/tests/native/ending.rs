//! TERMINATE, a link that ends, settings, and links that are none.

use std::future::pending;
use std::sync::Arc;

use execnet_agent::{Agent, Context, ServeError};
use execnet_channel::proto::{Terminate, Value};
use execnet_channel::{ConnectionError, ReceiveError};
use execnet_testing::WATCHDOG;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, split};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::support::{connect, connect_with, result};

const PATIENT: Terminate = Terminate { grace_ms: 3_600_000, kill_ms: 3_600_000 };

#[tokio::test]
async fn an_idle_agent_ends_at_once() {
    let near = connect(&Agent::builder().build());
    near.mux.terminate(PATIENT);
    near.served.await.unwrap().unwrap();
    assert!(matches!(near.mux.closed().await, ConnectionError::ClosedByPeer));
}

#[tokio::test]
async fn what_was_sent_before_runs_and_what_comes_later_is_refused() {
    let agent = Agent::builder()
        .task("drain", |mut ctx: Context, (): ()| async move {
            let mut items = Vec::new();
            while let Some(item) = ctx.receive::<i64>().await.map_err(|error| error.to_string())? {
                items.push(item);
            }
            Ok::<_, String>(items)
        })
        .task("hold", |mut ctx: Context, go: execnet_agent::ChannelId| async move {
            let mut go = ctx.channel(go).ok_or("no channel")?;
            // Its input is at its end at once; the other channel is not the agent's to end.
            let input: Option<i64> = ctx.receive().await.map_err(|_| "lost")?;
            ctx.send(&input).await.map_err(|_| "lost")?;
            let said: Option<i64> = go.recv_value().await.map_err(|_| "lost")?;
            Ok::<_, &str>(said)
        })
        .build();
    let near = connect(&agent);
    let mut go = near.mux.open().unwrap();
    let mut hold = near.start("hold", &go.id()).await;
    let mut drain = near.start("drain", &()).await;
    for item in [1, 2, 3] {
        drain.send_value(&item).await.unwrap();
    }
    near.mux.terminate(PATIENT);
    // Sent before, so it runs, and its input ends behind what was sent.
    assert_eq!(result::<Vec<i64>>(drain).await, Ok(vec![1, 2, 3]));
    assert_eq!(hold.recv_value::<Option<i64>>().await.unwrap(), Some(None));
    let fault = near.call::<()>("drain", &()).await.unwrap_err();
    assert_eq!(fault.to_string(), "OSError: the agent ends, it takes no new tasks");
    go.send_value(&7).await.unwrap();
    assert_eq!(result::<i64>(hold).await, Ok(7));
    near.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_grace_ends_with_an_interrupt_and_the_kill_ends_all() {
    let agent = Agent::builder()
        .task("careful", |ctx: Context, (): ()| async move {
            ctx.cancelled().await;
            Ok::<_, String>("interrupted")
        })
        .task("deaf", |ctx: Context, (): ()| async move {
            let _ = ctx.is_cancelled();
            pending::<Result<(), String>>().await
        })
        .cancel_grace(std::time::Duration::from_secs(100_000))
        .build();
    let near = connect(&agent);
    let careful = near.start("careful", &()).await;
    let deaf = near.start("deaf", &()).await;
    // The round trip says that both have begun.
    near.mux.peer_status().await.unwrap();
    near.mux.terminate(Terminate { grace_ms: 0, kill_ms: 500 });
    assert_eq!(result::<String>(careful).await.unwrap(), "interrupted");
    near.served.await.unwrap().unwrap();
    let mut deaf = deaf;
    let end = deaf.recv().await;
    // Dropped with its channel, or cut off by the farewell.
    assert!(matches!(end, Ok(None) | Err(ReceiveError::Connection(_))), "{end:?}");
}

#[tokio::test]
async fn the_end_of_the_link_ends_what_runs() {
    let begun = Arc::new(Semaphore::new(0));
    let seen = begun.clone();
    let agent = Agent::builder()
        .task("forever", move |_, (): ()| {
            let begun = seen.clone();
            async move {
                begun.add_permits(1);
                pending::<Result<(), String>>().await
            }
        })
        .build();
    let near = connect(&agent);
    let _channel = near.start("forever", &()).await;
    let _ = begun.acquire().await.unwrap();
    near.mux.close(None);
    // A farewell is no error, and nothing keeps the agent.
    let _ = near.served.await.unwrap();
}

#[tokio::test]
async fn a_setting_that_cannot_be_applied_is_told_and_nothing_runs() {
    let agent = Agent::builder().build();
    for (name, value, expected) in [
        (
            "chdir",
            Value::from("/"),
            "setting chdir: this agent serves several connections in one process, which it would change",
        ),
        ("nice", Value::from("high"), "setting nice: 'high' is no int of 32 bits"),
        (
            "execmodel",
            Value::from("thread"),
            "setting execmodel: a native agent runs its tasks on its own runtime; leave it out",
        ),
        (
            "env",
            Value::dict([("EXECNET_NO_SUCH", "1")]),
            "setting env: EXECNET_NO_SUCH is not so in a native agent that already runs; set it where the agent is started",
        ),
    ] {
        let near = connect_with(&agent, [(name, value)]);
        let ConnectionError::Refused(fault) = near.mux.closed().await else {
            panic!("not refused")
        };
        assert_eq!((&*fault.kind, &*fault.message), ("SettingError", expected));
        assert!(matches!(near.served.await.unwrap(), Err(ServeError::Setting { .. })));
    }
}

#[tokio::test]
async fn facts_tell_what_it_is() {
    let near = connect_with(&Agent::builder().build(), [("id", "gw7".into())]);
    let hello = near.mux.peer().await.unwrap();
    let fact = |name: &str| hello.facts[name].clone();
    assert_eq!(fact("implementation"), "native".into());
    assert_eq!(fact("version"), env!("CARGO_PKG_VERSION").into());
    assert_eq!(fact("platform"), std::env::consts::OS.into());
    assert_eq!(fact("id"), "gw7".into());
    assert_eq!(fact("pid"), Value::from(i64::from(std::process::id())));
    assert_eq!(fact("cwd"), std::env::current_dir().unwrap().to_str().unwrap().into());
    assert_eq!(fact("executable"), std::env::current_exe().unwrap().to_str().unwrap().into());
}

#[tokio::test]
async fn settings_may_be_longer_than_other_frames() {
    let long = "x".repeat(100 << 10);
    let near = connect_with(&Agent::builder().build(), [("note", long.into())]);
    near.mux.peer().await.unwrap();
}

#[tokio::test]
async fn what_is_no_protocol_is_answered_and_left() {
    let agent = Agent::builder().build();
    for bytes in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x89], b"\x89EXN\r\n\x1a\n\x01\x00\x00\x01\0\0\0\0\xff"]
    {
        let (mut near, far) = duplex(64 << 10);
        let (reader, writer) = split(far);
        near.write_all(bytes).await.unwrap();
        near.shutdown().await.unwrap();
        let error = agent.serve(reader, writer).await.unwrap_err();
        assert!(matches!(error, ServeError::NoHello(_) | ServeError::CutOff), "{error}");
        let mut answer = Vec::new();
        near.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"\x89EXN\r\n\x1a\n"), "{answer:?}");
    }
    // What may be ignored elsewhere is not waited out here: it would be kept without end.
    let (mut near, far) = duplex(64 << 10);
    let (reader, writer) = split(far);
    near.write_all(b"\x89EXN\r\n\x1a\n\x83\0\0\0\0\0\0\0").await.unwrap();
    let served = timeout(WATCHDOG, agent.serve(reader, writer)).await;
    let error = served.expect("an end").unwrap_err();
    assert!(matches!(error, ServeError::NotHello(0x83)), "{error}");
    // Nobody came: that is no error.
    let (near, far) = duplex(64);
    drop(near);
    let (reader, writer) = split(far);
    agent.serve(reader, writer).await.unwrap();
}
