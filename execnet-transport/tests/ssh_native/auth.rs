//! Who is let in, and what the others are told.

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use execnet_transport::BoxFuture;
use execnet_transport::ssh::{Prompt, Question, Topic};

use super::*;

/// Gives the answers that it was made with, and keeps the questions.
#[derive(Debug, Default)]
struct Script {
    answers: Mutex<Vec<Option<String>>>,
    asked: Mutex<Vec<Question>>,
}

impl Script {
    fn new(answers: &[Option<&str>]) -> Arc<Self> {
        let answers = answers.iter().rev().map(|answer| answer.map(str::to_owned)).collect();
        Arc::new(Self { answers: Mutex::new(answers), asked: Mutex::default() })
    }
}

impl Prompt for Script {
    fn ask(&self, question: Question) -> BoxFuture<'_, Option<String>> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(question);
            self.answers.lock().unwrap().pop().flatten()
        })
    }
}

async fn asking(config: Config, script: &Arc<Script>) -> Result<Link, SshError> {
    match native(config, "true").prompt(script.clone()).connect().await {
        Ok(link) => Ok(link),
        Err(ConnectError::Ssh { error, .. }) => Err(*error),
        Err(other) => panic!("{other}"),
    }
}

fn denied(error: SshError) -> (Vec<String>, Vec<String>, Vec<String>) {
    match error {
        SshError::Denied { methods, keys, notes, .. } => (methods, keys, notes),
        other => panic!("{other}"),
    }
}

