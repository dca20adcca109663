//! Composing a specification instead of writing its text.

use crate::entry::Entry;
use crate::error::{ErrorKind, Fault, SpecError};
use crate::keys::ENV_PREFIX;
use crate::parse::DELIMITER;
use crate::spec::XSpec;
use crate::words;

/// Composes a specification entry by entry. Nothing is checked before [`build`](Self::build).
///
/// A key set again keeps its place and takes the new value.
///
/// ```
/// use execnet_xspec::XSpec;
///
/// let spec = XSpec::builder()
///     .flag("popen")
///     .words("python", ["sudo", "-u", "a b", "python3"])
///     .set("id", "gw0")
///     .env("LANG", "C")
///     .build()?;
/// assert_eq!(spec.as_str(), "popen//python=sudo -u 'a b' python3//id=gw0//env:LANG=C");
/// # Ok::<(), execnet_xspec::SpecError>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing before `build`"]
pub struct XSpecBuilder {
    pairs: Vec<Pair>,
}

impl XSpecBuilder {
    /// Sets a key that stands alone.
    pub fn flag(self, key: impl Into<String>) -> Self {
        self.put(key.into(), None)
    }

    /// Sets a key and its value, which goes into the text as it is.
    pub fn set(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.put(key.into(), Some(value.into()))
    }

    /// Sets a key that takes shell words (`command`, `ssh`, `python`, `agent`), quoting each word as
    /// needed. Unlike other values, the words may hold `//`.
    ///
    /// ```
    /// let words = ["curl", "http://localhost/"];
    /// let spec = execnet_xspec::XSpec::builder().words("command", words).build()?;
    /// assert_eq!(spec.as_str(), "command=curl http:/''/localhost/''");
    /// assert_eq!(spec.command().unwrap(), words);
    /// # Ok::<(), execnet_xspec::SpecError>(())
    /// ```
    pub fn words<I>(self, key: impl Into<String>, words: I) -> Self
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        self.set(key, words::join(words))
    }

    /// Sets an environment variable: the key `env:NAME`.
    pub fn env(self, name: impl AsRef<str>, value: impl Into<String>) -> Self {
        self.set(format!("{ENV_PREFIX}{}", name.as_ref()), value)
    }

    /// Takes a key out, if it is there.
    pub fn remove(mut self, key: &str) -> Self {
        self.pairs.retain(|pair| pair.key != key);
        self
    }

    /// Joins the entries and checks them as [`XSpec::parse`] does.
    ///
    /// The entries keep the order in which they were first set, with one exception: the text of an
    /// entry that ends in `/` can only stand last, so it is put there.
    ///
    /// # Errors
    ///
    /// A key holds `=` or `//`, a value holds `//`, two entries end in `/`, or the text that results
    /// is one that [`XSpec::parse`] refuses. The error's span counts in that text.
    pub fn build(&self) -> Result<XSpec, SpecError> {
        let (last, others): (Vec<&Pair>, Vec<&Pair>) =
            self.pairs.iter().partition(|pair| pair.ends_in_slash());
        let mut text = String::new();
        let mut previous: Option<&Pair> = None;
        for pair in others.into_iter().chain(last) {
            if let Some(previous) = previous {
                if text.ends_with('/') {
                    let kind = ErrorKind::SlashBeforeDelimiter { key: previous.key.clone() };
                    return Err(Fault::new(text.len() - 1..text.len(), kind).in_text(&text));
                }
                text.push_str(DELIMITER);
            }
            let start = text.len();
            pair.push_to(&mut text);
            pair.check(start).map_err(|fault| fault.in_text(&text))?;
            previous = Some(pair);
        }
        XSpec::parse(&text)
    }

    /// The entries of a specification, whose keys differ from each other already.
    pub(crate) fn from_spec(spec: &XSpec) -> Self {
        let pair = |entry: Entry<'_>| Pair {
            key: entry.key().to_owned(),
            value: entry.value().map(str::to_owned),
        };
        Self { pairs: spec.entries().map(pair).collect() }
    }

    fn put(mut self, key: String, value: Option<String>) -> Self {
        match self.pairs.iter_mut().find(|pair| pair.key == key) {
            Some(pair) => pair.value = value,
            None => self.pairs.push(Pair { key, value }),
        }
        self
    }
}

