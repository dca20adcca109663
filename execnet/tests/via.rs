//! Gateways through gateways.

mod common;

use std::time::Duration;

use common::{bounded, group, python};
use execnet::{Ending, Gateway, GatewayError, Group};
use execnet_testing::Lifeline;
use execnet_transport::conformance::{Capability, Peer, Suite};
use execnet_transport::{Fault, Link, Stage, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PATIENCE: Duration = Duration::from_secs(10);

fn popen() -> Option<String> {
    Some(format!("popen//python={}", python()?.display()))
}

async fn make(group: &Group, spec: &str) -> Gateway {
    bounded(group.make_gateway(spec)).await.expect("a gateway")
}

#[tokio::test]
async fn a_program_behind_a_gateway_is_a_link_like_others() {
    let Some(spec) = popen() else { return };
    let group = group();
    let gw = make(&group, &spec).await;
    let peer = Peer::new().unwrap();
    let command = gw.command(["python3", "-c", &*peer.python()]);
    let suite = Suite::new(&peer, command)
        .fails(gw.command(["no-such-program"]), Stage::Spawn, Fault::Caller)
        .fails(gw.command(["cat"]).current_dir("/no/such"), Stage::Spawn, Fault::Caller);
    suite.run().await.assert_passed();
}

#[tokio::test]
async fn a_connection_from_a_gateway_is_a_link_like_others() {
    let Some(spec) = popen() else { return };
    let group = group();
    let gw = make(&group, &spec).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let peer = Peer::new().unwrap();
    let far_end = peer.clone();
    let serving = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let far_end = far_end.clone();
            tokio::spawn(async move {
                let (reader, writer) = stream.into_split();
                far_end.serve(reader, writer).await
            });
        }
    });
    let reason = "there is no process";
    Suite::new(&peer, gw.dial(address))
        .lacks(Capability::ExitStatus, reason)
        .lacks(Capability::Kill, reason)
        .lacks(Capability::Interrupt, reason)
        .lacks(Capability::Stderr, reason)
        .fails(gw.dial(free.to_string()), Stage::Connect, Fault::FarEnd)
        .fails(gw.dial("no.such.host.invalid:1"), Stage::Resolve, Fault::FarEnd)
        .fails(gw.dial("nonsense"), Stage::Connect, Fault::Caller)
        .run()
        .await
        .assert_passed();
    serving.abort();
}

#[tokio::test]
async fn the_order_of_the_specifications_does_not_matter() {
    let Some(popen) = popen() else { return };
    let group = group();
    let specs = [
        format!("{popen}//id=c//via=b"),
        format!("{popen}//id=a"),
        format!("{popen}//id=b//via=a"),
    ];
    let gateways = bounded(group.make_all(specs.iter().map(String::as_str))).await.unwrap();
    let mut channel = gateways[0].remote_exec("channel.send(channel.gateway.id)").await.unwrap();
    assert_eq!(bounded(channel.receive::<String>()).await.unwrap(), "c");
    assert!(gateways[0].address().contains(" via b [pid "), "{}", gateways[0].address());
    bounded(group.terminate(PATIENCE)).await.unwrap();
    for gateway in &gateways {
        let lost = gateway.lost().await;
        assert!(lost.is_exit(), "{lost}");
    }
}

#[tokio::test]
async fn nonsense_is_told() {
    let Some(popen) = popen() else { return };
    let group = group();
    let via = |id: &str| format!("{popen}//id=x//via={id}");
    let error = group.make_gateway(&*via("gw7")).await.unwrap_err();
    assert!(
        error.to_string().contains("no gateway has the id \"gw7\"; the group has none"),
        "{error}"
    );
    make(&group, &format!("{popen}//id=web")).await;
    let error = group.make_gateway(&*via("gw7")).await.unwrap_err();
    assert!(error.to_string().contains("the group has web"), "{error}");
    assert!(error.is_caller_fault());
    let error = group.make_gateway(&*via("x")).await.unwrap_err();
    assert!(error.to_string().ends_with("go through each other: x via x"), "{error}");
    let ring = [format!("{popen}//id=a//via=b"), format!("{popen}//id=b//via=a")];
    let errors = bounded(group.make_all(ring.iter().map(String::as_str))).await.unwrap_err();
    assert!(matches!(errors[0], GatewayError::Circular { .. }), "{errors:?}");
    let broken = ["popen//python=no-such-python//id=a".to_owned(), format!("{popen}//via=a")];
    let errors = bounded(group.make_all(broken.iter().map(String::as_str))).await.unwrap_err();
    assert!(errors[1].to_string().contains("did not start"), "{}", errors[1]);
    let missing = "popen//python=no-such-python//via=web";
    let error = bounded(group.make_gateway(missing)).await.unwrap_err();
    assert!(
        error.to_string().contains("cannot start \"no-such-python\" on gateway web"),
        "{error}"
    );
    let silent = bounded(group.make_gateway("command=true//via=web")).await.unwrap_err();
    assert!(silent.to_string().contains("did not start: exit status 0"), "{silent}");
}

#[tokio::test]
async fn how_it_ended_and_what_it_printed_pass_through() {
    let Some(popen) = popen() else { return };
    let group = group();
    make(&group, &format!("{popen}//id=web")).await;
    let sub = make(&group, &format!("{popen}//via=web")).await;
    let code = "import os, sys; print('last words', file=sys.stderr, flush=True); os._exit(7)";
    sub.remote_exec(code).await.unwrap();
    let lost = bounded(sub.lost()).await;
    assert_eq!(lost.ending(), Some(Ending::Exited(7)));
    assert_eq!(lost.stderr(), ["last words"]);
}

