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
mod tokens;
mod words;
pub use error::SshError;

mod openssh;
pub use openssh::OpenSsh;

#[cfg(feature = "ssh-native")]
#[doc(hidden)]
pub mod known_hosts;
#[cfg(feature = "ssh-native")]
mod native;
#[cfg(feature = "ssh-native")]
pub use native::Native;
#[cfg(feature = "ssh-native")]
mod prompt;
#[cfg(feature = "ssh-native")]
pub use prompt::{Prompt, Question, Topic};
