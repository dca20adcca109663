//! Keywords of ssh_config(5) and their values, as `ssh -G` prints them, and what they make of a [`Config`].

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::time::Duration;

use super::config::{AUTHENTICATIONS, AddressFamily, Config, StrictHostKey};
use super::tokens::Tokens;

/// Values by keyword in lower case; several where a keyword may be given several times.
#[derive(Debug, Default)]
pub(super) struct Settings(BTreeMap<String, Vec<String>>);

impl Settings {
    /// Reads the output of `ssh -G`: a keyword and its value on each line.
    pub(super) fn parse(text: &str) -> Self {
        let mut settings = Self::default();
        for line in text.lines() {
            let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
            settings.add(keyword, value);
        }
        settings
    }

    pub(super) fn add(&mut self, keyword: &str, value: &str) {
        self.0.entry(keyword.to_ascii_lowercase()).or_default().push(value.trim().to_owned());
    }

    /// The hops of ProxyJump, in order.
    pub(super) fn jumps(&mut self) -> Vec<String> {
        let hops = self.text("proxyjump");
        hops.into_iter().flat_map(|hops| list(&hops)).collect()
    }

    /// Changes what is said here, and leaves the rest as it is. What this crate does not know is given back.
    pub(super) fn apply(mut self, config: &mut Config) -> Result<Vec<String>, String> {
        if let Some(name) = self.text("hostname") {
            config.hostname = name;
        }
        if let Some(port) = self.number("port")? {
            config.port = port;
        }
        if let Some(user) = self.text("user") {
            config.user = user;
        }
        config.host_key_alias = self.text("hostkeyalias");
        // All that `%` may stand for is known from here on.
        let tokens = Tokens::new(config);
        self.reach(config)?;
        self.log_in(config, &tokens)?;
        self.known_hosts(config, &tokens);
        for (keyword, list_of) in [
            ("kexalgorithms", &mut config.kex_algorithms),
            ("ciphers", &mut config.ciphers),
            ("macs", &mut config.macs),
        ] {
            *list_of = self.list(keyword);
        }
        config.env = self.env();
        config.control_path = self.text("controlpath").map(|path| tokens.path(&path));
        self.only_openssh(config);
        Ok(self.0.into_keys().collect())
    }

    fn reach(&mut self, config: &mut Config) -> Result<(), String> {
        if let Some(family) = self.text("addressfamily") {
            config.address_family = match family.as_str() {
                "inet" => AddressFamily::Inet,
                "inet6" => AddressFamily::Inet6,
                _ => AddressFamily::Any,
            };
        }
        config.bind_address = self.text("bindaddress");
        config.proxy_command = self.text("proxycommand");
        if let Some(seconds) = self.number("connecttimeout")? {
            config.connect_timeout = Duration::from_secs(seconds);
        }
        // Without one a dead host would be noticed by nobody, so 0, the default, is not taken as an order.
        if let Some(seconds) = self.number("serveraliveinterval")?.filter(|seconds| *seconds > 0) {
            config.keepalive_interval = Duration::from_secs(seconds);
        }
        if let Some(count) = self.number("serveralivecountmax")? {
            config.keepalive_count = count;
        }
        Ok(())
    }

    fn log_in(&mut self, config: &mut Config, tokens: &Tokens) -> Result<(), String> {
        if let Some(files) = self.texts("identityfile") {
            config.identity_files = files.iter().map(|path| tokens.path(path)).collect();
        }
        let certificates = self.texts("certificatefile").unwrap_or_default();
        config.certificate_files = certificates.iter().map(|path| tokens.path(path)).collect();
        config.identities_only = self.flag("identitiesonly") == Some(true);
        if let Some(agent) = self.0.remove("identityagent").and_then(first) {
            config.identity_agent = agent_socket(&agent, tokens);
        }
        config.batch_mode = self.flag("batchmode") == Some(true);
        if let Some(count) = self.number("numberofpasswordprompts")? {
            config.password_prompts = count;
        }
        config.public_key_algorithms = self.list("pubkeyacceptedalgorithms");
        // As it was called before OpenSSH 8.5.
        config.public_key_algorithms.extend(self.list("pubkeyacceptedkeytypes"));
        let preferred = self.list("preferredauthentications");
        if !preferred.is_empty() {
            config.authentications = preferred;
        }
        let known = |method: &String| AUTHENTICATIONS.contains(&method.as_str());
        if !config.authentications.iter().any(known) {
            config.openssh_keywords.push("PreferredAuthentications".to_owned());
        }
        config.authentications.retain(known);
        for (keyword, method) in [
            ("pubkeyauthentication", "publickey"),
            ("kbdinteractiveauthentication", "keyboard-interactive"),
            // As it was called before OpenSSH 8.7.
            ("challengeresponseauthentication", "keyboard-interactive"),
            ("passwordauthentication", "password"),
        ] {
            if self.flag(keyword) == Some(false) {
                config.authentications.retain(|known| known != method);
            }
        }
        Ok(())
    }

