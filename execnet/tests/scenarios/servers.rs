//! At servers.

use std::path::PathBuf;
use std::process::Command;

use execnet_agent::server::{Access, Config, Pki, Server};
use execnet_testing::{Authority, skip};
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

/// At servers that know their clients in each of the ways, and at one that a gateway installs.
pub(super) async fn places(python: &str) -> Vec<Place> {
    let mut places = vec![
        token(python, false).await,
        token(python, true).await,
        certificates(python).await,
        unix_socket(python).await,
    ];
    let popen = format!("popen//python={python}");
    places.extend(installed("installvia popen", python, &popen));
    places
}

/// At a server that a gateway installs, where the interpreter is able to be one.
pub(super) fn installed(name: &'static str, python: &str, host: &str) -> Option<Place> {
    let tls = "import ssl, sys; sys.exit(not ssl.HAS_TLSv1_3)";
    let able = Command::new(python).args(["-c", tls]).status();
    if !able.is_ok_and(|status| status.success()) {
        skip("no Python with TLS 1.3");
        return None;
    }
    Some(Place::new(name, [format!("{host}//id=a"), "socket//installvia=a".to_owned()]))
}

async fn token(python: &str, via: bool) -> Place {
    let dir = folder();
    let file = dir.path().join("token");
    Token::generate().write_new(&file).expect("a file");
    let access = Access { token_files: vec![file.clone()], pki: None };
    let (address, served) = serve("127.0.0.1:0", access, python, dir).await;
    let spec = format!("socket={address}//token_file={}", file.display());
    let place = match via {
        false => Place::new("socket, token", [spec]),
        true => {
            let through = [format!("popen//python={python}//id=a"), format!("{spec}//via=a")];
            Place::new("socket, token, via popen", through)
        }
    };
    place.keeping(served)
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
    let server = Server::bind(config).await.expect("it listens");
    let address = server.addresses()[0].clone();
    (address, Served { running: tokio::spawn(server.run()), _dir: dir })
}
