//! TOKENS of ssh_config(5): what `~`, `%` and `${}` stand for in its paths.

use std::env;
use std::path::{Path, PathBuf};

use super::config::{Config, local_user};

/// What `%` and a letter stand for in a path.
pub(super) struct Tokens {
    home: PathBuf,
    values: Vec<(char, String)>,
}

impl Tokens {
    pub(super) fn new(config: &Config) -> Self {
        let home = env::home_dir().unwrap_or_default();
        let us = rustix::system::uname();
        let local = us.nodename().to_string_lossy().into_owned();
        let short = local.split('.').next().unwrap_or_default().to_owned();
        let key = config.host_key_alias.as_ref().unwrap_or(&config.host);
        let values = vec![
            ('%', "%".to_owned()),
            ('d', home.to_string_lossy().into_owned()),
            ('h', config.hostname.clone()),
            ('i', rustix::process::getuid().as_raw().to_string()),
            ('k', key.clone()),
            ('L', short),
            ('l', local),
            ('n', config.host.clone()),
            ('p', config.port.to_string()),
            ('r', config.user.clone()),
            ('u', local_user()),
        ];
        Self { home, values }
    }

    /// A path with `~`, `%` and `${}` replaced. What nobody knows stays as it is.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        let expanded = self.variables(&self.percent(text));
        match expanded.strip_prefix("~/") {
            Some(rest) => self.home.join(rest),
            None => Path::new(&expanded).to_owned(),
        }
    }

    fn percent(&self, text: &str) -> String {
        let mut expanded = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let mut ahead = chars.clone();
            let token = if c == '%' { ahead.next() } else { None };
            match self.values.iter().find(|(letter, _)| Some(*letter) == token) {
                Some((_, value)) => {
                    expanded.push_str(value);
                    chars = ahead;
                }
                None => expanded.push(c),
            }
        }
        expanded
    }

    fn variables(&self, text: &str) -> String {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, name, after)) = variable(rest) {
            expanded.push_str(before);
            expanded.push_str(&env::var(name).unwrap_or_default());
            rest = after;
        }
        expanded + rest
    }
}

/// The first `${NAME}`, with what is around it.
fn variable(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("${")?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_which_host_and_who() {
        let mut config = Config::new("web");
        config.hostname = "web1.example.org".to_owned();
        config.port = 2222;
        config.user = "me".to_owned();
        let home = env::home_dir().unwrap();
        let tokens = Tokens::new(&config);
        for (text, path) in [
            ("/a/%r@%h:%p", "/a/me@web1.example.org:2222"),
            ("/a/%n %k", "/a/web web"),
            ("/a/100%%", "/a/100%"),
            ("/a/%%h", "/a/%h"),
            ("/a/%z%", "/a/%z%"),
            ("${HOME}/a", &format!("{}/a", home.display())),
            ("%d/a", &format!("{}/a", home.display())),
            ("~/a", &format!("{}/a", home.display())),
            ("/a/~/b", "/a/~/b"),
            ("/a/${", "/a/${"),
        ] {
            assert_eq!(tokens.path(text), Path::new(path), "{text}");
        }
        config.host_key_alias = Some("alias".to_owned());
        assert_eq!(Tokens::new(&config).path("/%k"), Path::new("/alias"));
    }
}
