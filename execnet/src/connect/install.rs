//! A server on the host of another gateway, for one client: `installvia=`.

use std::fmt;

use execnet_agent::{bootstrap_line, bootstrap_source, server_module};
use execnet_proto::Value;
use execnet_transport::tls::{Client, Tls, Token};
use execnet_transport::{
    BoxFuture, ConnectError, Fault, Link, SocketAddress, Stage, Tcp, Transport,
};
use execnet_xspec::XSpec;

use super::{bad_value, not_supported};
use crate::{Gateway, GatewayError};

/// What is done there, behind the server's module. The server has a thread of its own, so that the gateway's main thread stays free.
const INSTALL: &str = "
def install(channel):
    host, port, python, env, line, token, source, patience = channel.receive()
    if host is None:
        # The address by which ssh came, or the one that leads to others.
        host = (os.environ.get('SSH_CONNECTION') or ' ').split(' ')[2:3]
        host = host[0] if host else primary_address()
    tls = make_context(token)
    try:
        listener = bind(host, port)
    except OSError:
        # A name that leads here by way of another machine. Who has no token gets nowhere.
        listener = bind('0.0.0.0', port)
    threading.Thread(
        target=serve_once, daemon=True,
        args=(listener, tls, (python or [sys.executable]) + ['-c', line], source, env, patience),
    ).start()
    channel.send([host, listener.getsockname()[1]])


def bind(host, port):
    family, kind, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind)
    try:
        listener.bind(where)
        listener.listen(8)
    except OSError:
        listener.close()
        raise
    return listener


def primary_address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(('192.0.2.1', 9))  # nothing is sent
            return probe.getsockname()[0]
        except OSError:
            return '127.0.0.1'


install(channel)
";

/// Seconds that the server there waits for us.
const PATIENCE: i64 = 30;

/// Keys that have no meaning here: the server is ours, and its token is made for it alone.
const OTHERS: [&str; 11] = [
    "agent",
    "insecure_no_auth",
    "server_name",
    "ssh_backend",
    "ssh_config",
    "stock",
    "tls_ca",
    "tls_cert",
    "tls_key",
    "token_file",
    "via",
];

pub(super) fn transport(
    spec: &XSpec,
    gateway: &Gateway,
) -> Result<Box<dyn Transport>, GatewayError> {
    if !spec.contains("socket") {
        return Err(not_supported(spec, "installvia` without `socket"));
    }
    if let Some(key) = OTHERS.into_iter().find(|key| spec.contains(key)) {
        return Err(not_supported(spec, &format!("{key}` beside `installvia")));
    }
    let (host, port) = match spec.socket() {
        // `socket` alone: on any port, at the address by which that host is reached.
        None => (known_host(gateway), 0),
        Some(address) => match address.parse().map_err(|error| bad_value(spec, "socket", error))? {
            SocketAddress::Tcp { host, port } => (Some(host), port),
            _ => return Err(not_supported(spec, "socket=unix:` beside `installvia")),
        },
    };
    let mut python = spec.python().map(<[String]>::to_vec);
    if spec.dont_write_bytecode() {
        // Which interpreter is the default is known there only.
        let Some(python) = &mut python else {
            return Err(not_supported(
                spec,
                "dont_write_bytecode` without `python`, beside `installvia",
            ));
        };
        python.push("-B".to_owned());
    }
    let env = spec.env().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Ok(Box::new(Install { gateway: gateway.clone(), host, port, python, env }))
}

/// The address of a gateway's host, as far as its specification tells it.
fn known_host(gateway: &Gateway) -> Option<String> {
    let spec = gateway.spec();
    if spec.popen() && spec.via().is_none() {
        return Some("127.0.0.1".to_owned());
    }
    match spec.socket()?.parse() {
        Ok(SocketAddress::Tcp { host, .. }) if spec.via().is_none() => Some(host),
        Ok(SocketAddress::Unix(_)) if spec.via().is_none() => Some("127.0.0.1".to_owned()),
        _ => None,
    }
}

/// Each connect starts a server of its own, for itself.
struct Install {
    gateway: Gateway,
    host: Option<String>,
    port: u16,
    python: Option<Vec<String>>,
    env: Vec<(String, String)>,
}

impl Install {
    /// Starts the server, and tells where it listens.
    async fn install(&self, token: &Token) -> Result<Tcp, String> {
        let source = [server_module(), INSTALL].concat();
        let text = |error: &dyn fmt::Display| error.to_string();
        let mut channel = self.gateway.remote_exec(source).await.map_err(|error| text(&error))?;
        let words = |words: &Vec<String>| {
            Value::List(words.iter().map(|word| Value::from(word.as_str())).collect())
        };
        let settings = Value::List(vec![
            self.host.as_deref().map_or(Value::None, Value::from),
            Value::from(i64::from(self.port)),
            self.python.as_ref().map_or(Value::None, words),
            Value::dict(self.env.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
            bootstrap_line().into(),
            Value::Bytes(token.secret().to_vec().into()),
            Value::Bytes(bootstrap_source().into()),
            Value::from(PATIENCE),
        ]);
        channel.send(&settings).await.map_err(|error| text(&error))?;
        let (host, port): (String, u16) = channel.receive().await.map_err(|error| text(&error))?;
        Ok(Tcp::new(host, port))
    }
}

impl Transport for Install {
    fn address(&self) -> String {
        format!("socket installed by {}", self.gateway.id())
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        Box::pin(async {
            let token = Token::generate();
            let failed = |message: String| {
                ConnectError::other(Stage::Bootstrap, Fault::FarEnd, message, None)
            };
            let id = self.gateway.id();
            let tcp = self
                .install(&token)
                .await
                .map_err(|error| failed(format!("{id} could not start a server: {error}")))?;
            let client =
                Client::token_certificate(&token).map_err(|error| failed(error.to_string()))?;
            Tls::new(tcp, client).connect().await
        })
    }
}

impl fmt::Debug for Install {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Install").field("gateway", &self.gateway).finish_non_exhaustive()
    }
}