#[tokio::test]
async fn environment_and_directory() {
    let Some(popen) = popen() else { return };
    let group = group();
    make(&group, &format!("{popen}//id=web")).await;
    let spec = "popen//via=web//env:PYTHONHASHSEED=1//env:X=a b//chdir=/tmp//nice=1";
    let sub = make(&group, spec).await;
    let code = "import os; channel.send([os.environ['X'], os.getcwd(), os.nice(0), hash('x')])";
    let mut channel = sub.remote_exec(code).await.unwrap();
    let (x, cwd, nice, hash): (String, String, i32, i64) =
        bounded(channel.receive()).await.unwrap();
    assert_eq!((&*x, &*cwd), ("a b", "/tmp"));
    assert!(nice >= 1);
    // A seed counts only before the interpreter starts; with it two of them agree.
    let other = make(&group, "popen//via=web//env:PYTHONHASHSEED=1").await;
    let mut channel = other.remote_exec("channel.send(hash('x'))").await.unwrap();
    assert_eq!(bounded(channel.receive::<i64>()).await.unwrap(), hash);
}

// The lifeline blocks its thread, and links go through this program.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_intermediates_death_is_the_reason() {
    let Some(popen) = popen() else { return };
    let group = group();
    let web = make(&group, &format!("{popen}//id=web")).await;
    let sub = make(&group, &format!("{popen}//id=sub//via=web")).await;
    let lifeline = Lifeline::new();
    let code = format!("{}channel.receive()", lifeline.source());
    let _channel = sub.remote_exec(code).await.unwrap();
    let life = lifeline.accept();
    web.kill();
    let lost = bounded(sub.lost()).await.to_string();
    assert!(lost.starts_with("gateway sub (") && lost.contains("gateway web ("), "{lost}");
    assert!(lost.contains("killed by SIGKILL"), "{lost}");
    tokio::task::spawn_blocking(|| life.wait_for_death()).await.unwrap();
}

// The lifeline blocks its thread, and links go through this program.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_one_is_gone_there_and_the_intermediate_stays() {
    let Some(popen) = popen() else { return };
    let group = group();
    let web = make(&group, &format!("{popen}//id=web")).await;
    let sub = make(&group, &format!("{popen}//via=web")).await;
    let lifeline = Lifeline::new();
    let code = format!("{}channel.receive()", lifeline.source());
    let _channel = sub.remote_exec(code).await.unwrap();
    let life = lifeline.accept();
    sub.kill();
    let lost = bounded(sub.lost()).await;
    assert_eq!(lost.ending(), Some(Ending::Signaled { signal: 9, core_dumped: false }));
    tokio::task::spawn_blocking(|| life.wait_for_death()).await.unwrap();
    assert!(!web.is_lost());
    bounded(web.ping()).await.unwrap();
}

#[tokio::test]
async fn a_slow_one_slows_nobody_else() {
    let Some(popen) = popen() else { return };
    let group = group();
    let web = make(&group, &format!("{popen}//id=web")).await;
    let slow = make(&group, &format!("{popen}//via=web")).await;
    let fast = make(&group, &format!("{popen}//via=web")).await;
    // All of it stands still, so that its link fills up.
    let stop = "import os, signal; channel.send(1); os.kill(os.getpid(), signal.SIGSTOP)";
    let mut channel = slow.remote_exec(stop).await.unwrap();
    assert_eq!(bounded(channel.receive::<i64>()).await.unwrap(), 1);
    let (mut sender, _receiver) = slow.new_channel().unwrap().split();
    let flooding =
        tokio::spawn(async move { while sender.send_bytes(vec![0; 65536]).await.is_ok() {} });
    for gateway in [&fast, &web] {
        let mut channel = gateway.remote_exec("for x in channel: channel.send(x)").await.unwrap();
        for _ in 0..64 {
            channel.send_bytes(vec![1; 65536]).await.unwrap();
            let back = bounded(channel.receive_value()).await.unwrap();
            assert_eq!(back.as_bytes().map(|bytes| bytes.len()), Some(65536));
        }
    }
    flooding.abort();
}

#[tokio::test]
async fn bytes_through_a_gateway_to_an_address() {
    let Some(popen) = popen() else { return };
    let group = group();
    let web = make(&group, &popen).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dial = web.dial(listener.local_addr().unwrap().to_string());
    let Link { mut reader, mut writer, guard, .. } = dial.connect().await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    writer.write_all(b"hello").await.unwrap();
    writer.shutdown().await.unwrap();
    let mut text = String::new();
    bounded(far.read_to_string(&mut text)).await.unwrap();
    far.write_all(b"and back").await.unwrap();
    drop(far);
    assert_eq!(text, "hello");
    text.clear();
    bounded(reader.read_to_string(&mut text)).await.unwrap();
    assert_eq!((&*text, guard.wait().await), ("and back", Ending::Closed));
}

#[tokio::test]
async fn one_at_a_time_starts_the_intermediate_first() {
    let Some(popen) = popen() else { return };
    let group = Group::builder().output(execnet::Output::discard()).start_limit(1).build();
    let specs = [format!("{popen}//via=a"), format!("{popen}//id=a"), format!("{popen}//via=a")];
    bounded(group.make_all(specs.iter().map(String::as_str))).await.unwrap();
}
