//! Both directions with py.execnet as it is published.

use std::path::PathBuf;
use std::process::Command;

use execnet_testing::{StockServer, descendants};

use crate::support::{Served, bounded, group};

fn py_execnet() -> Option<PathBuf> {
    execnet_testing::py_execnet(env!("CARGO_TARGET_TMPDIR"))
}

fn run(python: &PathBuf, args: &[&str]) -> String {
    let output = Command::new(python).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn clients_of_py_execnet_each_get_a_process() {
    let Some(python) = py_execnet() else { return };
    let mut served = Served::start(&["--listen", "127.0.0.1:0", "--stock-clients"]);
    let script = "\
import execnet, sys
group = execnet.Group()
source = 'import os; channel.send(os.getpid()); channel.send(channel.receive() * 2)'
channels = [group.makegateway('socket=' + sys.argv[1]).remote_exec(source) for _ in range(3)]
pids = {channel.receive() for channel in channels}
for channel in channels: channel.send(21)
assert [channel.receive() for channel in channels] == [42] * 3
print(len(pids))
group.terminate(timeout=5)
";
    let printed = run(&python, &["-c", script, &served.addresses[0]]);
    assert_eq!(printed.trim(), "3", "three at once, which the original cannot");
    for _ in 0..3 {
        served.logged(&["ended", "worker="]);
    }
    assert_eq!(served.workers(), Vec::<u32>::new());
}

#[test]
fn pytest_xdist_distributes_over_it() {
    let Some(python) = py_execnet() else { return };
    let served = Served::start(&[
        "--listen",
        "127.0.0.1:0",
        "--stock-clients",
        "--python",
        python.to_str().unwrap(),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let (suite, there) = (dir.path().join("suite"), dir.path().join("there"));
    std::fs::create_dir(&suite).unwrap();
    let tests = "import pytest\n\
                 @pytest.mark.parametrize('n', range(20))\n\
                 def test_it(n): assert n < 20\n";
    std::fs::write(suite.join("test_it.py"), tests).unwrap();
    // It copies the tests there over its gateways, and runs them.
    let output = Command::new(&python)
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--dist=load"])
        .arg(format!("--tx=2*socket={}//chdir={}", served.addresses[0], there.display()))
        .arg(format!("--rsyncdir={}", suite.display()))
        .arg(&suite)
        .current_dir(dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("20 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_line_that_is_no_literal_is_not_evaluated() {
    use std::io::{Read, Write};

    let mut served = Served::start(&["--listen", "127.0.0.1:0", "--stock-clients"]);
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("mark");
    let mut stream = std::net::TcpStream::connect(&served.addresses[0]).unwrap();
    writeln!(stream, "open({:?}, 'w').write('x') and ''", mark.display()).unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    served.logged(&["ended", "exit status 1"]);
    assert!(!mark.exists());
}

#[tokio::test]
async fn our_client_uses_a_stock_server_and_leaves_it_free() {
    let Some(python) = py_execnet() else { return };
    let mut server = StockServer::start(&python);
    let group = group();
    let spec = format!("socket={}//stock//chdir=/tmp//env:COLOUR=red", server.address());
    let gateways = bounded(group.make_all(vec![spec.as_str(); 3])).await.unwrap();
    for gateway in &gateways {
        let source = "import os; channel.send([os.getcwd(), os.environ['COLOUR']])";
        let mut channel = gateway.remote_exec(source).await.unwrap();
        assert_eq!(bounded(channel.receive::<Vec<String>>()).await.unwrap(), ["/tmp", "red"]);
    }
    assert_eq!(descendants(server.pid()).len(), 3);
    bounded(group.terminate(execnet_testing::WATCHDOG)).await.unwrap();
    assert!(server.is_running(), "it lives on");
    bounded(group.make_gateway(spec.as_str())).await.unwrap();
}
