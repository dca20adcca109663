//! The native worker of a server.

use std::time::Duration;

use execnet_agent::AGENT_ARGUMENT;
use execnet_agent::server::{Config, Server};

use crate::support::{builder, start};

crate::tests![a_server_starts_the_agent];

async fn a_server_starts_the_agent() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("socket");
    let mut config = Config::new([format!("unix:{}", socket.display()).parse().unwrap()]);
    let exe = std::env::current_exe().unwrap();
    config.native = Some(vec![exe.to_str().unwrap().to_owned(), AGENT_ARGUMENT.to_owned()]);
    let server = Server::bind(config).await.unwrap();
    let handle = server.handle();
    let running = tokio::spawn(server.run());

    let made = dir.path().canonicalize().unwrap().join("made");
    let spec = format!("socket=unix:{}//agent//id=far", socket.display());
    let (group, gateway) =
        start(&format!("{spec}//env:EXECNET_TEST=a b//chdir={}", made.display())).await;
    assert_eq!(gateway.call::<i64>("sum", &[40, 2]).await.unwrap(), 42);
    let found: Option<String> = gateway.call("environment", "EXECNET_TEST").await.unwrap();
    assert_eq!(found.as_deref(), Some("a b"));
    assert_eq!(gateway.info().cwd, made.to_str().unwrap());
    assert_eq!(gateway.info().implementation, "native");
    // What is printed there arrives here.
    gateway.call::<()>("print", "from the server's worker").await.unwrap();
    group.terminate(Duration::from_secs(60)).await.unwrap();
    let printed = gateway.last_output(5);
    assert!(printed.contains(&"from the server's worker".to_owned()), "{printed:?}");

    // Which program it is, is the server's to say.
    let spec = format!("socket=unix:{}//agent=/bin/true", socket.display());
    let error = builder().build().make_gateway(spec).await.unwrap_err();
    assert!(error.is_caller_fault(), "{error}");
    handle.drain();
    let _ = running.await;
}
