use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{
    AlwaysResolvesClientRawPublicKeys, ResolvesClientCert, Resumption, WebPkiServerVerifier,
};
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, PeerIncompatible};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::error::{Trust, handshake_error, no_protocol, rustls_error};
use super::identity::{Expects, Identity};
use super::{ALPN, TlsError, TlsStream, Token, pem, provider};
use crate::ConnectError;

/// What a client shows, and whom it trusts. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    /// The same with certificates, for servers that know no raw keys.
    older: Option<Arc<ClientConfig>>,
    name: ServerName<'static>,
    trust: Trust,
}

impl Client {
    /// Trusts the server that has the same token.
    ///
    /// A server whose TLS knows no raw public keys, such as one in Python, is reached too: with a
    /// second connection, over which the same keys travel in certificates that mean nothing else.
    ///
    /// # Errors
    ///
    /// The system's TLS cannot use the keys, which does not happen.
    pub fn token(token: &Token) -> Result<Self, TlsError> {
        let ours = Identity::new(&token.client_seed())?;
        let theirs = Identity::new(&token.server_seed())?;
        let shown = ours.shown(ours.spki())?;
        let shows = Arc::new(AlwaysResolvesClientRawPublicKeys::new(shown));
        let config = config(Expects::key(&theirs), shows)?;
        let certified = Self::token_certificate(token)?;
        Ok(Self { config, older: Some(certified.config), ..certified })
    }

    /// As [`token`](Self::token), for a server that is known to know no raw public keys.
    ///
    /// # Errors
    ///
    /// As [`token`](Self::token).
    pub fn token_certificate(token: &Token) -> Result<Self, TlsError> {
        let ours = Identity::new(&token.client_seed())?;
        let theirs = Identity::new(&token.server_seed())?;
        let shows = SingleCertAndKey::from(ours.shown(ours.certificate())?);
        let config = config(Expects::certificate(&theirs), Arc::new(shows))?;
        let name = server_name(&token.server_name())?;
        Ok(Self { config, older: None, name, trust: Trust::Token })
    }

    /// Trusts the server that an authority vouches for, by the name or the number that it is to have.
    ///
    /// All are PEM files: the authority's certificates, our own certificate with those between it and the
    /// clients' authority, and its private key.
    ///
    /// # Errors
    ///
    /// A file cannot be read or holds something else, or the name is none.
    pub fn pki(
        authorities: &Path,
        certificate: &Path,
        key: &Path,
        server: &str,
    ) -> Result<Self, TlsError> {
        let roots = Arc::new(pem::roots(authorities)?);
        let ours = Arc::new(
            CertifiedKey::from_der(pem::certificates(certificate)?, pem::key(key)?, &provider())
                .map_err(|source| TlsError::Pair {
                    certificate: certificate.to_owned(),
                    key: key.to_owned(),
                    source,
                })?,
        );
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|_| TlsError::NoRoots(authorities.to_owned()))?;
        let config = config(verifier, Arc::new(SingleCertAndKey::from(ours)))?;
        Ok(Self { config, older: None, name: server_name(server)?, trust: Trust::Certificates })
    }

    /// Shakes hands over a stream that leads to the server.
    ///
    /// There is no time limit. Dropping the future drops the stream.
    ///
    /// # Errors
    ///
    /// The other side is not the expected one, speaks no TLS 1.3, refused us at once, or is gone.
    pub async fn handshake<S>(&self, stream: S) -> Result<TlsStream<S>, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match TlsConnector::from(self.config.clone()).connect(self.name.clone(), stream).await {
            Ok(stream) => TlsStream::client(stream, self.trust).ok_or_else(no_protocol),
            Err(error) => Err(handshake_error(error, self.trust)),
        }
    }

    /// What to try on a new connection after this error, if anything.
    pub(super) fn older(&self, error: &ConnectError) -> Option<Self> {
        use PeerIncompatible::IncorrectCertificateTypeExtension;
        let config = self.older.clone()?;
        let is_older = matches!(
            rustls_error(error),
            Some(rustls::Error::PeerIncompatible(IncorrectCertificateTypeExtension))
        );
        is_older.then(|| Self { config, older: None, ..self.clone() })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("trust", &self.trust).finish_non_exhaustive()
    }
}

fn config(
    verifier: Arc<dyn ServerCertVerifier>,
    shows: Arc<dyn ResolvesClientCert>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError::Tls)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(shows);
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(Arc::new(config))
}

fn server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::ServerName(name.to_owned()))
}
