//! Links over ssh keep what all links promise.

use std::fs;

use execnet_testing::Sshd;
use execnet_transport::conformance::{Capability, Peer, Suite};
use execnet_transport::{Fault, Stage};

use crate::{BACKENDS, Backend, options};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_conform() {
    let Some(sshd) = Sshd::start() else { return };
    for backend in BACKENDS {
        let peer = Peer::new().unwrap().ending_with_the_link();
        let program = sshd.dir().join("far_end.py");
        fs::write(&program, peer.python()).unwrap();
        let command = format!("exec python3 {}", program.display());
        let transport = backend.transport(options(&sshd), &command).await.unwrap();
        let refused = backend.transport(options(&sshd).port(1), &command).await.unwrap();
        let mut suite = Suite::new(&peer, transport)
            .fails(refused, Stage::Connect, Fault::FarEnd)
            .lacks(Capability::Kill, "the host leaves alone what does not look at its link")
            .lacks(Capability::Interrupt, "there is no terminal to press Ctrl-C at");
        if backend == Backend::OpenSsh {
            suite = suite.lacks(Capability::Signal, "the program leaves with 255");
        }
        println!("{backend:?}");
        suite.run().await.assert_passed();
    }
}
