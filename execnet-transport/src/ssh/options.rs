//! What the user asked for, in the words of the `ssh` program.

use std::fmt;
use std::path::{Path, PathBuf};

use super::SshError;
use super::words::Words;

/// Which host is meant, and what is to be different from the user's configuration.
///
/// ```
/// use execnet_transport::ssh::Options;
///
/// let options = Options::parse(["-p", "2222", "-i", "key", "me@web1"])?;
/// assert_eq!(options.host(), "web1");
/// assert_eq!(options, Options::new("web1")?.port(2222).identity_file("key").user("me"));
/// # Ok::<(), execnet_transport::ssh::OptionsError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub(super) host: String,
    pub(super) user: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) config_file: Option<PathBuf>,
    pub(super) identity_files: Vec<PathBuf>,
    pub(super) jump: Option<String>,
    /// Each `-o`, as keyword and value, in order: the first one of a keyword counts.
    pub(super) settings: Vec<(String, String)>,
    /// Options without a value that change the connection and are handed on as they are: `46ACaKkqvXxY`.
    pub(super) flags: Vec<char>,
}

impl Options {
    /// For this host, a name or an alias of the user's configuration or an address.
    ///
    /// # Errors
    ///
    /// The name is empty, begins with `-`, or holds a blank or a control character.
    pub fn new(host: impl Into<String>) -> Result<Self, OptionsError> {
        let host = host.into();
        check_host(&host, &host)?;
        Ok(Self::unchecked(host))
    }

    pub(super) fn unchecked(host: String) -> Self {
        Self {
            host,
            user: None,
            port: None,
            config_file: None,
            identity_files: Vec::new(),
            jump: None,
            settings: Vec::new(),
            flags: Vec::new(),
        }
    }

    /// Reads the words that the `ssh` program would be given: options, and one host as `host`, `user@host`
    /// or `ssh://user@host:port`.
    ///
    /// What is known: `-p PORT`, `-l USER`, `-i FILE`, `-F FILE`, `-J HOP,…`, `-o KEYWORD=VALUE`, `-4`, `-6`, `-v`,
    /// `-q`, and the less common `-A -a -B -b -C -c -I -K -k -m -P -S -X -x -Y -T`. Those that would take the connection
    /// away from the gateway, such as `-N`, `-t` or `-L`, are refused.
    ///
    /// # Errors
    ///
    /// An option is unknown or lacks its value, there is no host or one that begins with `-`, or words follow that
    /// would be a command. The error names the word.
    pub fn parse<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> Result<Self, OptionsError> {
        Words::read(words)
    }

    /// The host as it was asked for.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Sets the user to log in as.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Sets the port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Adds a file with a private key, tried before those of the configuration.
    #[must_use]
    pub fn identity_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.identity_files.push(path.into());
        self
    }

    /// Sets the configuration to read in place of `~/.ssh/config` and the system's; `none` is an empty one.
    #[must_use]
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.config_file = Some(path.into());
        self
    }

    /// The configuration to read, if it was said.
    pub fn config_file_path(&self) -> Option<&Path> {
        self.config_file.as_deref()
    }

    /// Sets the hosts to go through: `[user@]host[:port],…`.
    #[must_use]
    pub fn jump(mut self, hops: impl Into<String>) -> Self {
        self.jump = Some(hops.into());
        self
    }

    /// Sets a keyword of ssh_config(5), as `-o` does. The first setting of a keyword counts.
    #[must_use]
    pub fn set(mut self, keyword: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((keyword.into(), value.into()));
        self
    }

    /// Refuses an identity file that cannot be opened: ssh would only warn, and try others.
    pub(super) fn check_files(&self) -> Result<(), SshError> {
        for path in &self.identity_files {
            let text = path.to_string_lossy();
            let real = in_home(path);
            // What `%` and `$` stand for is known to ssh alone.
            if !text.contains(['%', '$'])
                && let Err(error) = std::fs::File::open(real)
            {
                return Err(SshError::Config { detail: format!("identity file {text}: {error}") });
            }
        }
        Ok(())
    }

    /// The arguments that say the same to the `ssh` program, without the host.
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = self.flags.iter().map(|flag| format!("-{flag}")).collect();
        let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
        if let Some(path) = &self.config_file {
            // The one file for which the program leaves this to the shell.
            add("-F", in_home(path).to_string_lossy().into_owned());
        }
        if let Some(port) = self.port {
            add("-p", port.to_string());
        }
        if let Some(user) = &self.user {
            add("-l", user.clone());
        }
        for path in &self.identity_files {
            add("-i", path.to_string_lossy().into_owned());
        }
        if let Some(hops) = &self.jump {
            add("-J", hops.clone());
        }
        for (keyword, value) in &self.settings {
            add("-o", format!("{keyword}={value}"));
        }
        arguments
    }
}

