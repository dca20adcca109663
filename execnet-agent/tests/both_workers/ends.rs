//! What both say of themselves, what they cannot do, and how they end.

use execnet_channel::proto::{Terminate, Value};
use execnet_transport::Ending;

use crate::support::{ALL, Far, items, with_each};

#[tokio::test]
async fn facts_and_status() {
    with_each(async |far: Far| {
        let hello = far.mux.peer().await.unwrap();
        for fact in ["executable", "version", "implementation", "platform", "cwd", "id"] {
            assert!(hello.facts[fact].as_str().is_some(), "{}: {fact}", far.name);
        }
        assert!(hello.facts["pid"].as_u64().is_some_and(|pid| pid > 0));
        for (key, expected) in [("channels", 0), ("executing", 0), ("queued", 0)] {
            assert_eq!(far.status(key).await, Value::Int(expected), "{}: {key}", far.name);
        }
        assert!(far.status("execmodel").await.as_str().is_some());
        far.mux.ping().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_kind_that_nobody_knows_is_answered_with_those_that_are() {
    with_each(async |far: Far| {
        let mut channel = far.request("dance", []).await;
        let fault = items(&mut channel).await.unwrap_err();
        assert_eq!(fault.kind, "ValueError", "{}", far.name);
        for text in ["dance", "command", "connect"] {
            assert!(fault.message.contains(text), "{}: {fault}", far.name);
        }
    })
    .await;
}

#[tokio::test]
async fn an_idle_one_ends_at_once() {
    with_each(async |far: Far| {
        far.mux.terminate(Terminate { grace_ms: 3_600_000, kill_ms: 3_600_000 });
        assert_eq!(far.guard.wait().await, Ending::Exited(0), "{}", far.name);
        let how = far.mux.closed().await;
        assert!(how.is_clean(), "{}: {how}", far.name);
    })
    .await;
}

#[tokio::test]
async fn it_ends_with_its_link() {
    with_each(async |far: Far| {
        let mut it = far.command(vec!["sleep".into(), "1000".into()], &ALL[1..2]).await;
        it.started().await;
        far.mux.close(None);
        far.guard.wait().await;
    })
    .await;
}