    fn known_hosts(&mut self, config: &mut Config, tokens: &Tokens) {
        for (keyword, files) in [
            ("userknownhostsfile", &mut config.user_known_hosts),
            ("globalknownhostsfile", &mut config.global_known_hosts),
        ] {
            if let Some(values) = self.0.remove(keyword) {
                let paths = values.iter().flat_map(|value| paths(value));
                *files =
                    paths.filter(|path| path != "none").map(|path| tokens.path(&path)).collect();
            }
        }
        if let Some(strict) = self.text("stricthostkeychecking") {
            config.strict_host_key = match strict.as_str() {
                "accept-new" | "no" | "off" | "false" => StrictHostKey::AcceptNew,
                _ => StrictHostKey::Yes,
            };
        }
        config.hash_known_hosts = self.flag("hashknownhosts") == Some(true);
        config.host_key_algorithms = self.list("hostkeyalgorithms");
    }

    /// What is offered to the host: SetEnv, and those variables of ours that SendEnv names.
    fn env(&mut self) -> Vec<(String, String)> {
        let set = self.texts("setenv").unwrap_or_default();
        let set = set.iter().filter_map(|text| text.split_once('='));
        let mut found: Vec<_> =
            set.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let patterns = self.texts("sendenv").unwrap_or_default();
        let patterns: Vec<&str> =
            patterns.iter().flat_map(|text| text.split_whitespace()).collect();
        for (name, value) in env::vars_os() {
            let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) else { continue };
            let wanted = patterns.iter().any(|pattern| matches(pattern, &name));
            if wanted && found.iter().all(|(set, _)| *set != name) {
                found.push((name, value));
            }
        }
        found
    }

    /// Keywords that change who is let in, what is trusted or what the far side can do, and that only the `ssh`
    /// program knows: to ignore one in silence would be wrong.
    fn only_openssh(&mut self, config: &mut Config) {
        for keyword in [
            "BindInterface",
            "ForwardAgent",
            "ForwardX11",
            "HostbasedAuthentication",
            "VerifyHostKeyDNS",
        ] {
            let value = self.text(&keyword.to_ascii_lowercase());
            if value.is_some_and(|value| !matches!(value.as_str(), "no" | "false" | "ask")) {
                config.openssh_keywords.push(keyword.to_owned());
            }
        }
        for keyword in ["KnownHostsCommand", "PKCS11Provider", "RevokedHostKeys"] {
            if self.text(&keyword.to_ascii_lowercase()).is_some() {
                config.openssh_keywords.push(keyword.to_owned());
            }
        }
    }

    /// All values, unless they say `none`.
    fn texts(&mut self, keyword: &str) -> Option<Vec<String>> {
        let mut values = self.0.remove(keyword)?;
        values.retain(|value| !is_none(value));
        Some(values)
    }

    /// The first value, which is the one that counts, unless it says `none`.
    fn text(&mut self, keyword: &str) -> Option<String> {
        first(self.0.remove(keyword)?).filter(|value| !is_none(value))
    }

    fn list(&mut self, keyword: &str) -> Vec<String> {
        self.text(keyword).map(|text| list(&text)).unwrap_or_default()
    }

    fn flag(&mut self, keyword: &str) -> Option<bool> {
        match self.text(keyword)?.as_str() {
            "yes" | "true" => Some(true),
            "no" | "false" => Some(false),
            _ => None,
        }
    }

    fn number<N: std::str::FromStr>(&mut self, keyword: &str) -> Result<Option<N>, String> {
        let number = |text: String| {
            let found = text.parse().map_err(|_| format!("{keyword} {text}: expected a number"));
            found.map(Some)
        };
        self.text(keyword).map_or(Ok(None), number)
    }
}

