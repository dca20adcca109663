//! Which gateway a specification means, and which of its keys nobody knows.

use std::ops::Range;

use crate::entry::Entry;
use crate::error::{ErrorKind, Fault, SpecError, UnknownKey};
use crate::spec::XSpec;
use crate::suggest::suggestion;

/// A type of gateway, named by one key of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind<'a> {
    /// `popen`: a child process on this machine.
    Popen,
    /// `command=`: a program that ends in an interpreter.
    Command,
    /// `ssh=`: another host, over ssh.
    Ssh,
    /// `vagrant_ssh=`: a Vagrant machine, over ssh.
    VagrantSsh,
    /// `socket=`: a server at an address.
    Socket,
    /// The type that a custom transport goes by: its key.
    Custom(&'a str),
}

const BUILT_IN: [(&str, Kind<'static>); 5] = [
    ("popen", Kind::Popen),
    ("command", Kind::Command),
    ("ssh", Kind::Ssh),
    ("vagrant_ssh", Kind::VagrantSsh),
    ("socket", Kind::Socket),
];

impl XSpec {
    /// Which built-in type of gateway this is.
    ///
    /// # Errors
    ///
    /// As for [`kind_among`](Self::kind_among), of which this is the case without custom types.
    pub fn kind(&self) -> Result<Kind<'_>, SpecError> {
        self.kind_among(&[])
    }

    /// Which type of gateway this is, where the keys in `custom` name types as well.
    ///
    /// Known keys keep their meaning: listing one in `custom` changes nothing.
    ///
    /// # Errors
    ///
    /// [`NoType`](ErrorKind::NoType) if no key names a type, pointing at one that looks mistyped, and [`TwoTypes`](ErrorKind::TwoTypes) if two do.
    ///
    /// ```
    /// use execnet_xspec::{Kind, XSpec};
    ///
    /// let spec = XSpec::parse("docker=web//python=3")?;
    /// assert_eq!(spec.kind_among(&["docker"])?, Kind::Custom("docker"));
    /// assert!(spec.kind().is_err());
    /// # Ok::<(), execnet_xspec::SpecError>(())
    /// ```
    pub fn kind_among(&self, custom: &[&str]) -> Result<Kind<'_>, SpecError> {
        let mut named = self.entries().filter_map(|entry| {
            let custom = || is_claimed(&entry, custom).then(|| Kind::Custom(entry.key()));
            Some((built_in(entry.key()).or_else(custom)?, entry))
        });
        let (kind, first) = named.next().ok_or_else(|| self.no_type(custom))?;
        match named.next() {
            None => Ok(kind),
            Some((_, second)) => Err(self.fault(
                second.key_span(),
                ErrorKind::TwoTypes {
                    first: first.key().to_owned(),
                    at: first.key_span(),
                    second: second.key().to_owned(),
                },
            )),
        }
    }

    /// Refuses the first key that is neither known nor in `claimed`, the keys that custom transports
    /// understand.
    ///
    /// Whoever connects is to ask this first: parsing keeps unknown keys, and a mistyped one would
    /// otherwise be ignored.
    ///
    /// # Errors
    ///
    /// [`UnknownKey`](ErrorKind::UnknownKey), with the nearest known or claimed key.
    ///
    /// ```
    /// let spec = execnet_xspec::XSpec::parse("popen//pyhton=3")?;
    /// let error = spec.refuse_unclaimed(&["docker"]).unwrap_err();
    /// assert_eq!(error.span(), 7..13);
    /// assert!(error.to_string().ends_with("unknown key `pyhton`; did you mean `python`?"));
    /// # Ok::<(), execnet_xspec::SpecError>(())
    /// ```
    pub fn refuse_unclaimed(&self, claimed: &[&str]) -> Result<(), SpecError> {
        match self.unclaimed(claimed).next() {
            None => Ok(()),
            Some((span, unknown)) => Err(self.fault(span, ErrorKind::UnknownKey(unknown))),
        }
    }

    fn no_type(&self, custom: &[&str]) -> SpecError {
        let built_in = BUILT_IN.iter().map(|(key, _)| *key);
        let expected = built_in.chain(custom.iter().copied()).map(str::to_owned).collect();
        // A key that resembles nothing may be the option of a custom transport: no word about it.
        let mut unclaimed = self.unclaimed(custom);
        let (span, mistyped) = match unclaimed.find(|(_, key)| key.suggestion.is_some()) {
            Some((span, key)) => (span, Some(key)),
            None => (0..self.as_str().len(), None),
        };
        self.fault(span, ErrorKind::NoType { expected, mistyped })
    }

    /// The keys that are neither known nor claimed, and where they are.
    fn unclaimed(&self, claimed: &[&str]) -> impl Iterator<Item = (Range<usize>, UnknownKey)> {
        let unclaimed =
            self.entries().filter(|entry| !entry.is_known() && !is_claimed(entry, claimed));
        unclaimed.map(|entry| {
            let suggestion = suggestion(entry.key(), claimed);
            (entry.key_span(), UnknownKey { key: entry.key().to_owned(), suggestion })
        })
    }

    fn fault(&self, span: Range<usize>, kind: ErrorKind) -> SpecError {
        Fault::new(span, kind).in_text(self.as_str())
    }
}

