//! Mutual TLS 1.3 over any link, for both of its sides.
//!
//! Two ways say who is trusted:
//!
//! - A [`Token`]: 32 secret bytes that both sides have in a file. Each derives from them the same two Ed25519 keys, one
//!   for the client and one for the server, and accepts no other key than the one it expects. The keys travel as raw public
//!   keys (RFC 7250); there are no certificates, no names and no dates. The client's greeting names the token by a public
//!   number, so that a server may have several and take one out of use after the other.
//! - Certificates of an authority that exists already. The client checks the server's name as browsers do. The server wants a
//!   certificate of the clients' authority **and** a name in it that it was told to allow.
//!
//! In both, TLS 1.2 is not spoken, no session is resumed, no early data is taken, and both sides must name the protocol
//! `execnet/1` (ALPN). A client has shaken hands before the server has judged its key: it knows that it was accepted only
//! when it has received something, which the error of a read tells ([`std::io::ErrorKind::PermissionDenied`]).
//!
//! ```no_run
//! use execnet_transport::tls::{Client, Tls, Token};
//! use execnet_transport::{Tcp, Transport};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let token = Token::read("/etc/execnet/token")?;
//! let server = Tls::new(Tcp::new("lab7", 8888), Client::token(&token)?);
//! let link = server.connect().await?;
//! # Ok(()) }
//! ```

mod certificate;
mod client;
mod error;
mod identity;
mod names;
mod pem;
mod server;
mod stream;
mod token;
mod transport;

pub use client::Client;
pub use error::{AcceptError, TlsError};
pub use server::{Peer, Server};
pub use stream::TlsStream;
pub use token::{Token, TokenError};
pub use transport::Tls;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// The name of our protocol for ALPN.
pub(crate) const ALPN: &[u8] = b"execnet/1";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