fn is_none(value: &str) -> bool {
    value.is_empty() || value.eq_ignore_ascii_case("none")
}

fn first(values: Vec<String>) -> Option<String> {
    values.into_iter().next()
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

/// Several paths in one value. `ssh -G` prints them without the quotes that they may need, so a blank is taken as
/// part of a path when what follows it begins like none.
fn paths(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for piece in text.split(' ').filter(|piece| !piece.is_empty()) {
        let piece = piece.trim_matches('"');
        let begins = piece.starts_with(['/', '~', '%', '$']);
        match found.last_mut() {
            Some(last) if !begins && last.starts_with(['/', '~', '%', '$']) => {
                last.push(' ');
                last.push_str(piece);
            }
            _ => found.push(piece.to_owned()),
        }
    }
    found
}

/// IdentityAgent: a path, the name of a variable that holds one, or `none`.
fn agent_socket(text: &str, tokens: &Tokens) -> Option<PathBuf> {
    let variable = match text.strip_prefix('$') {
        _ if is_none(text) => return None,
        Some(name) if !name.starts_with('{') => Some(name),
        _ => (text == "SSH_AUTH_SOCK").then_some(text),
    };
    match variable {
        Some(name) => env::var_os(name).map(PathBuf::from),
        None => Some(tokens.path(text)),
    }
}

/// Whether a pattern of ssh_config(5) fits: `*` is any text, `?` any one character.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pattern_chars = pattern.chars();
    match pattern_chars.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = pattern_chars.as_str();
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.into_iter().any(|at| matches(rest, text.get(at..).unwrap_or_default()))
        }
        Some(wanted) => {
            let mut text_chars = text.chars();
            let fits = text_chars.next().is_some_and(|found| wanted == '?' || wanted == found);
            fits && matches(pattern_chars.as_str(), text_chars.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let mut config = Config::new("web1");
        Settings::parse(text).apply(&mut config).unwrap();
        config
    }

    fn home() -> PathBuf {
        env::home_dir().unwrap()
    }

    /// What OpenSSH 9.2 printed for a host with this and that, without the lines that change nothing here.
    const PRINTED: &str = "\
host web1
user me
hostname 10.0.0.5
port 2222
addressfamily inet
batchmode yes
hashknownhosts yes
identitiesonly yes
kbdinteractiveauthentication no
passwordauthentication yes
pubkeyauthentication true
stricthostkeychecking accept-new
serveralivecountmax 5
serveraliveinterval 7
ciphers aes256-gcm@openssh.com,chacha20-poly1305@openssh.com
hostkeyalgorithms ssh-ed25519,rsa-sha2-512
hostkeyalias web
identityfile ~/.ssh/%h_key
identityfile /x y/z
certificatefile ~/.ssh/x-cert.pub
globalknownhostsfile none
userknownhostsfile /home/me/.ssh/known_hosts /a b/known_hosts
setenv A=b c
connecttimeout 9
proxyjump a,me@b:99
controlpath /tmp/master-%p
";

    #[test]
    fn reads_what_the_program_prints() {
        let config = config(PRINTED);
        assert_eq!((config.host.as_str(), config.hostname.as_str()), ("web1", "10.0.0.5"));
        assert_eq!((config.user.as_str(), config.port), ("me", 2222));
        assert_eq!(config.address_family, AddressFamily::Inet);
        assert!(config.batch_mode && config.hash_known_hosts && config.identities_only);
        assert_eq!(config.authentications, ["publickey", "password"]);
        assert_eq!(config.strict_host_key, StrictHostKey::AcceptNew);
        assert_eq!((config.keepalive_interval.as_secs(), config.keepalive_count), (7, 5));
        assert_eq!(config.connect_timeout.as_secs(), 9);
        assert_eq!(config.ciphers, ["aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"]);
        assert_eq!(config.host_key_algorithms, ["ssh-ed25519", "rsa-sha2-512"]);
        assert_eq!(config.host_key_alias.as_deref(), Some("web"));
        assert_eq!(config.identity_files, [home().join(".ssh/10.0.0.5_key"), "/x y/z".into()]);
        assert_eq!(config.certificate_files, [home().join(".ssh/x-cert.pub")]);
        assert!(config.global_known_hosts.is_empty());
        assert_eq!(
            config.user_known_hosts,
            ["/home/me/.ssh/known_hosts", "/a b/known_hosts"].map(PathBuf::from)
        );
        assert_eq!(config.env, [("A".to_owned(), "b c".to_owned())]);
        assert_eq!(config.control_path, Some("/tmp/master-2222".into()));
        assert_eq!(Settings::parse(PRINTED).jumps(), ["a", "me@b:99"]);
        assert!(config.openssh_keywords.is_empty());
    }

    #[test]
    fn a_changed_key_is_never_accepted_whatever_is_said() {
        for (said, meant) in [
            ("ask", StrictHostKey::Yes),
            ("true", StrictHostKey::Yes),
            ("yes", StrictHostKey::Yes),
            ("accept-new", StrictHostKey::AcceptNew),
            ("false", StrictHostKey::AcceptNew),
            ("no", StrictHostKey::AcceptNew),
            ("off", StrictHostKey::AcceptNew),
        ] {
            assert_eq!(config(&format!("stricthostkeychecking {said}")).strict_host_key, meant);
        }
    }

    #[test]
    fn silence_keeps_the_defaults() {
        let default = Config::new("web1");
        assert_eq!(
            config("connecttimeout none\nserveraliveinterval 0\nproxycommand none"),
            default
        );
    }

    #[test]
    fn what_only_the_program_does_is_named() {
        for (line, keyword) in [
            ("forwardagent yes", Some("ForwardAgent")),
            ("forwardagent no", None),
            ("verifyhostkeydns true", Some("VerifyHostKeyDNS")),
            ("verifyhostkeydns ask", None),
            ("bindinterface eth1", Some("BindInterface")),
            ("pkcs11provider /lib/x.so", Some("PKCS11Provider")),
            ("revokedhostkeys none", None),
            ("revokedhostkeys ~/.ssh/revoked", Some("RevokedHostKeys")),
            ("preferredauthentications gssapi-with-mic", Some("PreferredAuthentications")),
            ("preferredauthentications gssapi-with-mic,password", None),
        ] {
            let found = config(line).openssh_keywords;
            assert_eq!(found.first().map(String::as_str), keyword, "{line}");
        }
    }

    #[test]
    fn the_agent_is_a_path_a_variable_or_none() {
        assert_eq!(config("identityagent none").identity_agent, None);
        assert_eq!(config("identityagent ~/a.sock").identity_agent, Some(home().join("a.sock")));
        assert_eq!(config("identityagent $HOME").identity_agent, Some(home()));
        assert_eq!(config("identityagent ${HOME}/a").identity_agent, Some(home().join("a")));
        assert_eq!(
            config("identityagent SSH_AUTH_SOCK").identity_agent,
            env::var_os("SSH_AUTH_SOCK").map(PathBuf::from)
        );
    }

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("LC_*", "LC_ALL", true),
            ("LC_*", "LANG", false),
            ("*", "", true),
            ("?A", "BA", true),
            ("*A*", "xAy", true),
            ("A", "AB", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
        let sent = config("sendenv HOM?\nsetenv HOME=x").env;
        assert_eq!(sent, [("HOME".to_owned(), "x".to_owned())], "what is set counts");
        assert_eq!(config("sendenv HOM?").env, [("HOME".to_owned(), env::var("HOME").unwrap())]);
    }

    #[test]
    fn a_number_that_is_none_is_an_error() {
        let mut config = Config::new("web1");
        let error = Settings::parse("connecttimeout soon").apply(&mut config).unwrap_err();
        assert_eq!(error, "connecttimeout soon: expected a number");
    }
}
