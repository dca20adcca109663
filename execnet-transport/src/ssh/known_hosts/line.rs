//! One line of a known_hosts file.

use data_encoding::BASE64;

use super::hosts::Hosts;

/// What a line says about its hosts' key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// The hosts have it.
    Plain,
    /// `@cert-authority`: it signs the certificates of these hosts.
    CertAuthority,
    /// `@revoked`: whoever shows it is not to be trusted.
    Revoked,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) marker: Marker,
    pub(super) hosts: Hosts,
    /// The key's type, such as `ssh-ed25519`.
    pub(super) key_type: String,
    /// The key as it goes over the wire.
    pub(super) key: Vec<u8>,
}

impl Line {
    /// `Ok(None)` for a comment or an empty line.
    ///
    /// # Errors
    ///
    /// The line is none of known_hosts, such as one with a key of SSH protocol 1.
    pub(super) fn parse(line: &str) -> Result<Option<Self>, Unreadable> {
        let mut fields = line.split_ascii_whitespace();
        let Some(mut first) = fields.next().filter(|first| !first.starts_with('#')) else {
            return Ok(None);
        };
        let marker = match first {
            "@cert-authority" => Marker::CertAuthority,
            "@revoked" => Marker::Revoked,
            other if other.starts_with('@') => return Err(Unreadable),
            _ => Marker::Plain,
        };
        if marker != Marker::Plain {
            first = fields.next().ok_or(Unreadable)?;
        }
        let hosts = Hosts::parse(first).ok_or(Unreadable)?;
        let key_type = fields.next().ok_or(Unreadable)?.to_owned();
        let key = fields.next().and_then(|key| BASE64.decode(key.as_bytes()).ok());
        // What follows is a comment.
        let key = key.filter(|key| type_of(key) == Some(&*key_type)).ok_or(Unreadable)?;
        Ok(Some(Self { marker, hosts, key_type, key }))
    }
}

/// The line is not of the format.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// The type that a key in wire format begins with.
pub(super) fn type_of(key: &[u8]) -> Option<&str> {
    let (length, rest) = key.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    std::str::from_utf8(rest.get(..length)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIPBnwF9xuEjijc3DHf7/D1HCHhKAbAKN/KzpZX4DuI0y";

    fn marker(line: &str) -> Option<Marker> {
        Line::parse(line).unwrap().map(|line| line.marker)
    }

    #[test]
    fn fields() {
        let line = Line::parse(&format!("  web1,web2\tssh-ed25519  {KEY} a comment\r")).unwrap();
        let line = line.unwrap();
        assert_eq!(line.marker, Marker::Plain);
        assert_eq!(line.key_type, "ssh-ed25519");
        assert_eq!(type_of(&line.key), Some("ssh-ed25519"));
        assert!(line.hosts.contain("web2"));
    }

    #[test]
    fn markers() {
        let with = |marker| format!("{marker} * ssh-ed25519 {KEY}");
        assert_eq!(marker(&with("@revoked")), Some(Marker::Revoked));
        assert_eq!(marker(&with("@cert-authority")), Some(Marker::CertAuthority));
        assert_eq!(Line::parse(&with("@unheard-of")), Err(Unreadable));
        assert_eq!(Line::parse("@revoked"), Err(Unreadable));
    }

    #[test]
    fn comments_say_nothing() {
        for line in ["", " \t", "# web1 ssh-ed25519", "  #", "\r"] {
            assert_eq!(Line::parse(line), Ok(None), "{line:?}");
        }
    }

    #[test]
    fn other_lines_are_unreadable() {
        for line in [
            "web1",
            "web1 ssh-ed25519",
            "web1 ssh-ed25519 ====",
            // The key of a type that the line does not name.
            &format!("web1 ssh-rsa {KEY}"),
            // The bits, exponent and modulus of protocol 1.
            "web1 1024 35 123456789",
            "|1|x|y ssh-ed25519 AAAA",
        ] {
            assert_eq!(Line::parse(line), Err(Unreadable), "{line}");
        }
    }
}
