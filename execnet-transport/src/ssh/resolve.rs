//! Asks the `ssh` program what a host's configuration is.
//!
//! Its files have patterns, includes, conditions and commands that decide conditions; the crates that read them were
//! tried, and let a section that does not match leak into the one above. The program itself is always right.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::settings::Settings;
use super::words::{split_port, split_user};
use super::{Config, Options, SshError};
use crate::{BoxFuture, ConnectError, Ending, Link, Popen, SpawnFault, Stage, Transport};

/// How long the program may think. It may run commands of the user's, and look up names.
const LIMIT: Duration = Duration::from_secs(20);

/// What its answer may be long; real ones are 5 KiB.
const LONGEST: u64 = 1 << 20;

/// More hops than anybody has: a loop.
const MOST_HOPS: usize = 16;

impl Config {
    /// Finds out what `options` mean on this machine, with the user's and the system's configuration files.
    ///
    /// The files are read by `ssh -G`, once for the host and once for each host to go through. Where there is no `ssh`
    /// program, the options alone count, over OpenSSH's defaults.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the program.
    ///
    /// # Errors
    ///
    /// An identity file of the options cannot be read. The program refuses the options or the files, or does not answer within 20 s. Without a program: an option
    /// that only it understands.
    pub async fn resolve(options: &Options) -> Result<Self, ConnectError> {
        options.check_files()?;
        resolve(options, MOST_HOPS).await
    }
}

fn resolve(options: &Options, hops_left: usize) -> BoxFuture<'_, Result<Config, ConnectError>> {
    Box::pin(async move {
        let (mut settings, program) = match ask(options).await? {
            Some(text) => (Settings::parse(&text), true),
            None => (without_program(options)?, false),
        };
        let hops = settings.jumps();
        let mut config = Config::new(options.host());
        let unknown = settings.apply(&mut config).map_err(bad)?;
        if let Some(keyword) = unknown.first().filter(|_| !program) {
            return Err(bad(format!(
                "only the ssh program knows {keyword}, and it is not on PATH"
            )));
        }
        config.jumps = jumps(&hops, options, hops_left).await?;
        Ok(config)
    })
}

/// Each hop has a configuration of its own. Only the first one may be reached through others that its own names: the
/// next are reached through those before.
async fn jumps(
    hops: &[String],
    options: &Options,
    hops_left: usize,
) -> Result<Vec<Config>, ConnectError> {
    let Some(hops_left) = hops_left.checked_sub(hops.len()).filter(|left| *left > 0) else {
        return Err(bad(format!("ProxyJump of {} leads in a circle", options.host())));
    };
    let mut found = Vec::new();
    for (n, hop) in hops.iter().enumerate() {
        let mut hop = hop_options(hop)?;
        hop.config_file.clone_from(&options.config_file);
        let mut config = resolve(&hop, hops_left).await?;
        let before = std::mem::take(&mut config.jumps);
        if n == 0 {
            found.extend(before);
        }
        found.push(config);
    }
    Ok(found)
}

/// `[user@]host[:port]` or `ssh://…`.
fn hop_options(hop: &str) -> Result<Options, ConnectError> {
    let wrong = |_| bad(format!("ProxyJump {hop}: expected [USER@]HOST[:PORT]"));
    if hop.starts_with("ssh://") {
        return Options::parse([hop]).map_err(|error| bad(error.to_string()));
    }
    let (user, place) = split_user(hop);
    let (host, port) = split_port(place);
    let mut options = Options::new(host).map_err(|error| bad(error.to_string()))?;
    options.user = user.map(str::to_owned);
    options.port = port.map(str::parse).transpose().map_err(wrong)?;
    Ok(options)
}

