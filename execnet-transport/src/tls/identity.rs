//! One side of a token: its key, how it shows it, and the check that the other side has the other one.

use std::sync::Arc;

use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    crypto::ring::sign::any_eddsa_type,
};

use super::certificate::certificate;
use super::{TlsError, provider};

/// What stands in front of a seed to make it a private key in PKCS #8, and of a public key to make it a
/// SubjectPublicKeyInfo (RFC 8410).
const PKCS8: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
const SPKI: [u8; 12] = *b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

/// The key of one side.
pub(super) struct Identity {
    pair: Ed25519KeyPair,
    pkcs8: PrivatePkcs8KeyDer<'static>,
}

impl Identity {
    pub(super) fn new(seed: &[u8; 32]) -> Result<Self, TlsError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed)
            .map_err(|_| TlsError::Tls(Error::General("a seed that is no key".to_owned())))?;
        Ok(Self { pair, pkcs8: [&PKCS8[..], seed].concat().into() })
    }

    /// The public key as it travels.
    pub(super) fn spki(&self) -> Vec<u8> {
        [&SPKI[..], self.pair.public_key().as_ref()].concat()
    }

    /// The certificate that stands for it where raw keys are not known.
    pub(super) fn certificate(&self) -> Vec<u8> {
        certificate(&self.pair, &self.spki())
    }

    /// What this side shows: its raw public key, or a certificate.
    pub(super) fn shown(&self, shown: Vec<u8>) -> Result<Arc<CertifiedKey>, TlsError> {
        let key = any_eddsa_type(&self.pkcs8).map_err(TlsError::Tls)?;
        Ok(Arc::new(CertifiedKey::new(vec![CertificateDer::from(shown)], key)))
    }
}

/// Accepts one key of the other side, and no other.
#[derive(Debug)]
pub(super) struct Expects {
    /// What it shows: its raw public key, or a certificate.
    shown: Vec<u8>,
    spki: SubjectPublicKeyInfoDer<'static>,
    raw: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Expects {
    /// The raw public key of the other side.
    pub(super) fn key(identity: &Identity) -> Arc<Self> {
        Arc::new(Self::new(identity, identity.spki(), true))
    }

    /// The certificate of the other side.
    pub(super) fn certificate(identity: &Identity) -> Arc<Self> {
        Arc::new(Self::new(identity, identity.certificate(), false))
    }

    fn new(identity: &Identity, shown: Vec<u8>, raw: bool) -> Self {
        let algorithms = provider().signature_verification_algorithms;
        Self { shown, spki: identity.spki().into(), raw, algorithms }
    }

    fn check_shown(&self, end_entity: &CertificateDer<'_>) -> Result<(), Error> {
        if **end_entity == *self.shown {
            return Ok(());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }
}

/// What both of rustls' traits want to know beside whose key it is.
macro_rules! proof {
    () => {
        /// Never asked for: TLS 1.2 is not built in.
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _cert: &CertificateDer<'_>,
            _dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::General("TLS 1.2 is not spoken".to_owned()))
        }

        /// Proves that the other side has the private key: not with the key that it showed, but with the one that
        /// it should have shown.
        fn verify_tls13_signature(
            &self,
            message: &[u8],
            _cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature_with_raw_key(message, &self.spki, dss, &self.algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ED25519]
        }

        fn requires_raw_public_keys(&self) -> bool {
            self.raw
        }
    };
}

impl ServerCertVerifier for Expects {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check_shown(end_entity).map(|()| ServerCertVerified::assertion())
    }

    proof! {}
}

impl ClientCertVerifier for Expects {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check_shown(end_entity).map(|()| ClientCertVerified::assertion())
    }

    proof! {}
}
