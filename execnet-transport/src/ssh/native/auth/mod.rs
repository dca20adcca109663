//! Proving who we are: each method in turn, as OpenSSH does.

mod keys;
mod locked;
mod signer;

use std::collections::BTreeSet;

use russh::client::{AuthResult, KeyboardInteractiveAuthResponse};
use russh::keys::{Algorithm, HashAlg};
use russh::{MethodKind, MethodSet};

use self::keys::{Candidate, Keys};
use super::session::Session;
use crate::ssh::prompt::{Prompt, Question, Topic};
use crate::ssh::{Config, SshError};
use crate::{ConnectError, Stage};

/// More partial successes than any host asks for.
const MOST_STEPS: usize = 10;

/// Logs in.
pub(super) async fn authenticate(
    session: &mut Session,
    config: &Config,
    prompt: Option<&dyn Prompt>,
) -> Result<(), ConnectError> {
    let mut login = Login {
        session,
        config,
        prompt,
        keys: None,
        offered: Vec::new(),
        notes: Vec::new(),
        allowed: MethodSet::empty(),
    };
    match login.run().await {
        Ok(()) => Ok(()),
        Err(Refused::Lost) if !login.offered.is_empty() => Err(login.denied_after_hanging_up()),
        Err(Refused::Lost) => Err(login.session.lost(Stage::Authenticate).into()),
        Err(Refused::Denied) => Err(login.denied()),
    }
}

struct Login<'a> {
    session: &'a mut Session,
    config: &'a Config,
    prompt: Option<&'a dyn Prompt>,
    /// Found once they are wanted.
    keys: Option<Keys>,
    /// The keys that the host was asked about.
    offered: Vec<String>,
    /// What was not tried, and why.
    notes: Vec<String>,
    /// What the host would accept next.
    allowed: MethodSet,
}

enum Refused {
    /// Nothing is left to try.
    Denied,
    /// The host has hung up.
    Lost,
}

impl From<russh::Error> for Refused {
    fn from(_: russh::Error) -> Self {
        Self::Lost
    }
}

/// What came of a method.
enum Step {
    Done,
    /// Accepted, and the host wants another method besides.
    Partial,
    /// There is nothing more to try with it.
    Exhausted,
}

