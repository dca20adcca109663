//! py.execnet, as it is published.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::{python, skip};

/// What is installed: the version that our own tests of both directions were written for.
const PACKAGES: [&str; 3] = ["execnet==2.1.2", "pytest", "pytest-xdist"];

/// Its socket server, which serves one client after another, for ever.
const SERVER: &str = "\
import execnet.script.socketserver as server
from execnet.gateway_base import get_execmodel
server.execmodel = get_execmodel('thread')
sock = server.bind_and_listen(('127.0.0.1', 0), server.execmodel)
print(sock.getsockname()[1], flush=True)
server.startserver(sock, loop=True)
";

/// A Python that has py.execnet and pytest-xdist; `None` where they cannot be had, having said so.
///
/// They are kept in `folder`, the test's `CARGO_TARGET_TMPDIR`, for the next run.
#[must_use]
pub fn py_execnet(folder: &str) -> Option<PathBuf> {
    let cpython = python()?;
    // Another interpreter gets a folder of its own.
    let name = format!("py-execnet{}", cpython.display().to_string().replace('/', "-"));
    let home = Path::new(folder).join(name);
    if !is_ready(&home) && (make(&cpython, folder, &home).is_none() || !is_ready(&home)) {
        skip("py.execnet cannot be installed by pip");
        return None;
    }
    Some(home.join("bin/python"))
}

fn is_ready(home: &Path) -> bool {
    let python = home.join("bin/python");
    python.exists() && run(Command::new(python).args(["-c", "import execnet, xdist"])).is_some()
}

/// Made under another name and moved: of several that make it at once one wins, and all have it. It is only ever used by
/// `python -m`, which does not mind.
fn make(cpython: &Path, folder: &str, home: &Path) -> Option<()> {
    let new = tempfile::Builder::new().prefix("py-execnet-").tempdir_in(folder).ok()?;
    run(Command::new(cpython).args(["-m", "venv"]).arg(new.path()))?;
    let pip = ["-m", "pip", "install", "-q", "--disable-pip-version-check"];
    run(Command::new(new.path().join("bin/python")).args(pip).args(PACKAGES))?;
    if std::fs::rename(new.path(), home).is_ok() {
        // It has another name now.
        let _ = new.keep();
    }
    Some(())
}

fn run(command: &mut Command) -> Option<()> {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.ok()?.success().then_some(())
}

/// The socket server of py.execnet on a free port of 127.0.0.1, killed when it is dropped.
#[derive(Debug)]
pub struct StockServer {
    child: Child,
    /// It says more, and would die if nobody could hear that.
    _stdout: BufReader<ChildStdout>,
    port: u16,
}

impl StockServer {
    /// `python` is one that has py.execnet.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(python: &Path) -> Self {
        let mut child = Command::new(python)
            .args(["-c", SERVER])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("an interpreter");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        stdout.read_line(&mut line).expect("text");
        Self { child, _stdout: stdout, port: line.trim().parse().expect("a port") }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_none())
    }
}

impl Drop for StockServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
