//! What several tests need.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "shared by several tests, each of which uses a part"
)]

pub mod threads;

use execnet::{Gateway, Group, Output};
pub use execnet_testing::{Life, Lifeline, WATCHDOG, python, pythons, resident, skip};

/// A group that keeps the tests' output quiet.
pub fn group() -> Group {
    Group::builder().output(Output::discard()).marshal(marshal()).build()
}

/// Whether items may travel as marshal, which is the default; `EXECNET_TEST_FORMAT=cbor` runs all tests without.
pub fn marshal() -> bool {
    std::env::var("EXECNET_TEST_FORMAT").as_deref() != Ok("cbor")
}

/// A popen gateway on some interpreter.
pub async fn popen(group: &Group) -> Option<Gateway> {
    let spec = format!("popen//python={}", python()?.display());
    Some(group.make_gateway(spec.as_str()).await.expect("a gateway"))
}

/// Fails instead of hanging.
pub async fn bounded<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(WATCHDOG, future).await.expect("no hang")
}
