//! At servers.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use execnet_agent::AGENT_ARGUMENT;
use execnet_agent::server::{Access, Config, Pki, Server};
use execnet_testing::{Authority, StockServer, py_execnet, skip};
use execnet_transport::tls::Token;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::Place;

/// A server in this process, ended with its workers when it is dropped, and its folder.
struct Served {
    running: JoinHandle<()>,
    _dir: TempDir,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// At servers that know their clients in each of the ways, at those in Python, and at one that a gateway installs.
pub(super) async fn places(python: &str) -> Vec<Place> {
    let popen = format!("popen//python={python}");
    let via = [format!("{popen}//id=a"), "SERVER//via=a".to_owned()];
    let through = ["SERVER//id=a".to_owned(), format!("{popen}//via=a")];
    let mut places = vec![
        token("socket, token", ["SERVER".to_owned()], python).await,
        token("socket, token, via popen", via, python).await,
        token("via socket", through, python).await,
        certificates(python).await,
        unix_socket(python).await,
    ];
    let agent = token("socket, native agent", ["SERVER//agent".to_owned()], python).await;
    places.push(Place { native: true, ..agent });
    places.extend(stock());
    if !is_able(python) {
        return places;
    }
    places.push(script(python));
    places.extend(installed("installvia popen", python, &popen));
    let install = ["SERVER//id=a".to_owned(), "socket//installvia=a".to_owned()];
    places.push(token("installvia socket", install, python).await);
    places
}

/// At a server that a gateway installs, where the interpreter is able to be one.
pub(super) fn installed(name: &'static str, python: &str, host: &str) -> Option<Place> {
    let specs = [format!("{host}//id=a"), "socket//installvia=a".to_owned()];
    is_able(python).then(|| Place::new(name, specs))
}

/// Whether this interpreter can be a server.
fn is_able(python: &str) -> bool {
    let tls = "import ssl, sys; sys.exit(not ssl.HAS_TLSv1_3)";
    let able = Command::new(python).args(["-c", tls]).status().is_ok_and(|status| status.success());
    if !able {
        skip("no Python with TLS 1.3");
    }
    able
}

/// `SERVER` stands for the specification that leads to a server of a token.
async fn token<const N: usize>(name: &'static str, specs: [String; N], python: &str) -> Place {
    let dir = folder();
    let file = new_token(&dir);
    let access = Access { token_files: vec![file.clone()], pki: None };
    let (address, served) = serve("127.0.0.1:0", access, python, dir).await;
    let spec = format!("socket={address}//token_file={}", file.display());
    Place::new(name, specs.map(|specs| specs.replace("SERVER", &spec))).keeping(served)
}

fn new_token(dir: &TempDir) -> PathBuf {
    let file = dir.path().join("token");
    Token::generate().write_new(&file).expect("a file");
    file
}

/// The server in Python alone, killed when it is dropped.
struct Script(Child, #[expect(dead_code, reason = "its folder lives as long")] TempDir);

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn script(python: &str) -> Place {
    let dir = folder();
    let token = new_token(&dir);
    let program = dir.path().join("server.py");
    std::fs::write(&program, execnet_agent::server_script()).expect("a file");
    let mut command = Command::new(python);
    command.arg(program).args(["--listen", "127.0.0.1:0", "--token-file"]).arg(&token);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("an interpreter");
    let mut address = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut address).expect("text");
    let spec = format!("socket={}//token_file={}", address.trim(), token.display());
    Place::new("socket, in Python alone", [spec]).keeping(Script(child, dir))
}

/// At a server of py.execnet.
fn stock() -> Option<Place> {
    let python = py_execnet(env!("CARGO_TARGET_TMPDIR"))?;
    let server = StockServer::start(&python);
    let spec = format!("socket={}//stock", server.address());
    let place = Place::new("socket, py.execnet's", [spec]).keeping(server);
    Some(place.lacking(&["printed lines"], "the server prints it where it runs itself").lacking(
        &["death by exit", "death by SIGKILL"],
        "the server does not tell how a worker ended",
    ))
}

async fn certificates(python: &str) -> Place {
    let dir = folder();
    let servers = Authority::new(dir.path(), "servers");
    let clients = Authority::new(dir.path(), "clients");
    let (certificate, key) = servers.sign("lab", &["lab.example"]);
    let pki = Pki {
        certificate,
        key,
        clients: clients.certificate(),
        allowed: vec!["ann.example".to_owned()],
    };
    let access = Access { token_files: Vec::<PathBuf>::new(), pki: Some(pki) };
    let (address, served) = serve("127.0.0.1:0", access, python, dir).await;
    let (certificate, key) = clients.sign("ann", &["ann.example"]);
    let spec = format!(
        "socket={address}//tls_ca={}//tls_cert={}//tls_key={}//server_name=lab.example",
        servers.certificate().display(),
        certificate.display(),
        key.display()
    );
    Place::new("socket, certificates", [spec]).keeping(served)
}

async fn unix_socket(python: &str) -> Place {
    let dir = folder();
    let address = format!("unix:{}", dir.path().join("socket").display());
    let (_, served) = serve(&address, Access::default(), python, dir).await;
    Place::new("socket, unix", [format!("socket={address}")]).keeping(served)
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A server, and where it listens.
async fn serve(listen: &str, access: Access, python: &str, dir: TempDir) -> (String, Served) {
    let mut config = Config::new([listen.parse().expect("an address")]);
    config.access = access;
    config.python = Some(vec![python.to_owned()]);
    config.native = Some(vec![env!("CARGO_BIN_EXE_execnet").to_owned(), AGENT_ARGUMENT.to_owned()]);
    let server = Server::bind(config).await.expect("it listens");
    let address = server.addresses()[0].clone();
    (address, Served { running: tokio::spawn(server.run()), _dir: dir })
}
