use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    Acceptor, AlwaysResolvesServerRawPublicKeys, ClientHello, NoServerSessionStorage,
    ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{NoKeyLog, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;

use super::identity::{Expects, Identity};
use super::names::AllowedNames;
use super::{ALPN, AcceptError, TlsError, TlsStream, Token, pem, provider};

/// How long a client that was refused may take to notice.
const LINGER: Duration = Duration::from_secs(1);
/// What it may have sent meanwhile.
const LINGER_BYTES: u64 = 256 << 10;

/// Whom a server lets in: the holders of its tokens, and the clients of an authority that it was told to allow.
///
/// Immutable, and cheap to clone: to reload files, make another one and give it to the connections to come.
#[derive(Clone)]
pub struct Server {
    /// By the name under which a client greets.
    tokens: HashMap<String, (String, Arc<ServerConfig>)>,
    pki: Option<(Arc<AllowedNames>, Arc<ServerConfig>)>,
    /// For greetings that mean none of these.
    nobody: Arc<ServerConfig>,
}

/// Who was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Peer {
    /// A holder of the token with this id.
    Token(String),
    /// A client with this name in its certificate.
    Name(String),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(id) => write!(f, "token {id}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Server {
    /// A server that lets nobody in.
    ///
    /// # Errors
    ///
    /// The system's TLS cannot be set up, which does not happen.
    pub fn new() -> Result<Self, TlsError> {
        let verifier = WebPkiNobody::verifier()?;
        let nobody = config(verifier, Arc::new(Nothing))?;
        Ok(Self { tokens: HashMap::new(), pki: None, nobody })
    }

    /// Lets the holders of one more token in.
    ///
    /// # Errors
    ///
    /// The system's TLS cannot use the keys, which does not happen.
    pub fn token(mut self, token: &Token) -> Result<Self, TlsError> {
        let ours = Identity::new(&token.server_seed())?;
        let theirs = Identity::new(&token.client_seed())?;
        let shown = ours.shown(ours.spki())?;
        let shows = Arc::new(AlwaysResolvesServerRawPublicKeys::new(shown));
        let config = config(Expects::key(&theirs), shows)?;
        self.tokens.insert(token.server_name(), (token.id(), config));
        Ok(self)
    }

    /// Lets the clients in that have a certificate of an authority with one of these names in it: a DNS name or a URI among
    /// its subject alternative names, letter by letter (DNS names without regard to case). The common name does not count, and a `*` stands for
    /// itself only.
    ///
    /// All are PEM files: our own certificate with those between it and its authority, its private key,
    /// and the certificates of the clients' authority.
    ///
    /// # Errors
    ///
    /// A file cannot be read or holds something else, or there are no names.
    pub fn pki(
        mut self,
        certificate: &Path,
        key: &Path,
        clients: &Path,
        names: impl IntoIterator<Item = String>,
    ) -> Result<Self, TlsError> {
        let names: Vec<String> = names.into_iter().collect();
        if names.is_empty() {
            return Err(TlsError::NoNames);
        }
        let pair =
            CertifiedKey::from_der(pem::certificates(certificate)?, pem::key(key)?, &provider());
        let ours = pair.map_err(|source| TlsError::Pair {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            source,
        })?;
        let roots = Arc::new(pem::roots(clients)?);
        let authority = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|_| TlsError::NoRoots(clients.to_owned()))?;
        let verifier = Arc::new(AllowedNames { authority, names });
        let config = config(verifier.clone(), Arc::new(SingleCertAndKey::from(ours)))?;
        self.pki = Some((verifier, config));
        Ok(self)
    }

    /// Shakes hands with who has connected, and tells who it is.
    ///
    /// There is no time limit, but for a second to let one that is refused read that. Dropping the future drops the stream.
    ///
    /// # Errors
    ///
    /// It is nobody whom this server lets in. Nothing but an alert has been sent to it.
    pub async fn accept<S>(&self, stream: S) -> Result<(TlsStream<S>, Peer), AcceptError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream)
            .await
            .map_err(AcceptError::greeting)?;
        let greeting = start.client_hello();
        let name = greeting.server_name().unwrap_or_default();
        let token = self.tokens.get(name);
        let is_token = name.ends_with(".execnet.invalid");
        let config = match (token, &self.pki) {
            (Some((_, config)), _) => config,
            (None, Some((_, config))) if !is_token => config,
            (None, _) => &self.nobody,
        };
        let known = token.map(|(id, _)| Peer::Token(id.clone()));
        let stream = match start.into_stream(config.clone()).into_fallible().await {
            Ok(stream) => stream,
            Err((error, stream)) => {
                let _ = timeout(LINGER, linger(stream)).await;
                return Err(match Arc::ptr_eq(config, &self.nobody) {
                    true => AcceptError::unknown(is_token, error),
                    false => AcceptError::handshake(error),
                });
            }
        };
        let (_, connection) = stream.get_ref();
        if connection.alpn_protocol() != Some(ALPN) {
            return Err(AcceptError::no_protocol());
        }
        let shown = connection.peer_certificates().and_then(|shown| shown.first());
        let named = || {
            let (verifier, _) = self.pki.as_ref()?;
            Some(Peer::Name(verifier.find(shown?)?.to_owned()))
        };
        match known.or_else(named) {
            Some(peer) => Ok((TlsStream::server(stream), peer)),
            None => Err(AcceptError::nobody()),
        }
    }
}

/// Lets the other side read our alert: closing at once would reset the connection, as bytes that it sent are unread.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    if stream.shutdown().await.is_ok() {
        let mut rest = stream.take(LINGER_BYTES);
        let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens: Vec<_> = self.tokens.values().map(|(id, _)| id).collect();
        let names = self.pki.as_ref().map(|(verifier, _)| &verifier.names);
        f.debug_struct("Server").field("tokens", &tokens).field("names", &names).finish()
    }
}

fn config(
    verifier: Arc<dyn ClientCertVerifier>,
    shows: Arc<dyn ResolvesServerCert>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError::Tls)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(shows);
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.key_log = Arc::new(NoKeyLog {});
    Ok(Arc::new(config))
}

/// Shows no key, which ends the handshake with the alert `access_denied`.
#[derive(Debug)]
struct Nothing;

impl ResolvesServerCert for Nothing {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

/// Expects a key that nobody has.
struct WebPkiNobody;

impl WebPkiNobody {
    fn verifier() -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let nobody = Identity::new(&Token::generate().client_seed())?;
        Ok(Expects::certificate(&nobody))
    }
}
