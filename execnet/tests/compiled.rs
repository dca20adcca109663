//! The worker is compiled once by each interpreter, for all gateways that follow.

mod common;

use std::time::Duration;

use common::{bounded, group, pythons};
use execnet::{Gateway, ReceiveError, Value};

fn from_source(gateway: &Gateway) -> bool {
    gateway.info().facts.get("from_source").and_then(Value::as_u64) == Some(1)
}

#[tokio::test]
async fn later_gateways_compile_nothing() {
    for python in pythons() {
        let group = group();
        let spec = format!("popen//python={}", python.display());
        let first = bounded(group.make_gateway(spec.as_str())).await.unwrap();
        eprintln!("on {}", first.info().version);
        assert!(from_source(&first));
        bounded(first.exit(Duration::from_secs(5))).await;
        // What it has compiled is on its way, and then kept; busy machines may take some time.
        let later = loop {
            let gateway = bounded(group.make_gateway(spec.as_str())).await.unwrap();
            if !from_source(&gateway) {
                break gateway;
            }
            bounded(gateway.exit(Duration::from_secs(5))).await;
        };
        let mut channel = later.remote_exec("def f():\n  1 / 0\nf()").await.unwrap();
        match bounded(channel.receive::<i64>()).await {
            Err(ReceiveError::Remote(error)) => assert!(error.to_string().contains("  1 / 0\n")),
            other => panic!("{other:?}"),
        }
        // A first gateway that still lives serves as well.
        assert_eq!(later.status().await.unwrap().get("channels").and_then(Value::as_u64), Some(0));
        bounded(group.terminate(Duration::from_secs(5))).await.unwrap();
    }
}
