use std::fmt;
use std::path::PathBuf;

use crate::BoxFuture;

/// Answers what only a person knows: passphrases, passwords, codes.
///
/// Without one, whatever would have to be asked for is left out, and the error says so.
///
/// ```
/// use execnet_transport::BoxFuture;
/// use execnet_transport::ssh::{Prompt, Question, Topic};
///
/// /// Knows one password.
/// #[derive(Debug)]
/// struct Vault;
///
/// impl Prompt for Vault {
///     fn ask(&self, question: Question) -> BoxFuture<'_, Option<String>> {
///         Box::pin(async move {
///             match question.topic {
///                 // Asked again, it was the wrong one.
///                 Topic::Password { host, .. } if host == "web1" && question.attempt == 1 => {
///                     Some("from the vault".to_owned())
///                 }
///                 _ => None,
///             }
///         })
///     }
/// }
/// ```
pub trait Prompt: fmt::Debug + Send + Sync {
    /// Asks. `None` is a refusal to answer: the key or method is left out.
    ///
    /// Several connections may ask at the same time. The future is dropped when its connection is given up, as
    /// when authenticating takes longer than [`Native::AUTHENTICATION_TIMEOUT`](super::Native::AUTHENTICATION_TIMEOUT).
    fn ask(&self, question: Question) -> BoxFuture<'_, Option<String>>;
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Question {
    /// What the answer is for.
    pub topic: Topic,
    /// The words to ask with, as `me@web1's password: `. Control characters of a host's words have been taken out.
    pub text: String,
    /// The answer is no secret, and may show while it is typed.
    pub echo: bool,
    /// 1 at first; more when the answer before was wrong.
    pub attempt: u32,
}

/// What an answer is for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Topic {
    /// Unlocks a private key.
    Passphrase {
        /// The key's file.
        path: PathBuf,
    },
    /// The user's password on a host.
    Password {
        /// The user there.
        user: String,
        /// The host, by name or address.
        host: String,
    },
    /// A question of the host's own (keyboard-interactive): a password, or a code from a device.
    Interactive {
        /// The user there.
        user: String,
        /// The host, by name or address.
        host: String,
    },
}

impl Question {
    /// One to ask, for the tests of a [`Prompt`] of your own.
    pub fn new(topic: Topic, text: &str, echo: bool, attempt: u32) -> Self {
        // What a host sends is to be read, not to drive the terminal.
        let text = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
        Self { topic, text, echo, attempt }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_does_not_drive_the_terminal() {
        let topic = Topic::Passphrase { path: "k".into() };
        let question = Question::new(topic, "Code\x1b[2J\x07:\n", true, 1);
        assert_eq!(question.text, "Code[2J:\n");
    }
}
