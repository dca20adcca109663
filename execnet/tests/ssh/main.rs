//! Gateways over ssh, on real servers, by each implementation.

mod asking;
mod cable;
#[path = "../common/mod.rs"]
mod common;
mod endings;
mod far;
mod hosts;
mod starts;
mod works;

use std::time::Duration;

use common::bounded;
use execnet::{Gateway, GatewayError, Group};
use execnet_testing::Sshd;

/// The values of `ssh_backend=`, each of which is to do the same.
const BACKENDS: [&str; 2] = ["native", "openssh"];

/// A specification that leads to the server by this implementation, and goes on with `rest`.
fn spec(sshd: &Sshd, backend: &str, rest: &str) -> String {
    let config = sshd.client_config("web1");
    format!("ssh=web1//ssh_config={}//ssh_backend={backend}{rest}", config.display())
}

/// Runs a scenario by each implementation, each in a gateway of its own.
async fn by_each<F: Future<Output = ()>>(rest: &str, scenario: impl Fn(Gateway) -> F) {
    let Some(sshd) = Sshd::start() else { return };
    for backend in BACKENDS {
        let group = common::group();
        let spec = spec(&sshd, backend, rest);
        let gateway = bounded(group.make_gateway(spec.as_str())).await.expect("a gateway");
        eprintln!("by {backend}");
        bounded(scenario(gateway)).await;
        bounded(group.terminate(Duration::from_secs(5))).await.expect("it ends");
    }
}

/// The error of a gateway that is not to start. Nothing of it is left in the group.
async fn refused(group: &Group, spec: &str) -> GatewayError {
    match bounded(group.make_gateway(spec)).await {
        Err(error) => {
            eprintln!("{error}");
            error
        }
        Ok(gateway) => panic!("{spec}: started as {}", gateway.address()),
    }
}
