//! The suite that every link passes.

use execnet_transport::conformance::{Capability, Peer, Suite};
use execnet_transport::{Fault, Stage};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn native_conforms() {
    let Some(sshd) = Sshd::start() else { return };
    // sshd takes no signals for a process of root's.
    let Some(user) = User::make() else { return };
    let peer = Peer::new().unwrap().ending_with_the_link();
    let command = format!("exec python3 -c {}", quoted(&peer.python()));
    let config = |sshd: &Sshd| {
        let mut config = config(sshd);
        config.user = user.name().to_owned();
        config
    };
    let mut stranger = config(&sshd);
    stranger.user_known_hosts = Vec::new();
    let mut nobody = config(&sshd);
    nobody.identity_files = Vec::new();
    let mut nowhere = config(&sshd);
    nowhere.hostname = "no-such-host.invalid".to_owned();
    let report = Suite::new(&peer, native(config(&sshd), &command))
        .fails(native(stranger, "true"), Stage::Authenticate, Fault::Caller)
        .fails(native(nobody, "true"), Stage::Authenticate, Fault::Caller)
        .fails(native(nowhere, "true"), Stage::Resolve, Fault::Caller)
        .run()
        .await;
    report.assert_passed();
}

#[tokio::test]
async fn through_a_jump_host_it_conforms_as_well() {
    let (Some(hop), Some(sshd)) = (Sshd::start(), Sshd::start()) else { return };
    let peer = Peer::new().unwrap().ending_with_the_link();
    let command = format!("exec python3 -c {}", quoted(&peer.python()));
    let mut config = config(&sshd);
    config.jumps = vec![super::config(&hop)];
    let mut stranger = config.clone();
    stranger.jumps[0].user_known_hosts = Vec::new();
    let mut suite = Suite::new(&peer, native(config, &command)).fails(
        native(stranger, "true"),
        Stage::Authenticate,
        Fault::Caller,
    );
    if sshd.user() == "root" {
        let reason = "sshd takes no signals for a process of root's";
        suite = suite.lacks(Capability::Kill, reason).lacks(Capability::Interrupt, reason);
    }
    suite.run().await.assert_passed();
}
