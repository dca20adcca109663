//! Far ends on other hosts, over ssh.
//!
//! [`Options`] says what is asked for, in the words of the `ssh` program. [`Config::resolve`] finds out
//! what that means on this machine, with everything that the user has in `~/.ssh/config`.

mod options;
pub use options::{Options, OptionsError, OptionsFault};
mod config;
pub use config::{AddressFamily, Config, NeedsOpenSsh, StrictHostKey};
mod error;
mod resolve;
mod settings;
pub use error::SshError;

mod openssh;
pub use openssh::OpenSsh;

#[cfg(feature = "ssh-native")]
#[cfg_attr(not(test), allow(dead_code, reason = "until connections check their host keys by it"))]
mod known_hosts;