/// Prints as the host, with user and port where they were said: `me@web1:2222`.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.port {
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

/// The words of `ssh=` are not what the `ssh` program takes, or not for a gateway.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}`: {fault}")]
#[non_exhaustive]
pub struct OptionsError {
    /// The word; empty if one is missing.
    pub word: String,
    /// What the matter is.
    pub fault: OptionsFault,
}

impl OptionsError {
    pub(super) fn new(word: &str, fault: OptionsFault) -> Self {
        Self { word: word.to_owned(), fault }
    }
}

/// What the matter is with a word, with the way out in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionsFault {
    /// There is no host.
    NoHost,
    /// The host begins with `-`, is empty, or holds a blank or a control character.
    BadHost,
    /// The host is there already: this would be a command.
    SecondHost,
    /// No such option.
    Unknown(char),
    /// The option would take the connection away from the gateway.
    NotHere(char),
    /// The option needs a value.
    NoValue(char),
    /// No port.
    BadPort,
    /// `-o` without `KEYWORD=VALUE`.
    BadSetting,
}

impl fmt::Display for OptionsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHost => f.write_str("no host; expected [OPTION]... [USER@]HOST"),
            Self::BadHost => f.write_str("not the name of a host"),
            Self::SecondHost => f.write_str(
                "a second host; one is expected, and what runs there is said by `python=`",
            ),
            Self::Unknown(letter) => {
                write!(f, "unknown option -{letter}; see ssh(1), or write -o KEYWORD=VALUE")
            }
            Self::NotHere(letter) => {
                write!(f, "-{letter} leaves no connection for a gateway; run ssh itself for that")
            }
            Self::NoValue(letter) => write!(f, "-{letter} needs a value"),
            Self::BadPort => f.write_str("not a port; expected 1 to 65535"),
            Self::BadSetting => f.write_str("not a setting; expected -o KEYWORD=VALUE"),
        }
    }
}

pub(super) fn check_host(word: &str, host: &str) -> Result<(), OptionsError> {
    let bad = |c: char| c.is_whitespace() || c.is_control();
    if host.is_empty() || host.starts_with('-') || host.contains(bad) {
        return Err(OptionsError::new(word, OptionsFault::BadHost));
    }
    Ok(())
}