/// One entry to be.
#[derive(Debug, Clone)]
struct Pair {
    key: String,
    value: Option<String>,
}

impl Pair {
    fn ends_in_slash(&self) -> bool {
        self.value.as_ref().unwrap_or(&self.key).ends_with('/')
    }

    fn push_to(&self, text: &mut String) {
        text.push_str(&self.key);
        if let Some(value) = &self.value {
            text.push('=');
            text.push_str(value);
        }
    }

    /// Refuses what would read back as something else. `start` is where the entry is in the text.
    fn check(&self, start: usize) -> Result<(), Fault> {
        for found in [DELIMITER, "="] {
            if let Some(at) = self.key.find(found) {
                let at = start + at;
                let kind = ErrorKind::KeyHoldsDelimiter { key: self.key.clone(), found };
                return Err(Fault::new(at..at + found.len(), kind));
            }
        }
        if let Some(at) = self.value.as_ref().and_then(|value| value.find(DELIMITER)) {
            let at = start + self.key.len() + 1 + at;
            let kind = ErrorKind::ValueHoldsDelimiter { key: self.key.clone() };
            return Err(Fault::new(at..at + DELIMITER.len(), kind));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(builder: &XSpecBuilder) -> String {
        builder.build().unwrap().to_string()
    }

    fn message(builder: &XSpecBuilder) -> String {
        builder.build().unwrap_err().to_string()
    }

    #[test]
    fn a_key_set_again_keeps_its_place() {
        let builder = XSpec::builder().flag("popen").set("id", "a").set("nice", "1").set("id", "b");
        assert_eq!(text(&builder), "popen//id=b//nice=1");
        assert_eq!(text(&builder.clone().flag("id2").remove("id")), "popen//nice=1//id2");
        assert_eq!(text(&builder.remove("absent")), "popen//id=b//nice=1");
    }

    #[test]
    fn a_final_slash_goes_to_the_end() {
        let builder = XSpec::builder().set("chdir", "/tmp/").flag("popen").set("id", "a");
        assert_eq!(text(&builder), "popen//id=a//chdir=/tmp/");
        let spec = XSpec::parse("popen//chdir=/tmp/").unwrap();
        assert_eq!(spec.with("id", "gw0").unwrap().as_str(), "popen//id=gw0//chdir=/tmp/");
        assert_eq!(
            message(&builder.set("x", "y/")),
            "spec \"popen//id=a//chdir=/tmp/\": bytes 23..24: `chdir` and another entry end in `/`; \
             expected one at most, for the end of the text (`///` is read as `//` and `/`)"
        );
    }

    #[test]
    fn what_would_read_back_differently_is_refused() {
        let popen = XSpec::builder().flag("popen");
        assert_eq!(
            message(&popen.clone().set("chdir", "/a//b")),
            "spec \"popen//chdir=/a//b\": bytes 15..17: the value of `chdir` holds `//`, which \
             would end it; expected a value without (in shell words, write `/''/`)"
        );
        assert_eq!(
            message(&popen.clone().set("a=b", "c")),
            "spec \"popen//a=b=c\": bytes 8..9: key `a=b` holds `=`, which would end it; \
             expected a key without"
        );
        assert_eq!(popen.clone().flag("a//b").build().unwrap_err().span(), 8..10);
        assert_eq!(popen.clone().env("A=B", "c").build().unwrap_err().span(), 12..13);
    }

    #[test]
    fn the_rest_is_checked_as_text_is() {
        let popen = XSpec::builder().flag("popen");
        let nul = ErrorKind::ValueHoldsNul { key: "id".to_owned() };
        assert_eq!(*popen.clone().set("id", "a\0b").build().unwrap_err().kind(), nul);
        assert_eq!(*XSpec::builder().build().unwrap_err().kind(), ErrorKind::Empty);
        assert_eq!(*popen.clone().flag("").build().unwrap_err().kind(), ErrorKind::EmptySegment);
        assert_eq!(
            *popen.clone().env("", "x").build().unwrap_err().kind(),
            ErrorKind::EmptyEnvName
        );
        assert!(popen.clone().set("popen", "x").build().is_err());
        assert!(popen.clone().flag("/x").build().is_err());
        assert!(popen.words("python", [""; 0]).build().is_err());
    }
}
