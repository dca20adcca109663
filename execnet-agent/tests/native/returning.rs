//! Arguments in, items and results out.

use std::collections::BTreeMap;

use execnet_agent::{Agent, ChannelId, Context, SendError};
use execnet_channel::proto::Value;
use serde::{Deserialize, Serialize};

use crate::support::{connect, result};

#[tokio::test]
async fn a_result_is_the_last_message() {
    let agent = Agent::builder()
        .task(
            "sum",
            |_, numbers: Vec<i64>| async move { Ok::<_, String>(numbers.iter().sum::<i64>()) },
        )
        .blocking_task("product", |_, numbers: Vec<i64>| {
            Ok::<_, String>(numbers.iter().product::<i64>())
        })
        .build();
    let near = connect(&agent);
    assert_eq!(near.call::<i64>("sum", &[1, 2, 3, 4]).await, Ok(10));
    assert_eq!(near.call::<i64>("product", &[1, 2, 3, 4]).await, Ok(24));
}

#[tokio::test]
async fn arguments_and_results_are_any_serde_type() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Job {
        name: String,
        sizes: BTreeMap<String, Option<u64>>,
    }
    let agent = Agent::builder()
        .task("echo", |_, job: Job| async move { Ok::<_, String>(job) })
        .task("nothing", |_, (): ()| async move { Ok::<_, String>(()) })
        .task("value", |_, value: Value| async move { Ok::<_, String>(value) })
        .build();
    let near = connect(&agent);
    let job =
        Job { name: "x".into(), sizes: [("a".to_owned(), Some(1)), ("b".to_owned(), None)].into() };
    assert_eq!(near.call("echo", &job).await, Ok(job));
    assert_eq!(near.call::<()>("nothing", &()).await, Ok(()));
    let exact = Value::tuple([Value::from(1), Value::Set(vec![2.into()])]);
    assert_eq!(near.call("value", &exact).await, Ok(exact));
}

#[tokio::test]
async fn progress_comes_before_the_result_and_input_goes_the_other_way() {
    let agent = Agent::builder()
        .task("running_total", |mut ctx: Context, (): ()| async move {
            let mut total = 0;
            while let Some(n) = ctx.receive::<i64>().await.map_err(|error| error.to_string())? {
                total += n;
                ctx.send(&total).await.map_err(|error| error.to_string())?;
            }
            Ok::<_, String>("done")
        })
        .build();
    let near = connect(&agent);
    let mut channel = near.start("running_total", &()).await;
    for (n, total) in [(1, 1), (2, 3), (3, 6)] {
        channel.send_value(&n).await.unwrap();
        assert_eq!(channel.recv_value::<i64>().await.unwrap(), Some(total));
    }
    channel.finish();
    assert_eq!(result::<String>(channel).await.unwrap(), "done");
}

#[tokio::test]
async fn a_channel_of_the_callers_can_be_an_argument() {
    let agent = Agent::builder()
        .task("fill", |ctx: Context, channel: ChannelId| async move {
            let mut channel = ctx.channel(channel).ok_or("no such channel")?;
            channel.send_value("filled").await.map_err(|_| "closed")?;
            Ok::<_, &str>(ctx.channel(channel.id()).is_none())
        })
        .build();
    let near = connect(&agent);
    let mut side = near.mux.open().unwrap();
    assert_eq!(near.call::<bool>("fill", &side.id()).await, Ok(true));
    assert_eq!(side.recv_value::<String>().await.unwrap().as_deref(), Some("filled"));
    // It was taken, and is closed now.
    let fault = near.call::<bool>("fill", &side.id()).await.unwrap_err();
    assert_eq!(fault.message, "no such channel");
}

#[tokio::test]
async fn a_task_can_open_a_channel() {
    let agent = Agent::builder()
        .task("open", |ctx: Context, (): ()| async move {
            let mut channel = ctx.new_channel().map_err(|error| error.to_string())?;
            ctx.send(&channel.id()).await.map_err(|error| error.to_string())?;
            let heard: Option<i64> =
                channel.recv_value().await.map_err(|error| error.to_string())?;
            Ok::<_, String>(heard)
        })
        .build();
    let near = connect(&agent);
    let mut channel = near.start("open", &()).await;
    let id: ChannelId = channel.recv_value().await.unwrap().unwrap();
    let mut opened = near.mux.claim(id).unwrap();
    opened.send_value(&42).await.unwrap();
    assert_eq!(result::<i64>(channel).await, Ok(42));
}

#[tokio::test]
async fn a_caller_that_does_not_read_makes_the_task_wait() {
    let agent = Agent::builder()
        .task("flood", |ctx: Context, count: usize| async move {
            for _ in 0..count {
                ctx.send_bytes(vec![7; 100_000]).await?;
            }
            Ok::<_, SendError>(count)
        })
        .build();
    let near = connect(&agent);
    // Far more than both windows hold.
    let channel = near.start("flood", &200).await;
    let status = loop {
        let status =
            execnet_channel::proto::cbor::decode(&near.mux.peer_status().await.unwrap()).unwrap();
        if status.get("waiting_for_credit") != Some(&Value::List(vec![])) {
            break status;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(status.get("executing"), Some(&Value::Int(1)));
    assert_eq!(result::<usize>(channel).await, Ok(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_run_at_once() {
    let agent = Agent::builder()
        .task("relay", |mut ctx: Context, n: u64| async move {
            let more = ctx.receive::<u64>().await.map_err(|error| error.to_string())?;
            Ok::<_, String>(n + more.unwrap_or_default())
        })
        .build();
    let near = connect(&agent);
    // So many only from the agent's HELLO on.
    near.mux.peer().await.unwrap();
    let mut channels = Vec::new();
    for n in 0_u32..500 {
        channels.push(near.start("relay", &n).await);
    }
    // All are running before the first may end.
    for (n, mut channel) in (0_u32..500).zip(channels).rev() {
        channel.send_value(&1000).await.unwrap();
        assert_eq!(result::<u64>(channel).await, Ok(u64::from(n) + 1000));
    }
}
