//! Who is let in, and what those are told who are not.

use execnet::GatewayError;
use execnet_testing::Authority;

use crate::support::{Served, agent, bounded, group, new_token, secret};

#[tokio::test]
async fn a_token_lets_in_and_another_one_does_not() {
    let secret = secret();
    let mut served = secret.serve(&[]);
    let group = group();
    let gateway = bounded(group.make_gateway(secret.spec(&served).as_str())).await.unwrap();
    let mut channel = gateway.remote_exec("channel.send(channel.receive() * 2)").await.unwrap();
    channel.send(&21).await.unwrap();
    assert_eq!(bounded(channel.receive::<i64>()).await.unwrap(), 42);

    let other = secret.dir.path().join("other");
    new_token(&other);
    let spec = format!("socket={}//token_file={}", served.addresses[0], other.display());
    let error = bounded(group.make_gateway(spec.as_str())).await.unwrap_err();
    assert!(matches!(error, GatewayError::Connect { .. }), "{error:?}");
    assert!(error.to_string().contains("does not have this token"), "{error}");
    served.logged(&["refused", "a token that is not ours"]);
}

#[tokio::test]
async fn certificates_of_the_right_authority_with_an_allowed_name_let_in() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Authority::new(dir.path(), "servers");
    let clients = Authority::new(dir.path(), "clients");
    let strangers = Authority::new(dir.path(), "strangers");
    let (certificate, key) = servers.sign("lab", &["lab.example"]);
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let (certificate, key, ca) = (text(&certificate), text(&key), text(&clients.certificate()));
    let args = ["--listen", "127.0.0.1:0", "--tls-cert", &certificate, "--tls-key", &key];
    let more = ["--client-ca", &ca, "--allow", "ann.example", "--allow", "spiffe://lab/bob"];
    let mut served = Served::start(&[&args[..], &more].concat());
    let group = group();
    let address = served.addresses[0].clone();
    let spec = |authority: &Authority, names: &[&str]| {
        let (certificate, key) = authority.sign("client", names);
        format!(
            "socket={address}//tls_ca={}//tls_cert={}//tls_key={}//server_name=lab.example",
            servers.certificate().display(),
            certificate.display(),
            key.display()
        )
    };
    for name in ["ann.example", "spiffe://lab/bob"] {
        let spec = spec(&clients, &[name]);
        let gateway = bounded(group.make_gateway(spec.as_str())).await.unwrap();
        served.logged(&["started", name]);
        bounded(gateway.exit(execnet_testing::WATCHDOG)).await;
    }
    for (spec, said) in [
        (spec(&clients, &["eve.example"]), "not one that is allowed"),
        (spec(&strangers, &["ann.example"]), "a certificate that is not accepted"),
    ] {
        let error = bounded(group.make_gateway(spec.as_str())).await.unwrap_err().to_string();
        assert!(error.contains("our certificate"), "{error}");
        served.logged(&["refused", said]);
    }
    let wrong_name = spec(&clients, &["ann.example"]).replace("lab.example", "other.example");
    let error = bounded(group.make_gateway(wrong_name.as_str())).await.unwrap_err().to_string();
    assert!(error.contains("not for this name"), "{error}");
}

#[tokio::test]
async fn a_unix_socket_needs_nothing_from_its_own_user() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let address = format!("unix:{}", path.display());
    let mut served = Served::start(&["--listen", &address]);
    let group = group();
    let spec = format!("socket={address}//env:COLOUR=blue//chdir={}/new", dir.path().display());
    let gateway = bounded(group.make_gateway(spec.as_str())).await.unwrap();
    let source = "import os; channel.send([os.getcwd(), os.environ['COLOUR']])";
    let mut channel = gateway.remote_exec(source).await.unwrap();
    let said: Vec<String> = bounded(channel.receive()).await.unwrap();
    assert_eq!(said, [format!("{}/new", dir.path().display()), "blue".to_owned()]);
    served.logged(&["started", "uid "]);
    drop((channel, gateway, group));
    served.signal("TERM");
    assert!(served.wait().success());
    assert!(!path.exists(), "its file goes with it");
}

#[tokio::test]
async fn a_client_says_what_it_lacks() {
    let secret = secret();
    let served = secret.serve(&[]);
    let address = &served.addresses[0];
    let group = group();
    let token = secret.file.display();
    for (spec, said) in [
        (format!("socket={address}"), "token_file"),
        (format!("socket={address}//token_file=/no/such/file"), "no such file"),
        (format!("socket={address}//token_file={token}//tls_ca=x"), "beside"),
        (format!("socket={address}//tls_ca=x"), "all three"),
        (format!("socket={address}//token_file={token}//server_name=x"), "server_name"),
        (format!("socket={address}//token_file={token}//insecure_no_auth"), "beside"),
        (format!("socket={address}//token_file={token}//stock"), "beside"),
        (format!("socket={address}//token_file={token}//ssh_config=x"), "beside"),
        ("socket=10.0.0.1:1//insecure_no_auth".to_owned(), "this machine"),
        (format!("socket=unix:/tmp/x//token_file={token}"), "beside"),
        ("socket=localhost//stock".to_owned(), "the port is missing"),
        ("socket=::1:1//stock".to_owned(), "brackets"),
    ] {
        let error = bounded(group.make_gateway(spec.as_str())).await.unwrap_err();
        assert!(error.is_caller_fault(), "{spec}: {error:?}");
        assert!(error.to_string().contains(said), "{spec}: {error}");
    }
    // One that speaks plainly to a server that wants a token.
    let spec = format!("socket={address}//insecure_no_auth");
    let error = bounded(group.make_gateway(spec.as_str())).await.unwrap_err().to_string();
    assert!(error.contains("preamble"), "{error}");
}

#[test]
fn a_server_refuses_to_be_open() {
    let secret = secret();
    let token = secret.file.to_str().unwrap();
    for (args, said) in [
        (&["--listen", "127.0.0.1:0"][..], "token new"),
        (&["--listen", "0.0.0.0:0", "--insecure-no-auth"], "loopback"),
        (&["--listen", "0.0.0.0:0", "--stock-clients"], "loopback"),
        (&["--listen", "[::]:0", "--insecure-no-auth"], "loopback"),
        (&["--listen", "127.0.0.1:0", "--insecure-no-auth", "--token-file", token], "choose one"),
        (&["--listen", "unix:/tmp/x", "--token-file", token], "do nothing there"),
        (&["--listen", "unix:/tmp/x", "--stock-clients"], "no unix sockets"),
        (&["--listen", "localhost"], "the port is missing"),
        (&["--listen", ":8888", "--token-file", token], "the host is missing"),
        (&["--listen", "127.0.0.1:0", "--tls-cert", "x"], "--allow"),
        (&["--listen", "127.0.0.1:0", "--insecure-no-auth", "--max-workers", "0"], "nobody"),
    ] {
        let output = agent().arg("serve").args(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{args:?}: {text}");
        assert!(text.contains(said), "{args:?}: {text}");
    }
    for (args, said) in [
        (&["--listen", "127.0.0.1:0", "--token-file", "/no/such/file"][..], "no such file"),
        (&["--listen", "127.0.0.1:0", "--token-file", "/etc/passwd"], "chmod 600"),
        (&["--listen", "192.0.2.1:0", "--token-file", token], "cannot listen"),
    ] {
        let output = agent().arg("serve").args(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {text}");
        assert!(text.contains(said), "{args:?}: {text}");
    }
}
