//! The keys this crate knows: the one table that says what each of them takes.

/// Whether this crate gives `key` a meaning. `env:NAME` is known for every `NAME`.
///
/// A custom transport cannot claim a known key: its meaning is settled here.
///
/// ```
/// assert!(execnet_xspec::is_known_key("ssh"));
/// assert!(execnet_xspec::is_known_key("env:HOME"));
/// assert!(!execnet_xspec::is_known_key("docker"));
/// ```
pub fn is_known_key(key: &str) -> bool {
    lookup(key).is_some()
}

/// Every known key except `env:NAME`, which stands for a family of them.
pub fn known_keys() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.name)
}

/// What starts the key of an environment variable.
pub(crate) const ENV_PREFIX: &str = "env:";

/// One known key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) takes: Takes,
    /// How to write it, for messages; with the backticks.
    pub(crate) usage: &'static str,
}

/// What may follow a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// A flag: the key alone.
    Nothing,
    /// Text that is not empty.
    Text,
    /// The key alone, or text that is not empty.
    OptionalText,
    /// Text that may be empty: the value of a variable.
    AnyText,
    /// Shell words, the first of which is not empty.
    Words,
    /// The key alone, or shell words.
    OptionalWords,
    /// Shell words; a first word that is a bare version names that Python.
    Python,
    /// A niceness.
    Nice,
    /// The name of an execution model.
    ExecModel,
}

pub(crate) fn lookup(key: &str) -> Option<&'static Key> {
    if key.starts_with(ENV_PREFIX) {
        return Some(&ENV);
    }
    KEYS.iter().find(|known| known.name == key)
}

const fn key(name: &'static str, takes: Takes, usage: &'static str) -> Key {
    Key { name, takes, usage }
}

static ENV: Key =
    key(ENV_PREFIX, Takes::AnyText, "`env:NAME=VALUE`, or `env:NAME=` for an empty value");

#[rustfmt::skip]
static KEYS: [Key; 24] = [
    // Which gateway.
    key("popen", Takes::Nothing, "`popen`"),
    key("command", Takes::Words, "`command=PROGRAM [ARGUMENT]...`"),
    key("ssh", Takes::Words, "`ssh=[OPTION]... [USER@]HOST`"),
    key("vagrant_ssh", Takes::Text, "`vagrant_ssh=MACHINE`"),
    key("socket", Takes::OptionalText, "`socket=HOST:PORT`, or `socket` beside `installvia=ID`"),
    // By which way.
    key("via", Takes::Text, "`via=ID`"),
    key("installvia", Takes::Text, "`installvia=ID`"),
    key("ssh_config", Takes::Text, "`ssh_config=FILE`"),
    key("ssh_backend", Takes::Text, "`ssh_backend=NAME`"),
    // What runs there.
    key("python", Takes::Python, "`python=VERSION` or `python=PROGRAM [ARGUMENT]...`"),
    key("agent", Takes::OptionalWords, "`agent` or `agent=PROGRAM [ARGUMENT]...`"),
    key("prefork", Takes::Nothing, "`prefork`"),
    key("stock", Takes::Nothing, "`stock`"),
    key("chdir", Takes::Text, "`chdir=DIRECTORY`"),
    key("nice", Takes::Nice, "`nice=NUMBER`"),
    key("id", Takes::Text, "`id=NAME`"),
    key("execmodel", Takes::ExecModel, "`execmodel=thread` or `execmodel=main_thread_only`"),
    key("dont_write_bytecode", Takes::Nothing, "`dont_write_bytecode`"),
    // Who is trusted, on sockets.
    key("token_file", Takes::Text, "`token_file=FILE`"),
    key("tls_ca", Takes::Text, "`tls_ca=FILE`"),
    key("tls_cert", Takes::Text, "`tls_cert=FILE`"),
    key("tls_key", Takes::Text, "`tls_key=FILE`"),
    key("server_name", Takes::Text, "`server_name=NAME`"),
    key("insecure_no_auth", Takes::Nothing, "`insecure_no_auth`"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_usages_begin_with_them() {
        for (at, key) in KEYS.iter().enumerate() {
            assert!(KEYS[..at].iter().all(|other| other.name != key.name), "{} twice", key.name);
            assert!(
                key.usage.starts_with(&format!("`{}", key.name)),
                "{}: {}",
                key.name,
                key.usage
            );
        }
    }

    #[test]
    fn the_readme_explains_every_key() {
        let readme = include_str!("../README.md");
        for name in known_keys().chain(["env:NAME"]) {
            let in_table = readme.lines().any(|line| {
                line.starts_with("| `")
                    && (line.contains(&format!("`{name}`")) || line.contains(&format!("`{name}=")))
            });
            assert!(in_table, "{name}");
        }
    }

    #[test]
    fn every_key_refuses_what_it_does_not_take() {
        let flags = ["popen", "prefork", "stock", "dont_write_bytecode", "insecure_no_auth"];
        let optional = ["agent", "socket"];
        for name in known_keys() {
            let accepts = |text: String| crate::XSpec::parse(&text).is_ok();
            // `installvia` lets `socket` stand alone.
            let beside = if name == "installvia" { "x" } else { "installvia=x" };
            let is_flag = flags.contains(&name);
            assert_eq!(
                accepts(format!("{name}//{beside}")),
                is_flag || optional.contains(&name),
                "{name} alone"
            );
            assert!(!accepts(format!("{name}=")), "{name} with an empty value");
            let sample = match name {
                "nice" => "1",
                "execmodel" => "thread",
                _ => "a",
            };
            assert_eq!(accepts(format!("{name}={sample}")), !is_flag, "{name} with a value");
        }
    }

    #[test]
    fn env_is_a_family() {
        assert!(is_known_key("env:X"));
        assert!(is_known_key("env:"), "so that the empty name is an error, not an unknown key");
        assert!(!is_known_key("env"));
    }
}