/// A path with `~/` in front, written out.
fn in_home(path: &Path) -> PathBuf {
    match path.strip_prefix("~") {
        Ok(rest) => std::env::home_dir().unwrap_or_default().join(rest),
        Err(_) => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, OptionsError> {
        Options::parse(text.split_whitespace())
    }

    #[test]
    fn reads_what_ssh_reads() {
        let host = || Options::new("web1").unwrap();
        for (text, expected) in [
            ("web1", host()),
            ("me@web1", host().user("me")),
            ("me@corp@web1", host().user("me@corp")),
            ("-p 2222 web1", host().port(2222)),
            ("-p2222 web1", host().port(2222)),
            ("web1 -p 2222", host().port(2222)),
            ("-l me -i a -i b web1", host().user("me").identity_file("a").identity_file("b")),
            ("-l me you@web1", host().user("me")),
            ("-F cfg -J a,b@c:99 web1", host().config_file("cfg").jump("a,b@c:99")),
            ("-o ForwardAgent=yes web1", host().set("ForwardAgent", "yes")),
            ("-oForwardAgent=yes web1", host().set("ForwardAgent", "yes")),
            ("-c aes128-ctr web1", host().set("Ciphers", "aes128-ctr")),
            ("-T web1", host()),
            ("-- web1", host()),
            ("ssh://web1", host()),
            ("ssh://me@web1:2222", host().user("me").port(2222)),
            ("ssh://web1:2222/", host().port(2222)),
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
        assert_eq!(parse("ssh://[::1]:22").unwrap(), Options::new("::1").unwrap().port(22));
        let clustered = parse("-4vCp 22 web1").unwrap();
        assert_eq!(clustered.flags, ['4', 'v', 'C']);
        assert_eq!(clustered.port, Some(22));
        let spaced = Options::parse(["-o", "ProxyCommand nc %h %p", "web1"]).unwrap();
        assert_eq!(spaced.settings, [("ProxyCommand".to_owned(), "nc %h %p".to_owned())]);
    }

    #[test]
    fn errors_name_the_word() {
        use OptionsFault::*;
        for (words, word, fault) in [
            (&[][..], "", NoHost),
            (&["-p", "22"], "", NoHost),
            (&["-p", "22", "--", "-oProxyCommand=x"], "-oProxyCommand=x", BadHost),
            (&["me@-web1"], "me@-web1", BadHost),
            (&["@web1"], "@web1", BadHost),
            (&["me@"], "me@", BadHost),
            (&[""], "", BadHost),
            (&["a b"], "a b", BadHost),
            (&["ssh://-x"], "ssh://-x", BadHost),
            (&["web1", "uptime"], "uptime", SecondHost),
            (&["-Z", "web1"], "-Z", Unknown('Z')),
            (&["-4Z", "web1"], "-4Z", Unknown('Z')),
            (&["--help", "web1"], "--help", Unknown('-')),
            (&["-N", "web1"], "-N", NotHere('N')),
            (&["-L", "1:a:2", "web1"], "-L", NotHere('L')),
            (&["web1", "-p"], "-p", NoValue('p')),
            (&["-p", "", "web1"], "-p", NoValue('p')),
            (&["-p", "ssh", "web1"], "ssh", BadPort),
            (&["-p", "0", "web1"], "0", BadPort),
            (&["-p", "65536", "web1"], "65536", BadPort),
            (&["ssh://web1:x"], "ssh://web1:x", BadPort),
            (&["-o", "Port", "web1"], "Port", BadSetting),
            (&["-o", "=x", "web1"], "=x", BadSetting),
        ] {
            let found = Options::parse(words).unwrap_err();
            assert_eq!((found.word.as_str(), found.fault), (word, fault), "{words:?}");
        }
    }

    #[test]
    fn the_home_folder_may_stand_before_a_file() {
        let arguments = Options::new("web1").unwrap().config_file("~/deploy.conf").arguments();
        let home = std::env::home_dir().unwrap();
        assert_eq!(arguments[1], home.join("deploy.conf").to_string_lossy());
        assert_eq!(Options::new("web1").unwrap().config_file("none").arguments(), ["-F", "none"]);
    }

    #[test]
    fn says_the_same_to_the_program() {
        let options = parse("-4v -o A=b -p 22 -i k me@web1 -F c -J j").unwrap();
        let arguments = options.arguments().join(" ");
        assert_eq!(arguments, "-4 -v -F c -p 22 -l me -i k -J j -o A=b");
        assert_eq!(options.to_string(), "me@web1:22");
        let again = parse(&format!("{arguments} web1")).unwrap();
        assert_eq!(again, options);
    }
}
