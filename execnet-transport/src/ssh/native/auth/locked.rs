//! Private keys that want a passphrase.

use russh::keys::{PrivateKey, decode_secret_key};

use super::keys::{Candidate, Private};
use crate::ssh::native::host_key::blocking;
use crate::ssh::prompt::{Prompt, Question, Topic};

/// How many times to ask, as OpenSSH does.
const ATTEMPTS: u32 = 3;

/// The private half, or why it cannot be had.
pub(super) async fn unlock(
    candidate: &Candidate,
    prompt: Option<&dyn Prompt>,
) -> Result<PrivateKey, String> {
    let (path, text) = match &candidate.private {
        Private::Open(key) => return Ok((**key).clone()),
        Private::Agent | Private::Certified(_) => {
            return Err("only the agent has the private half".to_owned());
        }
        Private::Locked { path, text } => (path, text),
    };
    let prompt =
        prompt.ok_or("it has a passphrase, and there is nobody to ask; load it into ssh-agent")?;
    for attempt in 1..=ATTEMPTS {
        let topic = Topic::Passphrase { path: path.clone() };
        let question = format!("Passphrase for {}: ", path.display());
        let question = Question::new(topic, &question, false, attempt);
        let Some(passphrase) = prompt.ask(question).await else {
            return Err("no passphrase was given".to_owned());
        };
        let text = text.clone();
        // Made to be slow.
        let decoded = blocking(move || decode_secret_key(&text, Some(&passphrase))).await;
        if let Ok(Ok(key)) = decoded {
            return Ok(key);
        }
    }
    Err("wrong passphrase".to_owned())
}
