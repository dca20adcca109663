//! A client's certificate must be of the right authority, and have a name that is allowed.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use webpki::EndEntityCert;

/// Wants both.
#[derive(Debug)]
pub(super) struct AllowedNames {
    pub(super) authority: Arc<dyn ClientCertVerifier>,
    pub(super) names: Vec<String>,
}

impl AllowedNames {
    /// The first name of the certificate that is allowed.
    pub(super) fn find(&self, certificate: &CertificateDer<'_>) -> Option<&str> {
        let certificate = EndEntityCert::try_from(certificate).ok()?;
        let is_allowed = |allowed: &&String| {
            // Names of hosts have no case; addresses of things do. A `*` in a certificate stands for itself.
            certificate.valid_dns_names().any(|name| name.eq_ignore_ascii_case(allowed))
                || certificate.valid_uri_names().any(|name| name == **allowed)
        };
        self.names.iter().find(is_allowed).map(String::as_str)
    }
}

impl ClientCertVerifier for AllowedNames {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // A stranger is told nothing.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.authority.verify_client_cert(end_entity, intermediates, now)?;
        match self.find(end_entity) {
            Some(_) => Ok(verified),
            None => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authority.verify_tls12_signature(message, certificate, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authority.verify_tls13_signature(message, certificate, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authority.supported_verify_schemes()
    }
}
