//! Authorities of a test's own.

use std::path::{Path, PathBuf};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType,
};

/// An authority that signs what it is asked to, and where it puts it.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: PathBuf,
    name: String,
}

impl Authority {
    /// A new one, whose files go to `dir` under names that begin with `name`.
    ///
    /// # Panics
    /// Files cannot be written.
    #[must_use]
    pub fn new(dir: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let this = Self { issuer, dir: dir.to_owned(), name: name.to_owned() };
        std::fs::write(this.certificate(), this.issuer.pem()).expect("a file");
        this
    }

    /// The file with its certificate.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.dir.join(format!("{}.pem", self.name))
    }

    /// Signs a certificate for these names, each a URI (with `://`), a number or a DNS name: the files of it and of its key.
    ///
    /// # Panics
    /// Files cannot be written, or a name is none.
    #[must_use]
    pub fn sign(&self, file: &str, names: &[&str]) -> (PathBuf, PathBuf) {
        let (uris, others): (Vec<&str>, Vec<&str>) =
            names.iter().partition(|name| name.contains("://"));
        let others: Vec<String> = others.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(others).expect("names");
        for uri in uris {
            params.subject_alt_names.push(SanType::URI(Ia5String::try_from(uri).expect("a URI")));
        }
        params.distinguished_name.push(DnType::CommonName, "the common name");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let path = |what| self.dir.join(format!("{}-{file}-{what}.pem", self.name));
        let (cert_path, key_path) = (path("cert"), path("key"));
        std::fs::write(&cert_path, certificate.pem()).expect("a file");
        std::fs::write(&key_path, key.serialize_pem()).expect("a file");
        (cert_path, key_path)
    }
}
