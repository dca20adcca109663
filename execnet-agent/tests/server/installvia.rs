//! A server on the host of another gateway: `installvia=`.

use execnet_testing::{Lifeline, WATCHDOG, skip};

use crate::script::able_pythons;
use crate::support::{bounded, group, secret};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_gives_another_one_a_process_of_its_own() {
    let able = able_pythons();
    if able.is_empty() {
        return skip("no Python with TLS 1.3");
    }
    for python in able {
        let group = group();
        let host = format!("popen//id=host//python={}", python.display());
        let host = bounded(group.make_gateway(host.as_str())).await.unwrap();
        let spec = "socket//installvia=host//env:COLOUR=red//chdir=/tmp";
        let gateways = bounded(group.make_all([spec, spec])).await.unwrap();
        for gateway in &gateways {
            assert_ne!(gateway.info().pid, host.info().pid);
            assert_eq!(gateway.info().executable, host.info().executable);
            assert!(gateway.address().starts_with("socket 127.0.0.1:"), "{gateway:?}");
            let source = "import os\nchannel.send(os.environ['COLOUR'] + os.getcwd())\n\
                          for item in channel: channel.send(item)";
            let mut channel = gateway.remote_exec(source).await.unwrap();
            assert_eq!(bounded(channel.receive::<String>()).await.unwrap(), "red/tmp");
            channel.send(&"x".repeat(1_000_000)).await.unwrap();
            assert_eq!(bounded(channel.receive::<String>()).await.unwrap().len(), 1_000_000);
        }
        // The main thread of the host is still to be had.
        let source = "import threading as t\n\
                      channel.send(t.current_thread() is t.main_thread())";
        let mut channel = host.remote_exec(source).await.unwrap();
        assert!(bounded(channel.receive::<bool>()).await.unwrap());

        // It ends with its client, and with its host.
        let lifeline = Lifeline::new();
        let source = format!("{}\nimport time\nwhile 1: time.sleep(1000)", lifeline.source());
        let mut lives = Vec::new();
        let mut channels = Vec::new();
        for gateway in &gateways {
            channels.push(gateway.remote_exec(source.as_str()).await.unwrap());
            lives.push(lifeline.accept());
        }
        gateways[0].kill();
        lives.remove(0).wait_for_death();
        host.kill();
        lives.remove(0).wait_for_death();
        drop(channels);
        let _ = bounded(group.terminate(WATCHDOG)).await;
    }
}

#[tokio::test]
async fn a_gateway_at_a_server_does_as_well() {
    let secret = secret();
    let served = secret.serve(&[]);
    let group = group();
    let spec = format!("{}//id=host", secret.spec(&served));
    let host = bounded(group.make_gateway(spec.as_str())).await.unwrap();
    if able_pythons().is_empty() {
        return skip("no Python with TLS 1.3");
    }
    let gateway = bounded(group.make_gateway("socket//installvia=host")).await.unwrap();
    assert_ne!(gateway.info().pid, host.info().pid);
}

#[tokio::test]
async fn what_makes_no_sense_beside_it_is_refused() {
    let group = group();
    bounded(group.make_gateway("popen//id=host")).await.unwrap();
    for (spec, said) in [
        ("socket//installvia=nobody", "no gateway has the id \"nobody\""),
        ("socket//installvia=host//token_file=x", "beside"),
        ("socket//installvia=host//stock", "beside"),
        ("socket=unix:/x//installvia=host", "beside"),
        ("popen//installvia=host", "without"),
    ] {
        let error = bounded(group.make_gateway(spec)).await.unwrap_err();
        assert!(error.is_caller_fault(), "{spec}: {error:?}");
        assert!(error.to_string().contains(said), "{spec}: {error}");
    }
    let spec = "socket//installvia=host//python=no-such-python";
    let error = bounded(group.make_gateway(spec)).await.unwrap_err().to_string();
    assert!(error.contains("cannot start no-such-python"), "{error}");
}
