//! Errors, panics, and requests that cannot be met.

use std::collections::BTreeMap;
use std::io;

use execnet_agent::{Agent, Context};
use execnet_channel::proto::Value;
use execnet_channel::proto::cbor;

use crate::support::connect;

#[derive(Debug, thiserror::Error)]
#[error("cannot read the configuration")]
struct ConfigError(#[source] io::Error);

fn agent() -> Agent {
    Agent::builder()
        .task("configure", |_, (): ()| async move {
            Err::<(), _>(ConfigError(io::Error::other("the disk is on fire")))
        })
        .task("parse", |_, text: String| async move { text.parse::<u8>() })
        .task("panic", |_, text: String| async move {
            if !text.is_empty() {
                panic!("{text}");
            }
            Ok::<_, String>(())
        })
        .blocking_task("panic_blocking", |_, text: String| -> Result<(), String> {
            panic!("{text}")
        })
        .task("panic_at_once", |_: Context, (): ()| -> std::future::Ready<Result<(), String>> {
            panic!("before its future")
        })
        .task("unsendable", |_, (): ()| async move {
            let key = BTreeMap::from([(1, 2)]);
            Ok::<_, String>(BTreeMap::from([(key, 3)]))
        })
        .build()
}

#[tokio::test]
async fn an_error_keeps_its_type_its_message_and_its_causes() {
    let near = connect(&agent());
    let fault = near.call::<()>("configure", &()).await.unwrap_err();
    assert_eq!((&*fault.kind, &*fault.message), ("ConfigError", "cannot read the configuration"));
    assert_eq!(
        fault.traceback.as_deref(),
        Some("ConfigError: cannot read the configuration\n  caused by: the disk is on fire")
    );
    let fault = near.call::<u8>("parse", "300").await.unwrap_err();
    assert_eq!(fault.to_string(), "ParseIntError: number too large to fit in target type");
}

#[tokio::test]
async fn a_panic_is_told_with_its_place_and_the_agent_lives_on() {
    let near = connect(&agent());
    for task in ["panic", "panic_blocking"] {
        let fault = near.call::<()>(task, "all is lost").await.unwrap_err();
        assert_eq!(fault.kind, "panic");
        assert!(
            fault.message.starts_with("all is lost (") && fault.message.contains("failing.rs:"),
            "{}",
            fault.message
        );
        let traceback = fault.traceback.unwrap();
        assert!(traceback.contains("failing::agent"), "{traceback}");
    }
    let fault = near.call::<()>("panic_at_once", &()).await.unwrap_err();
    assert!(fault.message.starts_with("before its future"), "{}", fault.message);
    assert_eq!(near.call::<()>("panic", "").await, Ok(()));
    let status = cbor::decode(&near.mux.peer_status().await.unwrap()).unwrap();
    assert_eq!(status.get("executing"), Some(&Value::Int(0)));
}

#[tokio::test]
async fn an_unknown_task_lists_the_known_ones() {
    let fault = connect(&agent()).call::<()>("pares", "1").await.unwrap_err();
    assert_eq!(fault.kind, "UnknownTask");
    assert_eq!(
        fault.message,
        "no task \"pares\"; did you mean \"parse\"?; known are: configure, panic, panic_at_once, \
         panic_blocking, parse, unsendable"
    );
}

#[tokio::test]
async fn an_argument_of_another_type_is_named() {
    let fault = connect(&agent()).call::<u8>("parse", &7).await.unwrap_err();
    assert_eq!(fault.kind, "TypeError");
    assert!(
        fault
            .message
            .starts_with("the argument is not one that the task \"parse\" takes: invalid type"),
        "{}",
        fault.message
    );
}

#[tokio::test]
async fn a_result_that_does_not_cross_is_named() {
    let fault = connect(&agent()).call::<()>("unsendable", &()).await.unwrap_err();
    assert_eq!(fault.kind, "EncodeError");
    assert!(fault.message.contains("a dict is not hashable"), "{}", fault.message);
}

#[tokio::test]
async fn requests_that_are_none_are_refused_one_by_one() {
    let near = connect(&agent());
    let source = Value::dict([("kind", "source"), ("source", "1")]);
    for (request, expected) in [
        (source, "a request of the kind \"source\"; known are: call, command, connect"),
        (Value::dict([("task", "parse")]), "not a request: missing field `kind`"),
        (Value::dict([("kind", "call")]), "not a request: missing field `task`"),
        (Value::list([1]), "not a request: "),
        (Value::dict([("kind", "command")]), "not a request: missing field `argv`"),
    ] {
        let fault = crate::support::result::<()>(near.request(&request).await).await.unwrap_err();
        assert!(fault.message.starts_with(expected), "{request}: {fault}");
    }
    let mut channel = near.mux.exec().unwrap();
    channel.finish();
    let fault = crate::support::result::<()>(channel).await.unwrap_err();
    assert_eq!(fault.message, "the channel ended before its request");
}
