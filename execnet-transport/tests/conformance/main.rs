//! Every link of ours passes the suite, and the suite finds what is broken.
#![cfg(unix)]

mod broken;
mod sockets;
mod streams;

use execnet_transport::conformance::{Capability, Peer, Suite, Verdict};
use execnet_transport::{Bootstrap, Fault, Link, Memory, Popen, Stage, memory};

fn python(peer: &Peer) -> Popen {
    Popen::new(["python3".to_owned(), "-c".to_owned(), peer.python()])
}

fn popen(peer: &Peer) -> Suite {
    Suite::new(peer, python(peer))
}

fn in_memory(peer: &Peer, buffer: usize) -> Suite {
    let far_end = peer.clone();
    let transport = Memory::new(move |far| {
        let far_end = far_end.clone();
        tokio::spawn(async move {
            let Link { reader, writer, guard: _guard, .. } = far;
            far_end.serve(reader, writer).await
        });
    });
    without_process(Suite::new(peer, transport.buffer(buffer)))
        .lacks(Capability::ConnectErrors, "there is nothing that could fail")
}

fn without_process(suite: Suite) -> Suite {
    let reason = "the far end is in this process";
    suite
        .lacks(Capability::ExitStatus, reason)
        .lacks(Capability::Kill, reason)
        .lacks(Capability::Interrupt, reason)
        .lacks(Capability::Stderr, reason)
}

#[tokio::test]
async fn popen_conforms() {
    let peer = Peer::new().unwrap();
    let report = popen(&peer)
        .fails(Popen::new(["no-such-program"]), Stage::Spawn, Fault::Caller)
        .fails(Popen::new(["cat"]).current_dir("/no/such/place"), Stage::Spawn, Fault::Caller)
        .run()
        .await;
    report.assert_passed();
    assert!(report.outcomes().iter().all(|outcome| outcome.verdict == Verdict::Passed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn popen_by_way_of_a_command_conforms() {
    let peer = Peer::new().unwrap();
    let argv = ["env".to_owned(), "python3".into(), "-u".into(), "-c".into(), peer.python()];
    let command = Popen::new(argv).bootstrap(Bootstrap::None).stderr_limit(100);
    let nowhere = Popen::new(["./no-such-program"]);
    let suite = Suite::new(&peer, command).fails(nowhere, Stage::Spawn, Fault::Caller);
    suite.run().await.assert_passed();
}

#[tokio::test]
async fn memory_conforms() {
    let peer = Peer::new().unwrap();
    in_memory(&peer, memory::DEFAULT_BUFFER).run().await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_with_an_odd_buffer_conforms() {
    let peer = Peer::new().unwrap();
    in_memory(&peer, 1021).run().await.assert_passed();
}