/// What `ssh -G` prints, or `None` where there is no such program.
async fn ask(options: &Options) -> Result<Option<String>, ConnectError> {
    let mut argv = ["ssh", "-T", "-G"].map(str::to_owned).to_vec();
    argv.extend(options.arguments());
    argv.extend(["--".to_owned(), options.host.clone()]);
    let link = match Popen::new(argv).connect().await {
        Ok(link) => link,
        Err(ConnectError::Spawn { fault: SpawnFault::NotOnPath, .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Link { mut reader, mut writer, stderr, guard, .. } = link;
    let answer = async {
        // It reads nothing; a command that it runs might.
        let _ = writer.shutdown().await;
        let mut text = Vec::new();
        let read = (&mut reader).take(LONGEST).read_to_end(&mut text).await;
        let ending = guard.wait().await;
        if let Some(stderr) = &stderr {
            stderr.closed().await;
        }
        read.map(|_| (text, ending))
    };
    let said = || stderr.as_ref().map(|stderr| stderr.tail_lines(5).join("; ")).unwrap_or_default();
    match timeout(LIMIT, answer).await {
        Ok(Ok((text, Ending::Exited(0)))) => Ok(Some(String::from_utf8_lossy(&text).into_owned())),
        Ok(Ok((_, ending))) if said().is_empty() => Err(bad(format!("ssh -G: {ending}"))),
        Ok(Ok(_)) => Err(bad(said())),
        Ok(Err(error)) => {
            Err(SshError::Config { detail: "cannot read what ssh -G says".to_owned() }
                .because(Some(error.into())))
        }
        Err(_) => Err(ConnectError::TimedOut { stage: Stage::Spawn, after: LIMIT }),
    }
}

/// The options alone.
fn without_program(options: &Options) -> Result<Settings, ConnectError> {
    let mut settings = Settings::default();
    let needs = |what: &str| bad(format!("{what} needs the ssh program, and it is not on PATH"));
    if let Some(path) = options.config_file.as_ref().filter(|path| path.as_os_str() != "none") {
        return Err(needs(&format!("the configuration file {}", path.display())));
    }
    for flag in &options.flags {
        match flag {
            '4' => settings.add("addressfamily", "inet"),
            '6' => settings.add("addressfamily", "inet6"),
            // How much is said, and what is off anyway.
            'v' | 'q' | 'a' | 'x' | 'C' | 'k' => {}
            other => return Err(needs(&format!("-{other}"))),
        }
    }
    if let Some(port) = options.port {
        settings.add("port", &port.to_string());
    }
    if let Some(user) = &options.user {
        settings.add("user", user);
    }
    for path in &options.identity_files {
        settings.add("identityfile", &path.to_string_lossy());
    }
    if let Some(hops) = &options.jump {
        settings.add("proxyjump", hops);
    }
    for (keyword, value) in &options.settings {
        settings.add(keyword, value);
    }
    Ok(settings)
}

fn bad(detail: String) -> ConnectError {
    SshError::Config { detail }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_alone_will_do() {
        let options = Options::parse(["-4p", "22", "-J", "a", "-oConnectTimeout=3", "me@web1"]);
        let mut settings = without_program(&options.unwrap()).unwrap();
        assert_eq!(settings.jumps(), ["a"]);
        let mut config = Config::new("web1");
        assert_eq!(settings.apply(&mut config), Ok(vec![]));
        assert_eq!((config.port, config.user.as_str()), (22, "me"));
        assert_eq!(config.connect_timeout.as_secs(), 3);
        assert_eq!(config.address_family, super::super::AddressFamily::Inet);
    }

    #[test]
    fn what_only_the_program_knows_is_named() {
        let options = Options::new("web1").unwrap();
        let error = without_program(&options.clone().config_file("x")).unwrap_err();
        assert!(error.to_string().contains("file x needs the ssh program"), "{error}");
        let mut config = Config::new("web1");
        let settings = without_program(&options.set("Foo", "x")).unwrap();
        assert_eq!(settings.apply(&mut config), Ok(vec!["foo".to_owned()]));
    }

    #[test]
    fn hops_are_read_as_ssh_reads_them() {
        let hop = |text| hop_options(text).unwrap();
        let web1 = || Options::new("web1").unwrap();
        assert_eq!(hop("web1"), web1());
        assert_eq!(hop("me@web1:99"), web1().user("me").port(99));
        assert_eq!(hop("ssh://me@web1:99"), web1().user("me").port(99));
        assert_eq!(hop("[::1]:99"), Options::new("::1").unwrap().port(99));
        assert!(hop_options("web1:x").unwrap_err().to_string().contains("ProxyJump web1:x"));
        assert!(hop_options("-x").is_err());
    }
}
