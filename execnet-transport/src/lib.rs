#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

// What a transport is, and what it yields.
mod transport;
pub use transport::{BoxFuture, Transport};
mod link;
pub use link::Link;
mod guard;
pub use guard::{FarEnd, Guard};
mod ending;
pub use ending::Ending;
mod signal;
mod stderr;
pub use stderr::{Stderr, StderrStream};
mod bootstrap;
pub use bootstrap::Bootstrap;
mod error;
pub use error::{ConnectError, Fault, SpawnFault, Stage};

// The transports.
#[cfg(unix)]
mod popen;
#[cfg(unix)]
pub use popen::Popen;
#[cfg(all(feature = "prefork", unix))]
mod prefork;
#[cfg(all(feature = "prefork", unix))]
pub use prefork::Prefork;
pub mod memory;
#[cfg(unix)]
mod process;
pub use memory::Memory;
#[cfg(unix)]
pub use process::Process;
#[cfg(unix)]
mod pair;
mod pipe;
#[cfg(feature = "socket")]
mod socket;
#[cfg(all(feature = "ssh", unix))]
pub mod ssh;
mod stream;
#[cfg(all(feature = "socket", unix))]
pub use socket::Unix;
#[cfg(feature = "socket")]
pub use socket::{AddressError, SocketAddress, Tcp};
#[cfg(feature = "tls")]
pub mod tls;

// What a transport of your own must pass.
#[cfg(feature = "conformance")]
pub mod conformance;
