//! A server that may be left running: each connection that it lets in gets a worker process of its own.
//!
//! ```no_run
//! use execnet_agent::server::{Access, Config, Server};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = Config::new(["127.0.0.1:8888".parse()?]);
//! config.access = Access { token_files: vec!["/etc/execnet/token".into()], pki: None };
//! let server = Server::bind(config).await?;
//! let handle = server.handle();
//! tokio::spawn(async move {
//!     let _ = tokio::signal::ctrl_c().await;
//!     handle.drain();
//! });
//! server.run().await;
//! # Ok(()) }
//! ```
//!
//! Each connection goes through three steps. It **authenticates**: TLS by [`Access`] on a TCP port, the credentials of the process on a
//! unix socket. It sends its preamble and **HELLO**, whose settings say which worker it wants. Then bytes are **passed on**
//! between the client and a process that leads a group of its own, without a look at what is in the messages. When either side ends, so does the other, and
//! what is left of the group is killed.
//!
//! Nothing is started, and next to nothing remembered, for who has not authenticated.

mod access;
mod config;
mod control;
mod down;
mod frames;
mod gate;
mod greeting;
mod listener;
mod relay;
mod serve;
mod session;
mod stock;
mod worker;

pub use access::{Access, AccessError, Pki};
pub use config::{Config, ServeError};
pub use control::status;
pub use serve::{Handle, Server};

#[doc(hidden)]
pub mod fuzzing {
    //! What reads a stranger's bytes, for the fuzz targets.

    pub use super::frames::Frames;
    pub use super::greeting::{Greeting, GreetingError, Reading, Wanted};
    pub use super::stock::Line;
}