impl Login<'_> {
    async fn run(&mut self) -> Result<(), Refused> {
        // The question that tells what the host accepts.
        let answer = self.session.handle.authenticate_none(&self.config.user).await?;
        if let Step::Done = self.take(answer)? {
            return Ok(());
        }
        let mut exhausted = BTreeSet::new();
        let mut steps = 0;
        loop {
            let untried = self.config.authentications.iter().filter_map(|name| {
                let kind = name.parse::<MethodKind>().ok()?;
                (self.allowed.contains(&kind) && !exhausted.contains(name.as_str()))
                    .then_some((name.as_str(), kind))
            });
            let Some((name, kind)) = untried.into_iter().next() else {
                return Err(Refused::Denied);
            };
            let step = match kind {
                MethodKind::PublicKey => self.public_key().await?,
                MethodKind::KeyboardInteractive => self.interactive().await?,
                MethodKind::Password => self.password().await?,
                _ => Step::Exhausted,
            };
            match step {
                Step::Done => return Ok(()),
                Step::Partial if steps < MOST_STEPS => steps += 1,
                Step::Partial => return Err(Refused::Denied),
                Step::Exhausted => {
                    exhausted.insert(name);
                }
            }
        }
    }

    /// Notes what the host accepts from now on.
    fn take(&mut self, answer: AuthResult) -> Result<Step, Refused> {
        match answer {
            AuthResult::Success => Ok(Step::Done),
            AuthResult::Failure { remaining_methods, partial_success } => {
                self.methods(remaining_methods, partial_success)
            }
        }
    }

    fn methods(&mut self, methods: MethodSet, partial: bool) -> Result<Step, Refused> {
        // So the session tells that it has ended, too.
        if methods.is_empty() && self.session.handle.is_closed() {
            return Err(Refused::Lost);
        }
        self.allowed = methods;
        Ok(if partial { Step::Partial } else { Step::Exhausted })
    }

    async fn public_key(&mut self) -> Result<Step, Refused> {
        if self.keys.is_none() {
            let binding = self.session.handle.agent_session_binding().cloned();
            self.keys = Some(keys::find(self.config, binding.as_ref(), &mut self.notes).await);
        }
        // What was accepted once, or refused, is not offered again.
        while let Some(candidate) = self.keys.as_mut().and_then(Keys::next) {
            match self.offer(candidate).await? {
                Step::Exhausted if self.allowed.contains(&MethodKind::PublicKey) => {}
                step => return Ok(step),
            }
        }
        if self.offered.is_empty() {
            self.notes.push("publickey: there is no key to offer".to_owned());
        }
        Ok(Step::Exhausted)
    }

    async fn offer(&mut self, candidate: Candidate) -> Result<Step, Refused> {
        let Some((public, hash)) = self.usable(&candidate).await? else {
            return Ok(Step::Exhausted);
        };
        let fingerprint = public.fingerprint(HashAlg::Sha256);
        self.offered.push(format!("{} ({fingerprint})", candidate.shown));
        let agent = self.keys.as_mut().and_then(|keys| keys.agent.as_mut());
        let mut signer = signer::Signer { candidate: &candidate, agent, prompt: self.prompt };
        let user = &self.config.user;
        let handle = &mut self.session.handle;
        let answer = match &candidate.private {
            keys::Private::Certified(certificate) => {
                let certificate = (**certificate).clone();
                handle.authenticate_certificate_with(user, certificate, hash, &mut signer).await
            }
            _ => handle.authenticate_publickey_with(user, public, hash, &mut signer).await,
        };
        match answer {
            Ok(answer) => self.take(answer),
            Err(signer::SignError::Gone) => Err(Refused::Lost),
            Err(signer::SignError::Cannot(why)) => {
                self.notes.push(format!("{}: {why}", candidate.shown));
                Ok(Step::Exhausted)
            }
        }
    }

    /// The public half, and the hash to sign with where the key leaves a choice.
    async fn usable(
        &mut self,
        candidate: &Candidate,
    ) -> Result<Option<(russh::keys::PublicKey, Option<HashAlg>)>, Refused> {
        let Some(public) = &candidate.public else {
            // Nobody has written it down, so the private half has to be unlocked first.
            return match locked::unlock(candidate, self.prompt).await {
                Ok(key) => Ok(Some((key.public_key().clone(), self.hash(&key.algorithm()).await?))),
                Err(why) => {
                    self.notes.push(format!("{}: {why}", candidate.shown));
                    Ok(None)
                }
            };
        };
        let algorithm = public.algorithm();
        let hash = self.hash(&algorithm).await?;
        let name = match (&algorithm, hash) {
            (Algorithm::Rsa { .. }, hash) => Algorithm::Rsa { hash },
            (other, _) => other.clone(),
        };
        let name = match candidate.private {
            keys::Private::Certified(_) => name.to_certificate_type(),
            _ => name.as_str().to_owned(),
        };
        let accepted = &self.config.public_key_algorithms;
        if !accepted.is_empty() && !accepted.contains(&name) {
            let note = format!("{}: {name} is not in PubkeyAcceptedAlgorithms", candidate.shown);
            self.notes.push(note);
            return Ok(None);
        }
        Ok(Some((public.clone(), hash)))
    }

    /// SHA-512 unless the host says that it takes only SHA-256; SHA-1 never.
    async fn hash(&self, algorithm: &Algorithm) -> Result<Option<HashAlg>, Refused> {
        if !matches!(algorithm, Algorithm::Rsa { .. }) {
            return Ok(None);
        }
        let supported = self.session.handle.best_supported_rsa_hash().await?;
        Ok(supported.flatten().or(Some(HashAlg::Sha512)))
    }

    async fn interactive(&mut self) -> Result<Step, Refused> {
        if self.prompt.is_none() {
            return Ok(self.nobody_to_ask("keyboard-interactive"));
        }
        for attempt in 1..=self.config.password_prompts.max(1) {
            let handle = &mut self.session.handle;
            let start = handle.authenticate_keyboard_interactive_start(&self.config.user, None);
            let mut answer = start.await?;
            loop {
                match answer {
                    KeyboardInteractiveAuthResponse::Success => return Ok(Step::Done),
                    KeyboardInteractiveAuthResponse::Failure {
                        remaining_methods,
                        partial_success,
                    } => {
                        let step = self.methods(remaining_methods, partial_success)?;
                        if matches!(step, Step::Partial)
                            || !self.allowed.contains(&MethodKind::KeyboardInteractive)
                        {
                            return Ok(step);
                        }
                        break;
                    }
                    KeyboardInteractiveAuthResponse::InfoRequest {
                        name,
                        instructions,
                        prompts,
                    } => {
                        let Some(answers) =
                            self.answers(&name, &instructions, &prompts, attempt).await
                        else {
                            self.notes.push("keyboard-interactive: no answer was given".to_owned());
                            return Ok(Step::Exhausted);
                        };
                        let handle = &mut self.session.handle;
                        answer = handle.authenticate_keyboard_interactive_respond(answers).await?;
                    }
                }
            }
        }
        Ok(Step::Exhausted)
    }

    async fn answers(
        &self,
        name: &str,
        instructions: &str,
        prompts: &[russh::client::Prompt],
        attempt: u32,
    ) -> Option<Vec<String>> {
        let mut answers = Vec::new();
        for (number, asked) in prompts.iter().enumerate() {
            let Config { user, hostname, .. } = self.config;
            // Which host asks is ours to say: it could say anything.
            let mut text = format!("({user}@{hostname}) ");
            for above in [name, instructions] {
                if number == 0 && !above.is_empty() {
                    text += &format!("{above}\n");
                }
            }
            text += &asked.prompt;
            let topic = Topic::Interactive { user: user.clone(), host: hostname.clone() };
            let question = Question::new(topic, &text, asked.echo, attempt);
            answers.push(self.prompt?.ask(question).await?);
        }
        Some(answers)
    }

    async fn password(&mut self) -> Result<Step, Refused> {
        let Some(prompt) = self.prompt else {
            return Ok(self.nobody_to_ask("password"));
        };
        let Config { user, hostname, .. } = self.config;
        for attempt in 1..=self.config.password_prompts.max(1) {
            let topic = Topic::Password { user: user.clone(), host: hostname.clone() };
            let text = format!("{user}@{hostname}'s password: ");
            let question = Question::new(topic, &text, false, attempt);
            let Some(password) = prompt.ask(question).await else {
                self.notes.push("password: no answer was given".to_owned());
                break;
            };
            let answer = self.session.handle.authenticate_password(user, password).await?;
            match self.take(answer)? {
                Step::Exhausted if self.allowed.contains(&MethodKind::Password) => {}
                step => return Ok(step),
            }
        }
        Ok(Step::Exhausted)
    }

    fn nobody_to_ask(&mut self, method: &str) -> Step {
        self.notes.push(format!("{method}: there is nobody to ask"));
        Step::Exhausted
    }

    fn denied(&mut self) -> ConnectError {
        let names = self.allowed.iter().map(|method| <&str>::from(method).to_owned());
        SshError::Denied {
            user: self.config.user.clone(),
            hostname: self.config.hostname.clone(),
            methods: names.collect(),
            keys: std::mem::take(&mut self.offered),
            notes: std::mem::take(&mut self.notes),
        }
        .into()
    }

    /// As sshd does after MaxAuthTries.
    fn denied_after_hanging_up(&mut self) -> ConnectError {
        let why = self.session.shared.lost();
        self.notes.push(why.map_or_else(|| "the host hung up".to_owned(), |why| why.to_string()));
        self.denied()
    }
}
