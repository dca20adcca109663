//! Signing with whatever holds the private half, once the host has said that it accepts the key.

use russh::keys::agent::AgentIdentity;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_key::Signature;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{HashAlg, PrivateKey};

use super::keys::{Agent, Candidate, Private};
use super::locked::unlock;
use crate::ssh::prompt::Prompt;

pub(super) struct Signer<'a> {
    pub(super) candidate: &'a Candidate,
    pub(super) agent: Option<&'a mut Agent>,
    pub(super) prompt: Option<&'a dyn Prompt>,
}

pub(super) enum SignError {
    /// The session has ended.
    Gone,
    /// This key does not sign; others may.
    Cannot(String),
}

impl From<russh::SendError> for SignError {
    fn from(_: russh::SendError) -> Self {
        Self::Gone
    }
}

impl russh::Signer for Signer<'_> {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        key: &AgentIdentity,
        hash: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        if let Private::Agent | Private::Certified(_) = self.candidate.private {
            let agent = self.agent.as_mut();
            let agent = agent.ok_or_else(|| SignError::Cannot("the agent is gone".to_owned()))?;
            let signed = agent.sign_request(key, hash, to_sign).await;
            return signed
                .map_err(|error| SignError::Cannot(format!("the agent does not sign: {error}")));
        }
        let private = unlock(self.candidate, self.prompt).await.map_err(SignError::Cannot)?;
        sign(&private, hash, to_sign).map_err(SignError::Cannot)
    }
}

/// What was to be signed, with the signature behind it.
fn sign(key: &PrivateKey, hash: Option<HashAlg>, mut data: Vec<u8>) -> Result<Vec<u8>, String> {
    let signature: Signature = match key.key_data() {
        KeypairData::Rsa(pair) => (pair, hash).try_sign(&data),
        pair => pair.try_sign(&data),
    }
    .map_err(|error| error.to_string())?;
    signature.encode_prefixed(&mut data).map_err(|error| error.to_string())?;
    Ok(data)
}
