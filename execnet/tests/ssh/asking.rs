//! What only a person knows.

use std::process::{Command, Output};
use std::sync::Arc;

use execnet::ssh::{BoxFuture, Prompt, Question, Topic};
use execnet::{ConnectError, GatewayError, Group};
use execnet_testing::Sshd;

use crate::common::bounded;
use crate::{refused, spec};

const PASSPHRASE: &str = "open sesame";

/// A server whose only key is locked.
fn locked() -> Option<Sshd> {
    let sshd = Sshd::start()?;
    let locking = Command::new("ssh-keygen")
        .args(["-q", "-p", "-P", "", "-N", PASSPHRASE, "-f"])
        .arg(sshd.client_key())
        .output()
        .expect("ssh-keygen");
    assert!(locking.status.success());
    Some(sshd)
}

#[derive(Debug)]
struct Knows(&'static str);

impl Prompt for Knows {
    fn ask(&self, question: Question) -> BoxFuture<'_, Option<String>> {
        let wanted = matches!(question.topic, Topic::Passphrase { .. }) && question.attempt == 1;
        Box::pin(async move { wanted.then(|| self.0.to_owned()) })
    }
}

#[tokio::test]
async fn a_group_asks_for_a_passphrase() {
    let Some(sshd) = locked() else { return };
    let group = Group::builder().prompt(Arc::new(Knows(PASSPHRASE))).build();
    let spec = spec(&sshd, "native", "");
    let gateway = bounded(group.make_gateway(spec.as_str())).await.unwrap();
    let mut channel = gateway.remote_exec("channel.send(42)").await.unwrap();
    assert_eq!(bounded(channel.receive::<i64>()).await.unwrap(), 42);

    let group = Group::builder().prompt(Arc::new(Knows("wrong"))).build();
    match refused(&group, &spec).await {
        GatewayError::Connect { source, .. } => {
            let ConnectError::Ssh { error, .. } = *source else { panic!("{source}") };
            assert!(error.to_string().contains("no passphrase was given"), "{error}");
        }
        other => panic!("{other}"),
    }
}

/// Runs the command on a terminal of its own, which Python types at: it waits for each text, and then types the line.
fn on_a_terminal(sshd: &Sshd, typing: &[(&str, &str)]) -> Option<Output> {
    let python = execnet_testing::python()?;
    let program = r#"
import os, pty, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:7])
seen = b""
for step in sys.argv[7:]:
    text, line = step.split("|")
    while text.encode() not in seen:
        seen += os.read(terminal, 1000)
    print(seen.decode())
    seen = b""
    os.write(terminal, line.encode("latin-1"))
while True:
    try:
        data = os.read(terminal, 1000)
    except OSError:
        break
    if not data:
        break
    seen += data
print(seen.decode())
print("echo is", "on" if termios.tcgetattr(terminal)[3] & termios.ECHO else "off")
status = os.waitpid(pid, 0)[1]
print("status", os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status))
"#;
    let mut command = Command::new(python);
    command.args([
        "-c",
        program,
        env!("CARGO_BIN_EXE_execnet"),
        "exec",
        "-c",
        "channel.send(6 * 7)",
    ]);
    command.arg("--json").arg(spec(sshd, "native", ""));
    command.args(typing.iter().map(|(text, line)| format!("{text}|{line}")));
    let output = command.output().expect("Python");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    Some(output)
}

#[test]
fn the_command_asks_on_the_terminal_and_shows_nothing_of_the_answer() {
    let Some(sshd) = locked() else { return };
    let right = format!("{PASSPHRASE}\n");
    let typing = [("Passphrase for ", "wrong\n"), ("Passphrase for ", right.as_str())];
    let Some(output) = on_a_terminal(&sshd, &typing) else { return };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("42") && text.contains("status 0"), "{text}");
    assert!(!text.contains(PASSPHRASE) && !text.contains("wrong"), "{text}");
    assert!(text.contains("echo is on"), "the terminal shows nothing any more: {text}");
}

#[test]
fn ctrl_c_while_it_asks_ends_the_command_and_leaves_the_terminal_as_it_was() {
    let Some(sshd) = locked() else { return };
    let Some(output) = on_a_terminal(&sshd, &[("Passphrase for ", "half\x03")]) else { return };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("status 130"), "{text}");
    assert!(text.contains("echo is on"), "the terminal shows nothing any more: {text}");
}
