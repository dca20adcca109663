//! Servers at an address: `socket=`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use execnet_channel::ConnectionError;
use execnet_transport::tls::{Client, Tls, Token};
use execnet_transport::{
    Bootstrap, BoxFuture, ConnectError, Fault, Link, SocketAddress, Stage, Tcp, Transport, Unix,
};
use execnet_xspec::XSpec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{bad_value, not_supported};
use crate::{Gateway, GatewayError};

/// Where the token is when the specification does not say.
const TOKEN_FILE: &str = "EXECNET_TOKEN_FILE";

const NO_TOKEN: &str = "a server wants to know who we are: give it the token that it has, by `token_file=FILE` or the environment's \
     EXECNET_TOKEN_FILE (`execnet-agent token new FILE` makes one; the server takes it with `--token-file FILE`), \
     or `tls_ca=`, `tls_cert=` and `tls_key=`";

/// Keys that say who we are.
const KEYS: [&str; 6] =
    ["token_file", "tls_ca", "tls_cert", "tls_key", "server_name", "insecure_no_auth"];
/// Keys of other ways to a host.
const OTHERS: [&str; 2] = ["ssh_config", "ssh_backend"];

/// The server at an address; where a gateway is given, the address as it is seen from there.
pub(super) fn socket(
    spec: &XSpec,
    via: Option<&Gateway>,
) -> Result<Box<dyn Transport>, GatewayError> {
    if let Some(key) = OTHERS.into_iter().find(|key| spec.contains(key)) {
        return Err(beside(spec, key, "socket"));
    }
    let address = spec.socket().unwrap_or_default();
    let address = address.parse().map_err(|error| bad_value(spec, "socket", error))?;
    let ours = |keys: &[&'static str]| keys.iter().copied().find(|key| spec.contains(key));
    match address {
        SocketAddress::Unix(_) if spec.stock() => Err(beside(spec, "stock", "socket=unix:")),
        SocketAddress::Unix(path) => match ours(&KEYS) {
            // The system tells the server who connects.
            Some(key) => Err(beside(spec, key, "socket=unix:")),
            None => Ok(match via {
                Some(gateway) => Box::new(gateway.dial(format!("unix:{}", path.display()))),
                None => Box::new(Unix::new(path)),
            }),
        },
        SocketAddress::Tcp { host, port } if spec.stock() => {
            // It knows neither keys nor settings that have to be there before the interpreter.
            match ours(&KEYS).or(ours(&["python"])) {
                Some(key) => Err(beside(spec, key, "stock")),
                None => Ok(Box::new(Stock(tcp(host, port, via)))),
            }
        }
        SocketAddress::Tcp { host, port } if spec.contains("insecure_no_auth") => {
            if let Some(key) = ours(&KEYS[..5]) {
                return Err(beside(spec, key, "insecure_no_auth"));
            }
            if !is_this_machine(&host) {
                let why = "only for servers on this machine, such as 127.0.0.1";
                return Err(bad_value(spec, "insecure_no_auth", why));
            }
            Ok(tcp(host, port, via))
        }
        SocketAddress::Tcp { host, port } => {
            let client = client(spec, &host)?;
            Ok(Box::new(Tls::new(tcp(host, port, via), client)))
        }
        _ => Err(not_supported(spec, "socket")),
    }
}

fn tcp(host: String, port: u16, via: Option<&Gateway>) -> Box<dyn Transport> {
    match via {
        Some(gateway) if host.contains(':') => Box::new(gateway.dial(format!("[{host}]:{port}"))),
        Some(gateway) => Box::new(gateway.dial(format!("{host}:{port}"))),
        None => Box::new(Tcp::new(host, port)),
    }
}

/// Who we are, and whom we trust.
fn client(spec: &XSpec, host: &str) -> Result<Client, GatewayError> {
    let file = |key| spec.value(key).map(Path::new);
    let files = (file("tls_ca"), file("tls_cert"), file("tls_key"));
    match (files, file("token_file")) {
        ((None, None, None), token) => {
            if spec.contains("server_name") {
                let why = "a server with a token has no name; it belongs beside `tls_ca=`";
                return Err(bad_value(spec, "server_name", why));
            }
            let from_environment = || std::env::var_os(TOKEN_FILE).map(PathBuf::from);
            let token = token.map(Path::to_owned).or_else(from_environment);
            let token = token.ok_or_else(|| bad_value(spec, "socket", NO_TOKEN))?;
            let token =
                Token::read(&token).map_err(|error| bad_value(spec, "token_file", error))?;
            Client::token(&token).map_err(|error| bad_value(spec, "token_file", error))
        }
        (_, Some(_)) => Err(beside(spec, "token_file", "tls_ca")),
        ((Some(ca), Some(certificate), Some(key)), None) => {
            let name = spec.value("server_name").unwrap_or(host);
            Client::pki(ca, certificate, key, name)
                .map_err(|error| bad_value(spec, "tls_ca", error))
        }
        _ => {
            let why = "certificates need all three of `tls_ca=`, `tls_cert=` and `tls_key=`";
            Err(bad_value(spec, "socket", why))
        }
    }
}

fn beside(spec: &XSpec, key: &str, other: &str) -> GatewayError {
    not_supported(spec, &format!("{key}` beside `{other}"))
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// Whether the server refused us: it judges our key when we think that we are connected.
pub(super) fn refused(error: &ConnectionError) -> Option<ConnectError> {
    let ConnectionError::Link(error) = error else { return None };
    if error.kind() != std::io::ErrorKind::PermissionDenied {
        return None;
    }
    let source = error.get_ref().and_then(Error::source).map(|source| source.to_string().into());
    Some(ConnectError::other(Stage::Authenticate, Fault::FarEnd, error.to_string(), source))
}

/// A server of py.execnet.
#[derive(Debug)]
struct Stock(Box<dyn Transport>);

impl Transport for Stock {
    fn address(&self) -> String {
        self.0.address()
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        Box::pin(async { Ok(self.0.connect().await?.with_bootstrap(Bootstrap::ReadlineExec)) })
    }
}

/// What a stock server runs for us: an interpreter of our own, so that the server is free for others, and lives on.
const STARTER: &str = "\
import subprocess, sys, threading
try:
    child = subprocess.Popen(ARGV, stdin=clientsock, stdout=clientsock, start_new_session=True)
    threading.Thread(target=child.wait, daemon=True).start()
    clientsock.sendall(b'1')
except Exception as error:
    clientsock.sendall(('%s: %s' % (sys.executable, error)).encode())
clientsock.close()
";

/// What a server says at most about a start that failed.
const MAX_ANSWER: u64 = 4096;

/// Gets a stock server to start an interpreter that waits for the worker's source.
pub(super) async fn start_stock(link: &mut Link, spec: &XSpec) -> Result<(), ConnectError> {
    let interpreter = super::interpreter(Vec::new(), spec);
    // Plain text, in which Rust and Python write the same literals.
    let argv = format!("[sys.executable, *{interpreter:?}]");
    let line = format!("{:?}\n", STARTER.replace("ARGV", &argv));
    let talk = async {
        link.writer.write_all(line.as_bytes()).await?;
        link.writer.flush().await?;
        let mut answer = vec![link.reader.read_u8().await?];
        if answer != b"1" {
            (&mut link.reader).take(MAX_ANSWER).read_to_end(&mut answer).await?;
        }
        Ok::<_, std::io::Error>(answer)
    };
    let (message, source): (_, Option<Box<dyn Error + Send + Sync>>) = match talk.await {
        Ok(answer) if answer == b"1" => return Ok(()),
        Ok(answer) => (format!("the server answers {:?}", String::from_utf8_lossy(&answer)), None),
        Err(error) => {
            let message = "the server does not run our line; is it the one of py.execnet?";
            (message.to_owned(), Some(Arc::new(error).into()))
        }
    };
    Err(ConnectError::other(Stage::Bootstrap, Fault::FarEnd, message, source))
}
