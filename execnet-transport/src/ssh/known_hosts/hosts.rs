//! The first field of a line: which servers it is about.

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// How a server is called in known_hosts files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// As `web1`, or `[web1]:2222` where the port is not the usual one.
    full: String,
    /// Without the port, where `full` has one.
    host: Option<String>,
}

impl Name {
    const USUAL_PORT: u16 = 22;

    /// The name of a host and a port.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        let host = host.to_lowercase();
        if port == Self::USUAL_PORT {
            Self { full: host, host: None }
        } else {
            Self { full: format!("[{host}]:{port}"), host: Some(host) }
        }
    }

    /// The name that `HostKeyAlias` gives: looked up as it is, whatever the port.
    #[must_use]
    pub fn alias(alias: &str) -> Self {
        Self { full: alias.to_lowercase(), host: None }
    }

    /// The name as it stands in a file.
    #[must_use]
    pub fn full(&self) -> &str {
        &self.full
    }

    /// The name without its port, where it has an unusual one.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hosts {
    /// Lower-case patterns, and whether each is negated.
    Patterns(Vec<(String, bool)>),
    /// One name, hashed so that the file does not tell whom its owner visits.
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
}

impl Hosts {
    /// `None` for what nobody can have meant: an unknown kind of hash, or none of the right length.
    pub(super) fn parse(field: &str) -> Option<Self> {
        let Some(hashed) = field.strip_prefix('|') else {
            let pattern = |pattern: &str| match pattern.strip_prefix('!') {
                Some(pattern) => (pattern.to_lowercase(), true),
                None => (pattern.to_lowercase(), false),
            };
            return Some(Self::Patterns(field.split(',').map(pattern).collect()));
        };
        let (salt, hash) = hashed.strip_prefix("1|")?.split_once('|')?;
        let decode = |text: &str| BASE64.decode(text.as_bytes()).ok();
        let (salt, hash) = (decode(salt)?, decode(hash)?);
        (hash.len() == HASH).then_some(Self::Hashed { salt, hash })
    }

    /// Whether `name` is among them. A negated pattern that matches outweighs all others of its line.
    pub(super) fn contain(&self, name: &str) -> bool {
        match self {
            Self::Hashed { salt, hash } => hashed(salt, name).as_slice() == hash,
            Self::Patterns(patterns) => {
                let mut matching = patterns.iter().filter(|(pattern, _)| matches(pattern, name));
                matching.next().is_some_and(|(_, negated)| !negated)
                    && !matching.any(|(_, negated)| *negated)
            }
        }
    }
}

/// A name as a field of its own, hashed with this salt.
pub(super) fn hashed_field(salt: &[u8], name: &str) -> String {
    format!("|1|{}|{}", BASE64.encode(salt), BASE64.encode(&hashed(salt, name)))
}

/// Bytes of an SHA-1, and of the salt that OpenSSH takes.
pub(super) const HASH: usize = 20;

fn hashed(salt: &[u8], name: &str) -> Vec<u8> {
    // A key of any length will do for an HMAC.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(salt) else { return Vec::new() };
    mac.update(name.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// `*` stands for any characters, `?` for one.
fn matches(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.chars(), name.chars());
    // Where to go on when a later character does not fit: behind the last star, one character further on.
    let mut retry = None;
    loop {
        let mut rest = pattern.clone();
        match (rest.next(), name.clone().next()) {
            (Some('*'), _) => {
                retry = Some((rest.clone(), name.clone()));
                pattern = rest;
            }
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
                pattern = rest;
                name.next();
            }
            (None, None) => return true,
            _ => {
                let Some((after_star, from)) = &mut retry else { return false };
                if from.next().is_none() {
                    return false;
                }
                (pattern, name) = (after_star.clone(), from.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(field: &str, name: &str) -> bool {
        Hosts::parse(field).unwrap().contain(name)
    }

    #[test]
    fn wildcards() {
        for (pattern, name, expected) in [
            ("web1", "web1", true),
            ("web1", "web12", false),
            ("web?", "web1", true),
            ("web?", "web", false),
            ("*", "", true),
            ("*.example.org", "a.b.example.org", true),
            ("*.example.org", "example.org", false),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
            ("10.0.*", "10.0.3.4", true),
            ("[*]:2222", "[web1]:2222", true),
            ("[*]:2222", "[web1]:22", false),
            ("", "web1", false),
        ] {
            assert_eq!(listed(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        assert!(!listed(&"a*".repeat(100), &"a".repeat(5000).replace("aaaaa", "aaaab")[..99]));
        assert!(!listed(&format!("{}b", "*a".repeat(50)), &"a".repeat(2000)));
    }

    #[test]
    fn a_negated_pattern_outweighs_the_others() {
        assert!(listed("*.example.org,!old.example.org", "new.example.org"));
        assert!(!listed("*.example.org,!old.example.org", "old.example.org"));
        assert!(!listed("!old.example.org,*.example.org", "old.example.org"));
        assert!(!listed("!old.example.org", "new.example.org"));
    }

    #[test]
    fn letter_case_does_not_count() {
        assert_eq!(Name::new("Web1", 22).full(), "web1");
        assert!(listed("WEB1", Name::new("web1", 22).full()));
    }

    #[test]
    fn a_name_has_its_port_unless_it_is_the_usual_one() {
        assert_eq!(Name::new("web1", 2222).full(), "[web1]:2222");
        assert_eq!(Name::new("::1", 22).full(), "::1");
        assert_eq!(Name::new("::1", 2222).full(), "[::1]:2222");
    }

    #[test]
    fn hashed_as_ssh_keygen_does() {
        // Written by `ssh-keygen -H` of OpenSSH 9.2.
        let field = "|1|wER6sTwE0xwZ6PtOpbqbSaO8b7s=|FAc8v9brSdL+OsiWA5vUNRHOnP0=";
        assert!(listed(field, "web1"));
        assert!(!listed(field, "[web1]:2222"));
        let field = "|1|GQb14Xd3eifZiCbWH6u4WBV/d4M=|ANwmUxATzWIdyujhPVS1vG/E4BI=";
        assert!(listed(field, "[web1]:2222"));
        assert!(!listed(field, "web1"));
        assert_eq!(
            Hosts::parse(field)
                .map(|hosts| match hosts {
                    Hosts::Hashed { salt, .. } => hashed_field(&salt, "[web1]:2222"),
                    Hosts::Patterns(_) => String::new(),
                })
                .as_deref(),
            Some(field)
        );
    }

    #[test]
    fn hashed_with_a_salt_of_any_length() {
        for length in [0, 1, HASH, 100] {
            let field = hashed_field(&vec![7; length], "web1");
            assert!(listed(&field, "web1"));
            assert!(!listed(&field, "web2"));
        }
    }

    #[test]
    fn broken_hashes_are_no_hosts() {
        let good = hashed_field(b"salt", "web1");
        assert!(Hosts::parse(&good).is_some());
        for bad in ["|", "|1|", "|1||", "|1|c2FsdA==|", "|1|c2FsdA==|c2hvcnQ=", "|1|*|*"] {
            assert_eq!(Hosts::parse(bad), None, "{bad}");
        }
        assert_eq!(Hosts::parse(&good.replacen("|1|", "|2|", 1)), None);
    }
}
