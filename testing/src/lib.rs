//! What the tests of several crates need: the interpreters of this machine, a lifeline that sees processes end, and
//! servers that a test starts for itself. Not published, and no part of what is.

mod lifeline;
#[cfg(target_os = "linux")]
mod netns;
mod pki;
mod process;
mod py_execnet;
mod pythons;
mod skip;
mod sshd;
mod user;

use std::time::Duration;

pub use lifeline::{Life, Lifeline};
#[cfg(target_os = "linux")]
pub use netns::Netns;
pub use pki::Authority;
#[cfg(target_os = "linux")]
pub use process::wait_for_end;
pub use process::{descendants, resident};
pub use py_execnet::{StockServer, py_execnet};
pub use pythons::{python, pythons};
pub use skip::skip;
pub use sshd::{HostKey, Sshd, SshdBuilder};
pub use user::User;

/// Long enough for any machine; only a hang takes so long.
pub const WATCHDOG: Duration = Duration::from_secs(120);
