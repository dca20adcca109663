//! A token is in its file, and nowhere else.

use execnet_transport::tls::Token;

use crate::support::{Served, bounded, group, secret};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn no_secret_is_in_a_command_line_an_environment_or_a_log() {
    let secret = secret();
    let file = secret.file.to_str().unwrap();
    let args = ["--listen", "127.0.0.1:0", "--token-file", file];
    let mut served = Served::start_with(&args, |command| {
        command.env("EXECNET_LOG", "trace").env("EXECNET_TOKEN_FILE", file);
    });
    let group = group();
    let spec = secret.spec(&served);
    let gateway = bounded(group.make_gateway(spec.as_str())).await.unwrap();
    let mut channel = gateway.remote_exec("channel.send(1)").await.unwrap();
    bounded(channel.receive::<i64>()).await.unwrap();

    let text = std::fs::read_to_string(&secret.file).unwrap();
    let text = text.trim().to_owned();
    assert_eq!(text.len(), 64);
    let bytes: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect();
    let finds = |place: &[u8]| {
        let has = |what: &[u8]| place.windows(what.len()).any(|window| window == what);
        has(text.as_bytes()) || has(text.to_uppercase().as_bytes()) || has(&bytes)
            // As a Debug of an array would have it.
            || has(format!("{}, {}, {}", bytes[0], bytes[1], bytes[2]).as_bytes())
    };
    let children = served.workers();
    assert_eq!(children.len(), 1);
    for pid in children.iter().copied().chain([served.pid()]) {
        for what in ["cmdline", "environ"] {
            let found = std::fs::read(format!("/proc/{pid}/{what}")).unwrap();
            assert!(!finds(&found), "{what} of {pid}");
            let names_file = found.windows(file.len()).any(|window| window == file.as_bytes());
            assert!(pid == served.pid() || !names_file, "a worker need not know where it is");
        }
    }
    drop((channel, gateway, group));
    served.signal("TERM");
    assert!(served.wait().success());
    let log = served.rest_of_log();
    assert!(log.contains(&Token::read(&secret.file).unwrap().id()), "its name is there:\n{log}");
    assert!(!finds(log.as_bytes()));
    assert!(!log.contains(&hex(&bytes)));
}