fn built_in(key: &str) -> Option<Kind<'static>> {
    BUILT_IN.iter().find(|(name, _)| *name == key).map(|(_, kind)| *kind)
}

fn is_claimed(entry: &Entry<'_>, claimed: &[&str]) -> bool {
    !entry.is_known() && claimed.contains(&entry.key())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::is_known_key;

    fn spec(text: &str) -> XSpec {
        text.parse().unwrap()
    }

    #[test]
    fn types_are_known_keys() {
        assert!(BUILT_IN.iter().all(|(key, _)| is_known_key(key)));
    }

    #[test]
    fn each_type_is_named_by_its_key() {
        for (text, kind) in [
            ("popen", Kind::Popen),
            ("python=3//popen", Kind::Popen),
            ("command=a b", Kind::Command),
            ("ssh=host", Kind::Ssh),
            ("vagrant_ssh=box", Kind::VagrantSsh),
            ("socket=:8888", Kind::Socket),
            ("socket//installvia=gw0", Kind::Socket),
        ] {
            assert_eq!(spec(text).kind().unwrap(), kind, "{text}");
        }
    }

    #[test]
    fn two_types_are_refused_with_both_places() {
        let error = spec("popen//id=a//ssh=x").kind().unwrap_err();
        assert_eq!(
            error.to_string(),
            "spec \"popen//id=a//ssh=x\": bytes 13..16: \
             two types of gateway, `ssh` and `popen` (at 0..5); expected one"
        );
        let error = spec("docker=x//popen").kind_among(&["docker"]).unwrap_err();
        assert_eq!(error.span(), 10..15);
        assert!(spec("docker=x//lxc=y").kind_among(&["docker", "lxc"]).is_err());
    }

    #[test]
    fn no_type_lists_what_would_be_one() {
        let error = spec("python=3//nice=1").kind_among(&["docker"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "spec \"python=3//nice=1\": bytes 0..16: no type of gateway; expected one of \
             `popen`, `command`, `ssh`, `vagrant_ssh`, `socket`, `docker`"
        );
    }

    #[test]
    fn no_type_points_at_a_typo() {
        let error = spec("python=3//popne").kind().unwrap_err();
        assert_eq!(error.span(), 10..15);
        assert!(
            error.to_string().ends_with("`socket` (unknown key `popne`; did you mean `popen`?)"),
            "{error}"
        );
        let error = spec("mykey//pyhton=3").kind().unwrap_err();
        assert_eq!(error.span(), 7..13);
        let error = spec("mykey").kind().unwrap_err();
        assert!(error.to_string().ends_with("`socket`"), "{error}");
    }

    #[test]
    fn a_known_key_cannot_become_a_type() {
        assert!(spec("nice=1").kind_among(&["nice"]).is_err());
        assert_eq!(spec("nice=1//popen").kind_among(&["nice", "popen"]).unwrap(), Kind::Popen);
    }

    #[test]
    fn claimed_keys_are_accepted_and_suggested() {
        let custom = spec("docker=web//user=me//popen");
        assert!(custom.refuse_unclaimed(&["docker", "user"]).is_ok());
        let error = custom.refuse_unclaimed(&["docker", "users"]).unwrap_err();
        assert_eq!(error.span(), 12..16);
        assert!(error.to_string().ends_with("unknown key `user`; did you mean `users`?"));
        let error = custom.refuse_unclaimed(&[]).unwrap_err();
        assert!(error.to_string().ends_with("unknown key `docker`"), "{error}");
        assert!(spec("popen//env:X=1").refuse_unclaimed(&[]).is_ok());
    }
}
