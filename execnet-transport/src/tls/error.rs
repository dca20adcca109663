use std::error::Error;
use std::path::PathBuf;
use std::{fmt, io};

use rustls::AlertDescription as Alert;
use rustls::pki_types::pem;

use crate::{ConnectError, Fault, Stage};

/// Keys or certificates are of no use. The caller's fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file is no PEM file, or holds no item of the kind that is needed.
    #[error("{}: no {what} in PEM form can be read from it", .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// Why it does not.
        source: pem::Error,
    },
    /// A certificate and a private key do not go together, or the key is of a kind that is not known.
    #[error("{} is no private key for the certificate in {}", .key.display(), .certificate.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// A file of an authority holds no certificate that can vouch for others.
    #[error("{}: no certificate of an authority in it", .0.display())]
    NoRoots(PathBuf),
    /// A server with certificates lets in whom it is told to, and it was told of nobody.
    #[error("no client is allowed; name those that are")]
    NoNames,
    /// No name that a server could have.
    #[error("{0:?} is no name of a server, nor its address")]
    ServerName(String),
    /// The TLS library refuses.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// What a client goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    Token,
    Certificates,
}

impl Trust {
    /// The other side refuses us.
    pub(super) fn refused(self) -> &'static str {
        match self {
            Self::Token => "the server refuses us: it does not have this token",
            Self::Certificates => {
                "the server refuses us: our certificate is not of its authority, has no name that it allows, or is out of date"
            }
        }
    }

    /// We refuse the other side.
    fn refuse(self) -> &'static str {
        match self {
            Self::Token => "what answers is not the server that has this token",
            Self::Certificates => {
                "the server's certificate is not of our authority, not for this name, or out of date"
            }
        }
    }
}

/// Whether an alert means that keys, names or certificates were not accepted.
fn is_refusal(alert: Alert) -> bool {
    use Alert::*;
    matches!(
        alert,
        AccessDenied
            | BadCertificate
            | CertificateExpired
            | CertificateRequired
            | CertificateRevoked
            | CertificateUnknown
            | DecryptError
            | UnknownCA
            | UnrecognisedName
            | UnsupportedCertificate
    )
}

/// Why a client has no session.
pub(super) fn handshake_error(error: io::Error, trust: Trust) -> ConnectError {
    use rustls::Error::*;
    let (stage, fault, message) = match tls(&error) {
        Some(AlertReceived(alert)) if is_refusal(*alert) => {
            (Stage::Authenticate, Fault::FarEnd, trust.refused())
        }
        Some(AlertReceived(Alert::ProtocolVersion)) => {
            (Stage::Handshake, Fault::FarEnd, "the server does not speak TLS 1.3")
        }
        Some(InvalidCertificate(_)) => (Stage::Authenticate, Fault::FarEnd, trust.refuse()),
        Some(InvalidMessage(_)) => (
            Stage::Handshake,
            Fault::FarEnd,
            "what answers does not speak TLS; is it such a server?",
        ),
        Some(_) => (Stage::Handshake, Fault::FarEnd, "the two sides agree on no TLS session"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            (Stage::Handshake, Fault::FarEnd, "the server hung up; its log may tell why")
        }
        None => (Stage::Handshake, Fault::Link, "the connection broke"),
    };
    ConnectError::other(stage, fault, message, Some(error.into()))
}

/// A server that speaks TLS, but not our protocol in it.
pub(super) fn no_protocol() -> ConnectError {
    let message = "the server speaks TLS, but not the protocol execnet/1 in it";
    ConnectError::other(Stage::Handshake, Fault::FarEnd, message, None)
}

/// The error of a read, which may bring the server's verdict on our key.
pub(super) fn read_error(error: io::Error, trust: Trust) -> io::Error {
    match tls(&error) {
        Some(rustls::Error::AlertReceived(alert)) if is_refusal(*alert) => {
            io::Error::new(io::ErrorKind::PermissionDenied, Refused { trust, source: error })
        }
        _ => error,
    }
}

#[derive(Debug)]
struct Refused {
    trust: Trust,
    source: io::Error,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.trust.refused())
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

fn tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// What the TLS library said, somewhere below this error.
pub(super) fn rustls_error(error: &ConnectError) -> Option<&rustls::Error> {
    tls(error.source()?.downcast_ref()?)
}

/// Why a server let somebody not in. Its text is for the server's log, not for the stranger.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct AcceptError {
    message: &'static str,
    source: Option<io::Error>,
}

impl AcceptError {
    pub(super) fn greeting(error: io::Error) -> Self {
        let message = match tls(&error) {
            Some(rustls::Error::InvalidMessage(_)) => "not TLS",
            Some(_) => "no greeting of TLS",
            None if error.kind() == io::ErrorKind::UnexpectedEof => "hung up before a greeting",
            None => "the connection broke before a greeting",
        };
        Self { message, source: Some(error) }
    }

    pub(super) fn unknown(token: bool, error: io::Error) -> Self {
        let message = match tls(&error) {
            Some(rustls::Error::PeerIncompatible(_)) => "no TLS 1.3, and no token",
            _ if token => "a token that is not ours",
            _ => "no token",
        };
        Self { message, source: Some(error) }
    }

    pub(super) fn handshake(error: io::Error) -> Self {
        use rustls::CertificateError::ApplicationVerificationFailure;
        use rustls::Error::*;
        let message = match tls(&error) {
            Some(InvalidCertificate(ApplicationVerificationFailure)) => {
                "the key or the name is not one that is allowed"
            }
            Some(InvalidCertificate(_)) => "a certificate that is not accepted",
            Some(NoCertificatesPresented) => "no certificate",
            Some(PeerIncompatible(_)) => "no TLS 1.3, or no way of it that we have",
            Some(NoApplicationProtocol) => "another protocol within TLS",
            Some(AlertReceived(_)) => "the client does not accept us",
            Some(_) => "a wrong handshake",
            None if error.kind() == io::ErrorKind::UnexpectedEof => "hung up in the handshake",
            None => "the connection broke in the handshake",
        };
        Self { message, source: Some(error) }
    }

    pub(super) fn no_protocol() -> Self {
        Self { message: "another protocol within TLS", source: None }
    }

    pub(super) fn nobody() -> Self {
        Self { message: "nobody that is known", source: None }
    }
}
