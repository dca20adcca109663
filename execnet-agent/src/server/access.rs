use std::path::PathBuf;

use execnet_transport::tls::{self, TlsError, Token, TokenError};

/// Who is let in over TCP: the holders of tokens, the clients of an authority, or both. Files, so that they can be read again.
#[derive(Debug, Clone, Default)]
#[expect(clippy::exhaustive_structs, reason = "made by those who configure a server")]
pub struct Access {
    /// Tokens: any of them will do, so that one can take the place of another.
    pub token_files: Vec<PathBuf>,
    /// Certificates.
    pub pki: Option<Pki>,
}

/// An authority, and whom of its clients to let in.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "made by those who configure a server")]
pub struct Pki {
    /// The server's certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The certificates of the clients' authority.
    pub clients: PathBuf,
    /// Names of clients, as [`tls::Server::pki`] finds them in certificates.
    pub allowed: Vec<String>,
}

impl Access {
    /// Whether it lets nobody in.
    pub(super) fn is_empty(&self) -> bool {
        self.token_files.is_empty() && self.pki.is_none()
    }

    /// Reads the files.
    pub(super) fn load(&self) -> Result<tls::Server, AccessError> {
        let mut server = tls::Server::new()?;
        for file in &self.token_files {
            server = server.token(&Token::read(file)?)?;
        }
        if let Some(Pki { certificate, key, clients, allowed }) = &self.pki {
            server = server.pki(certificate, key, clients, allowed.iter().cloned())?;
        }
        Ok(server)
    }
}

/// A file of an [`Access`] is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// A token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A certificate or a key.
    #[error(transparent)]
    Tls(#[from] TlsError),
}