/// An agent of the test's own.
struct Agent {
    process: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(sshd: &Sshd, keys: &[&PathBuf]) -> Self {
        let socket = sshd.dir().join("agent");
        let process = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut agent = Self { process, socket };
        while !agent.socket.exists() {
            assert!(agent.process.try_wait().unwrap().is_none(), "ssh-agent has ended");
            std::thread::yield_now();
        }
        for key in keys {
            let mut add = Command::new("ssh-add");
            add.arg("-q").arg(key).env("SSH_AUTH_SOCK", &agent.socket);
            assert!(add.status().unwrap().success());
        }
        agent
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn keys_of_every_type() {
    let Some(sshd) = Sshd::start() else { return };
    for (name, arguments) in [
        ("ed25519", &["-t", "ed25519", "-N", ""][..]),
        ("rsa", &["-t", "rsa", "-b", "2048", "-N", ""]),
        ("rsa_pem", &["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", ""]),
        ("rsa_pkcs8", &["-t", "rsa", "-b", "2048", "-m", "PKCS8", "-N", ""]),
        ("ecdsa", &["-t", "ecdsa", "-b", "256", "-N", ""]),
        ("ecdsa521", &["-t", "ecdsa", "-b", "521", "-N", ""]),
    ] {
        let mut config = config(&sshd);
        config.identity_files = vec![make_key(&sshd, name, arguments, true)];
        assert_eq!(output(config, "echo hi").await, "hi\n", "{name}");
    }
}

#[tokio::test]
async fn the_keys_of_an_agent() {
    let Some(sshd) = Sshd::start() else { return };
    let wrong = make_key(&sshd, "wrong", &["-t", "ed25519", "-N", ""], false);
    let rsa = make_key(&sshd, "agents_rsa", &["-t", "rsa", "-b", "2048", "-N", ""], true);
    let agent = Agent::start(&sshd, &[&wrong, &rsa]);
    let mut config = config(&sshd);
    config.identity_agent = Some(agent.socket.clone());
    config.identity_files = Vec::new();
    assert_eq!(output(config.clone(), "echo hi").await, "hi\n");

    // The file has only the public half; the agent's other keys are not wanted.
    std::fs::remove_file(&rsa).unwrap();
    config.identities_only = true;
    config.identity_files = vec![rsa];
    assert_eq!(output(config.clone(), "echo hi").await, "hi\n");
    config.identity_files = vec![wrong.clone()];
    let (_, keys, _) = denied(refusal(config.clone()).await);
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert!(keys[0].starts_with(&wrong.display().to_string()), "{keys:?}");
    config.identity_files = Vec::new();
    let (_, keys, _) = denied(refusal(config).await);
    assert!(keys.is_empty(), "{keys:?}");
}

#[tokio::test]
async fn a_certificate_that_the_agent_holds() {
    let dir = tempfile::tempdir().unwrap();
    let authority = dir.path().join("authority");
    let setting = format!("TrustedUserCAKeys {}.pub", authority.display());
    let keygen = |arguments: &[&str]| {
        let made = Command::new("ssh-keygen").arg("-q").args(arguments).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    for kind in ["ed25519", "rsa"] {
        let _ = std::fs::remove_file(&authority);
        keygen(&["-t", "ed25519", "-N", "", "-f", authority.to_str().unwrap()]);
        let Some(sshd) = Sshd::builder().setting(&setting).start() else { return };
        let key = make_key(&sshd, "certified", &["-t", kind, "-N", ""], false);
        let public = format!("{}.pub", key.display());
        keygen(&["-s", authority.to_str().unwrap(), "-I", "me", "-n", &sshd.user(), &public]);
        let agent = Agent::start(&sshd, &[&key]);
        let mut config = config(&sshd);
        config.identity_agent = Some(agent.socket.clone());
        config.identity_files = Vec::new();
        assert_eq!(output(config.clone(), "echo hi").await, "hi\n", "{kind}");
        config.identities_only = true;
        denied(refusal(config).await);
    }
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_told_and_the_files_are_tried() {
    let Some(sshd) = Sshd::start() else { return };
    let mut config = config(&sshd);
    config.identity_agent = Some("/no/such/agent".into());
    assert_eq!(output(config.clone(), "echo hi").await, "hi\n");
    config.identity_files = Vec::new();
    let (_, _, notes) = denied(refusal(config).await);
    assert!(notes.iter().any(|note| note.starts_with("agent at /no/such/agent")), "{notes:?}");
}

#[tokio::test]
async fn a_locked_key_asks_for_its_passphrase_once_the_host_wants_it() {
    let Some(sshd) = Sshd::start() else { return };
    for (name, format) in [("locked", "RFC4716"), ("locked_pkcs8", "PKCS8")] {
        let arguments = ["-t", "rsa", "-b", "2048", "-m", format, "-N", "open sesame"];
        let key = make_key(&sshd, name, &arguments, true);
        let stranger = make_key(&sshd, &format!("{name}_2"), &arguments, false);
        let mut config = config(&sshd);
        config.identity_files = vec![stranger, key.clone()];
        let script = Script::new(&[Some("wrong"), Some("open sesame")]);
        drop(asking(config.clone(), &script).await.unwrap());
        let asked = script.asked.lock().unwrap().clone();
        let topic = Topic::Passphrase { path: key.clone() };
        assert_eq!((asked[0].topic.clone(), asked[0].attempt), (topic.clone(), 1));
        assert_eq!((asked[1].topic.clone(), asked[1].attempt), (topic, 2));
        assert_eq!(asked.len(), 2);

        let (_, keys, notes) = denied(refusal(config.clone()).await);
        assert_eq!(keys.len(), 2, "{keys:?}");
        assert!(notes.iter().any(|note| note.contains("nobody to ask; load it")), "{notes:?}");
        config.batch_mode = true;
        let script = Script::new(&[Some("open sesame")]);
        denied(asking(config, &script).await.unwrap_err());
        assert!(script.asked.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn who_is_not_let_in_is_told_what_was_tried() {
    let Some(sshd) = Sshd::start() else { return };
    let wrong = make_key(&sshd, "wrong", &["-t", "ed25519", "-N", ""], false);
    let open = make_key(&sshd, "open_to_all", &["-t", "ed25519", "-N", ""], true);
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let broken = sshd.dir().join("broken");
    std::fs::write(&broken, "no key").unwrap();
    std::fs::set_permissions(&broken, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut config = config(&sshd);
    config.identity_files = vec![wrong.clone(), open, broken, "/no/such/key".into()];
    let error = refusal(config.clone()).await;
    let text = error.to_string();
    let (methods, keys, notes) = denied(error);
    assert_eq!(methods, ["publickey"]);
    assert_eq!(keys.len(), 1);
    let (path, fingerprint) = keys[0].split_once(' ').unwrap();
    assert_eq!(path, wrong.display().to_string());
    assert!(fingerprint.starts_with("(SHA256:"), "{fingerprint}");
    assert!(notes.iter().any(|note| note.contains("chmod 600")), "{notes:?}");
    assert!(notes.iter().any(|note| note.contains("no private key")), "{notes:?}");
    assert!(text.contains("chmod 600") && text.contains("publickey"), "{text}");
}

#[tokio::test]
async fn a_host_that_hangs_up_after_too_many_keys_is_told_as_that() {
    let Some(sshd) = Sshd::builder().setting("MaxAuthTries 2").start() else { return };
    let mut config = config(&sshd);
    let key = |name: &str| make_key(&sshd, name, &["-t", "ed25519", "-N", ""], false);
    config.identity_files = ["a", "b", "c", "d"].map(key).into();
    let (_, keys, notes) = denied(refusal(config).await);
    assert!(!keys.is_empty());
    assert!(
        notes.iter().any(|note| note.contains("Too many authentication failures")),
        "{notes:?}"
    );
}

#[tokio::test]
async fn two_keys_where_the_host_wants_two() {
    let setting = "AuthenticationMethods publickey,publickey";
    let Some(sshd) = Sshd::builder().setting(setting).start() else { return };
    let second = make_key(&sshd, "second", &["-t", "ed25519", "-N", ""], true);
    let mut config = config(&sshd);
    denied(refusal(config.clone()).await);
    config.identity_files.push(second);
    assert_eq!(output(config, "echo hi").await, "hi\n");
}

#[tokio::test]
async fn passwords_are_asked_for_as_often_as_is_allowed() {
    let started = Sshd::builder().setting("PasswordAuthentication yes").start();
    let Some(sshd) = started else { return };
    let mut config = config(&sshd);
    config.identity_files = Vec::new();
    config.password_prompts = 2;
    let script = Script::new(&[Some("wrong"), Some("as wrong"), Some("never asked for")]);
    let (methods, _, _) = denied(asking(config.clone(), &script).await.unwrap_err());
    assert!(methods.contains(&"password".to_owned()), "{methods:?}");
    let asked = script.asked.lock().unwrap().clone();
    assert_eq!(asked.iter().map(|asked| asked.attempt).collect::<Vec<_>>(), [1, 2]);
    let (user, host) = (config.user.clone(), config.hostname.clone());
    assert_eq!(asked[0].topic, Topic::Password { user, host });
    let (_, _, notes) = denied(refusal(config).await);
    assert!(notes.contains(&"password: there is nobody to ask".to_owned()), "{notes:?}");
}

#[tokio::test]
async fn the_right_password_opens() {
    let started = Sshd::builder()
        .setting("PasswordAuthentication yes")
        .setting("KbdInteractiveAuthentication yes")
        .start();
    let Some(sshd) = started else { return };
    let Some(user) = User::make() else { return };
    user.set_password("right horse");
    let mut config = config(&sshd);
    config.user = user.name().to_owned();
    config.identity_files = Vec::new();
    config.authentications = vec!["password".to_owned()];
    let script = Script::new(&[Some("wrong"), Some("right horse")]);
    drop(asking(config.clone(), &script).await.unwrap());
    let script = Script::new(&[None]);
    denied(asking(config, &script).await.unwrap_err());
}

/// What pluggable authentication asks: a password, and new ones where the old one is no longer good.
#[tokio::test]
async fn what_the_host_asks_is_answered() {
    let started = Sshd::builder()
        .setting("UsePAM yes")
        .setting("KbdInteractiveAuthentication yes")
        .setting("AuthenticationMethods keyboard-interactive")
        .start();
    let Some(sshd) = started else { return };
    let Some(user) = User::make() else { return };
    user.set_password("right horse");
    let mut config = config(&sshd);
    config.user = user.name().to_owned();
    let script = Script::new(&[Some("wrong"), Some("right horse")]);
    drop(watched(asking(config.clone(), &script)).await.unwrap());
    let asked = script.asked.lock().unwrap().clone();
    let (name, host) = (config.user.clone(), config.hostname.clone());
    for (asked, attempt) in asked.iter().zip(1..) {
        assert_eq!(asked.topic, Topic::Interactive { user: name.clone(), host: host.clone() });
        assert_eq!((asked.attempt, asked.echo), (attempt, false));
        assert!(asked.text.starts_with(&format!("({name}@{host}) ")), "{}", asked.text);
        assert!(asked.text.ends_with("Password: "), "{}", asked.text);
    }
    assert_eq!(asked.len(), 2);

    let script = Script::new(&[None]);
    let (methods, _, notes) = denied(watched(asking(config.clone(), &script)).await.unwrap_err());
    assert_eq!(methods, ["keyboard-interactive"]);
    assert!(notes.contains(&"keyboard-interactive: no answer was given".to_owned()), "{notes:?}");
    let (_, _, notes) = denied(refusal(config.clone()).await);
    assert!(
        notes.contains(&"keyboard-interactive: there is nobody to ask".to_owned()),
        "{notes:?}"
    );

    user.expire_password();
    let fresh = Some("correct battery staple");
    let script = Script::new(&[Some("right horse"), Some("right horse"), fresh, fresh]);
    drop(watched(asking(config.clone(), &script)).await.unwrap());
    let asked = script.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 4, "{asked:?}");
    let script = Script::new(&[fresh]);
    drop(watched(asking(config, &script)).await.unwrap());
}
