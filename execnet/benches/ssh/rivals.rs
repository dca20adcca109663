//! The same work by the `ssh` program alone, and by py.execnet.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::rows::median;

pub(crate) fn interpreter() {
    let status = Command::new("python3").args(["-c", "pass"]).status();
    assert!(status.expect("python3").success());
}

fn ssh(config: &Path, host: &str, command: &str) -> Command {
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(config).args(["-T", "-o", "BatchMode=yes", host, command]);
    ssh
}

pub(crate) fn ssh_true(config: &Path, host: &str) {
    let status = ssh(config, host, "true").stdin(Stdio::null()).status();
    assert!(status.expect("ssh").success());
}

pub(crate) fn ssh_true_on_all(config: &Path, hosts: &[String]) {
    let start = |host| ssh(config, host, "true").stdin(Stdio::null()).spawn().expect("ssh");
    let children: Vec<Child> = hosts.iter().map(|host| start(host)).collect();
    for mut child in children {
        assert!(child.wait().expect("an end").success());
    }
}

/// `ssh` with a command at the other end, bytes through its pipes.
pub(crate) struct Pipes {
    echo: Pipe,
    down: Pipe,
    up: Pipe,
    size: usize,
}

struct Pipe {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
}

impl Pipes {
    pub(crate) fn new(config: &Path, size: usize) -> Self {
        let down = format!("while read x; do head -c {size} /dev/zero; done");
        let up = format!("while head -c {size} >/dev/null; do echo; done");
        Self {
            echo: Pipe::new(config, "cat"),
            down: Pipe::new(config, &down),
            up: Pipe::new(config, &up),
            size,
        }
    }

    /// A round trip of some bytes; then all from there and to there.
    pub(crate) fn measure(&mut self, trips: usize) -> [Duration; 3] {
        let mut times = Vec::new();
        for _ in 0..trips {
            let start = Instant::now();
            self.echo.stdin.write_all(b"12345678").expect("written");
            self.echo.stdout.read_exact(&mut [0; 8]).expect("read");
            times.push(start.elapsed());
        }
        let start = Instant::now();
        self.down.stdin.write_all(b"\n").expect("written");
        let mut piece = vec![0; 1 << 18];
        let mut left = self.size;
        while left > 0 {
            left -= self.down.stdout.read(&mut piece).expect("read");
        }
        let down = start.elapsed();
        let start = Instant::now();
        for _ in 0..self.size / piece.len() {
            self.up.stdin.write_all(&piece).expect("written");
        }
        self.up.stdout.read_exact(&mut [0]).expect("read");
        [median(times).expect("a round trip"), down, start.elapsed()]
    }
}

impl Pipe {
    fn new(config: &Path, command: &str) -> Self {
        let mut child = ssh(config, "web1", &format!("echo; {command}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("ssh");
        let stdin = child.stdin.take().expect("piped");
        let mut stdout = child.stdout.take().expect("piped");
        stdout.read_exact(&mut [0]).expect("a line");
        Self { child, stdin, stdout }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An interpreter with py.execnet.
pub(crate) struct Python(PathBuf);

impl Python {
    pub(crate) fn find() -> Option<Self> {
        std::env::var_os("EXECNET_BENCH_PYTHON").map(|path| Self(path.into()))
    }

    /// The first item of a gateway to each host; they live until what this gives is dropped. The interpreter's own start does not count.
    pub(crate) fn first_item(&self, config: &Path, hosts: &[String]) -> Running {
        self.run(
            config,
            &format!("hosts = {hosts:?}"),
            "start = time.perf_counter()\n\
             gws = [g.makegateway('ssh=%s//ssh_config=%s//python=python3' % (host, config)) for host in hosts]\n\
             [c.receive() for c in [gw.remote_exec('channel.send(42)') for gw in gws]]\n\
             print(time.perf_counter() - start)\n",
        )
    }

    /// A round trip of an int; then items of 1 MiB from there and to there.
    pub(crate) fn over_a_link(&self, config: &Path, trips: usize, mib: usize) -> [Duration; 3] {
        let script = "
gw = g.makegateway('ssh=web1//ssh_config=%s//python=python3' % config)
echo = gw.remote_exec('while 1: channel.send(channel.receive())')
down = gw.remote_exec('''
import os
piece = os.urandom(1 << 20)
channel.send(piece)
while 1:
    for _ in range(channel.receive()): channel.send(piece)
''')
piece = down.receive()
up = gw.remote_exec('''
while 1:
    for _ in range(channel.receive()): channel.receive()
    channel.send(None)
''')
times = []
for n in range(trips):
    start = time.perf_counter()
    echo.send(n)
    echo.receive()
    times.append(time.perf_counter() - start)
print(sorted(times)[trips // 2])
start = time.perf_counter()
down.send(mib)
for _ in range(mib): down.receive()
print(time.perf_counter() - start)
start = time.perf_counter()
up.send(mib)
for _ in range(mib): up.send(piece)
up.receive()
print(time.perf_counter() - start)
";
        let mut running = self.run(config, &format!("trips, mib = {trips}, {mib}"), script);
        [running.took(), running.took(), running.took()]
    }

    fn run(&self, config: &Path, parameters: &str, script: &str) -> Running {
        let program = format!(
            "import execnet, sys, time\nconfig = {:?}\n{parameters}\ng = execnet.Group()\n{script}\n\
             sys.stdout.flush()\nsys.stdin.readline()\ng.terminate(5)\n",
            config.display().to_string()
        );
        let mut child = Command::new(&self.0)
            .args(["-c", &program])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("an interpreter");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Running { child, stdout }
    }
}

/// A program of py.execnet's that has said what it found, or is about to.
pub(crate) struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn took(&mut self) -> Duration {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("read");
        Duration::from_secs_f64(line.trim().parse().expect("py.execnet measures it"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The end of its input is what it waits for.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
