//! The server in Python, with every interpreter that has TLS 1.3.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use execnet_testing::{Lifeline, WATCHDOG, pythons, skip};

use crate::support::{Secret, agent, bounded, group, new_token, secret};

struct Script {
    child: Child,
    address: String,
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn printed(secret: &Secret) -> PathBuf {
    let output = agent().arg("script").output().unwrap();
    assert!(output.status.success());
    let file = secret.dir.path().join("server.py");
    std::fs::write(&file, output.stdout).unwrap();
    file
}

#[test]
fn it_is_printed_as_far_as_somebody_reads() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = agent().arg("script").stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = agent().arg("script").stdout(full).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), said.contains("cannot write to stdout")),
        (Some(1), true),
        "{said}"
    );
}

fn start(python: &Path, secret: &Secret) -> Script {
    launch(python, &printed(secret), secret)
}

fn launch(python: &Path, program: &Path, secret: &Secret) -> Script {
    let mut child = Command::new(python)
        .arg(program)
        .args(["--listen", "127.0.0.1:0", "--token-file"])
        .arg(&secret.file)
        .stdout(Stdio::piped())
        // A log that takes nothing is no reason to serve nobody.
        .stderr(File::options().write(true).open("/dev/full").unwrap())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    Script { child, address: address.trim().to_owned() }
}

pub(crate) fn able_pythons() -> Vec<PathBuf> {
    pythons().into_iter().filter(|python| has_tls(python)).collect()
}

/// Whether this interpreter can do what the script needs.
fn has_tls(python: &Path) -> bool {
    let question = "import ssl, sys; sys.exit(sys.version_info < (3, 7) or not ssl.HAS_TLSv1_3)";
    let output = Command::new(python).args(["-c", question]).output().unwrap();
    output.status.success()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_printed_server_serves_the_holders_of_its_token() {
    let able = able_pythons();
    if able.is_empty() {
        return skip("no Python with TLS 1.3");
    }
    for python in able {
        let secret = secret();
        let script = start(&python, &secret);
        let group = group();
        let spec = format!("socket={}//token_file={}", script.address, secret.file.display());
        let gateway = bounded(group.make_gateway(spec.as_str())).await.unwrap();
        let mut channel = gateway.remote_exec("channel.send(channel.receive())").await.unwrap();
        channel.send(&"x".repeat(2_000_000)).await.unwrap();
        assert_eq!(bounded(channel.receive::<String>()).await.unwrap().len(), 2_000_000);

        // Another process for another connection, which dies with its last words told.
        let other = bounded(group.make_gateway(spec.as_str())).await.unwrap();
        assert_ne!(other.info().pid, gateway.info().pid);
        let source = "import os\nprint('last words', flush=True)\nos.kill(os.getpid(), 9)";
        let mut channel = other.remote_exec(source).await.unwrap();
        let error = bounded(channel.receive::<i64>()).await.unwrap_err().to_string();
        assert!(error.contains("SIGKILL") && error.contains("last words"), "{error}");

        // One that leaves takes its worker along.
        let lifeline = Lifeline::new();
        let source = format!("{}\nimport time\nwhile 1: time.sleep(1000)", lifeline.source());
        let _channel = gateway.remote_exec(source).await.unwrap();
        let life = lifeline.accept();
        gateway.kill();
        life.wait_for_death();

        let stranger = secret.dir.path().join("stranger");
        new_token(&stranger);
        let spec = format!("socket={}//token_file={}", script.address, stranger.display());
        let error = bounded(group.make_gateway(spec.as_str())).await.unwrap_err().to_string();
        assert!(error.contains("not the server that has this token"), "{error}");
        bounded(group.terminate(WATCHDOG)).await.unwrap();
    }
}

#[tokio::test]
async fn who_says_nothing_keeps_nobody_out() {
    let Some(python) = able_pythons().pop() else { return skip("no Python with TLS 1.3") };
    let secret = secret();
    // For one client, as `installvia` has it.
    let once = "import sys; listener = listen('127.0.0.1:0'); \
                print('%s:%d' % listener.getsockname()[:2], flush=True); \
                serve_once(listener, make_context(read_token(sys.argv[-1])), \
                [sys.executable, '-c', LINE], SOURCE, {}, 60)";
    for (program, silent) in [("main(LINE, SOURCE)", 200), (once, 10)] {
        let file = printed(&secret);
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("main(LINE, SOURCE)", program)).unwrap();
        let script = launch(&python, &file, &secret);
        let strangers: Vec<_> =
            (0..silent).map(|_| std::net::TcpStream::connect(&script.address).unwrap()).collect();
        let group = group();
        let spec = format!("socket={}//token_file={}", script.address, secret.file.display());
        let start = std::time::Instant::now();
        let gateway = bounded(group.make_gateway(spec.as_str())).await.unwrap();
        // Not once the strangers' time is over.
        eprintln!("{silent} strangers: started in {:?}", start.elapsed());
        assert!(strangers.iter().any(is_open));
        bounded(gateway.exit(WATCHDOG)).await;
    }
}

/// Whether the other side has not closed it.
fn is_open(stream: &std::net::TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    stream.peek(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

#[test]
fn the_script_refuses_a_token_that_others_may_read() {
    use std::os::unix::fs::PermissionsExt;

    let Some(python) = pythons().into_iter().find(|python| has_tls(python)) else { return };
    let secret = secret();
    std::fs::set_permissions(&secret.file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = Command::new(python)
        .arg(printed(&secret))
        .args(["--listen", "127.0.0.1:0", "--token-file"])
        .arg(&secret.file)
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("chmod 600"), "{output:?}");
}
