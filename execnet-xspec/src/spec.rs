//! `XSpec`: a specification that has been read.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use crate::builder::XSpecBuilder;
use crate::entry::Entry;
use crate::error::SpecError;
use crate::parse::{self, Item};

/// A gateway specification: what to connect to, by which way, and what to set up there.
///
/// It prints as the text it was read from, byte for byte, and that text alone decides equality and
/// hash. A clone shares everything with the original and costs one reference count.
///
/// Every known key has a method that gives its value, checked and typed when the text was read.
/// Unknown keys are kept for [custom transports](XSpec::refuse_unclaimed).
///
/// ```
/// use execnet_xspec::{Kind, XSpec};
///
/// let spec: XSpec = "ssh=-p 2222 me@host//python=3.11//nice=5//env:LANG=C".parse()?;
/// assert_eq!(spec.kind()?, Kind::Ssh);
/// assert_eq!(spec.ssh().unwrap(), ["-p", "2222", "me@host"]);
/// assert_eq!(spec.python().unwrap(), ["python3.11"]);
/// assert_eq!(spec.nice(), Some(5));
/// assert_eq!(spec.env().collect::<Vec<_>>(), [("LANG", "C")]);
/// # Ok::<(), execnet_xspec::SpecError>(())
/// ```
#[derive(Clone)]
pub struct XSpec(Arc<Parsed>);

struct Parsed {
    text: Box<str>,
    items: Vec<Item>,
}

impl XSpec {
    /// Reads a specification.
    ///
    /// # Errors
    ///
    /// The text breaks the grammar, is longer than [`MAX_LEN`](crate::MAX_LEN), or gives a known
    /// key what it does not take. Which gateway is meant, and whether every key is known, is asked
    /// later: [`kind`](Self::kind), [`refuse_unclaimed`](Self::refuse_unclaimed).
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let items = parse::parse(text).map_err(|fault| fault.in_text(text))?;
        Ok(Self(Arc::new(Parsed { text: text.into(), items })))
    }

    /// An empty builder, to compose a specification entry by entry.
    pub fn builder() -> XSpecBuilder {
        XSpecBuilder::default()
    }

    /// A builder that holds the entries of this specification.
    pub fn to_builder(&self) -> XSpecBuilder {
        XSpecBuilder::from_spec(self)
    }

    /// The same specification with `key=value` in place of what it had under `key`, if anything.
    ///
    /// A new entry comes last, or before a last entry that ends in `/`, which can stand nowhere
    /// else.
    ///
    /// # Errors
    ///
    /// As for [`XSpecBuilder::build`].
    ///
    /// ```
    /// let spec = execnet_xspec::XSpec::parse("popen//chdir=/tmp")?;
    /// assert_eq!(spec.with("id", "gw0")?.as_str(), "popen//chdir=/tmp//id=gw0");
    /// assert_eq!(spec.with("chdir", "/srv")?.as_str(), "popen//chdir=/srv");
    /// # Ok::<(), execnet_xspec::SpecError>(())
    /// ```
    pub fn with(&self, key: &str, value: &str) -> Result<Self, SpecError> {
        self.to_builder().set(key, value).build()
    }

    /// The text it was read from.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The entries in the order of the text, of which there is at least one.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = Entry<'_>> + ExactSizeIterator {
        self.0.items.iter().map(|item| Entry::new(&self.0.text, item))
    }

    /// The entry under `key`, known or not. It may stand alone, so its value is an option.
    pub fn entry(&self, key: &str) -> Option<Entry<'_>> {
        self.entries().find(|entry| entry.key() == key)
    }

    /// Whether `key` is given, with a value or without.
    pub fn contains(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// The value under `key`; `None` if the key is absent or stands alone.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.entry(key)?.value()
    }
}

impl FromStr for XSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for XSpec {
    type Error = SpecError;

    fn try_from(text: &str) -> Result<Self, SpecError> {
        Self::parse(text)
    }
}

impl TryFrom<&String> for XSpec {
    type Error = SpecError;

    fn try_from(text: &String) -> Result<Self, SpecError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for XSpec {
    type Error = SpecError;

    fn try_from(text: String) -> Result<Self, SpecError> {
        Self::parse(&text)
    }
}

impl From<&Self> for XSpec {
    fn from(spec: &Self) -> Self {
        spec.clone()
    }
}

impl AsRef<str> for XSpec {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for XSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for XSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("XSpec").field(&self.as_str()).finish()
    }
}

impl PartialEq for XSpec {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for XSpec {}

impl Hash for XSpec {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn spec(text: &str) -> XSpec {
        text.parse().unwrap()
    }

    #[test]
    fn prints_as_it_was_written() {
        let text = "popen//python='a b'  c//env:A=ü=\t//x=";
        assert_eq!(spec(text).to_string(), text);
        assert_eq!(format!("{:?}", spec("popen//x='\"\n")), r#"XSpec("popen//x='\"\n")"#);
        assert_eq!(format!("[{:>7}]", spec("popen")), "[  popen]");
    }

    #[test]
    fn the_text_alone_decides_equality() {
        assert_eq!(spec("popen//nice=5"), spec("popen//nice=5"));
        assert_ne!(spec("popen//nice=5"), spec("popen//nice=+5"), "same meaning, other text");
        assert_ne!(spec("popen//nice=5"), spec("nice=5//popen"), "same entries, other text");
        let set: HashSet<XSpec> = ["popen", "popen", "popen//id=a"].map(spec).into();
        assert_eq!(set.len(), 2);
        let hasher = std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default();
        let hash = |text: &str| std::hash::BuildHasher::hash_one(&hasher, spec(text));
        assert_eq!(hash("popen"), hash("popen"));
        assert_ne!(hash("popen"), hash("popen//id=a"));
    }

    #[test]
    fn a_clone_shares_the_text() {
        let original = spec("popen");
        assert!(std::ptr::eq(original.as_str(), original.clone().as_str()));
    }

    #[test]
    fn entries_say_where_they_are() {
        let spec = spec("popen//é=a=b//env:A=//flag");
        let entries: Vec<_> = spec
            .entries()
            .map(|e| (e.key(), e.value(), e.span(), e.key_span(), e.value_span(), e.is_known()))
            .collect();
        assert_eq!(
            entries,
            [
                ("popen", None, 0..5, 0..5, None, true),
                ("é", Some("a=b"), 7..13, 7..9, Some(10..13), false),
                ("env:A", Some(""), 15..21, 15..20, Some(21..21), true),
                ("flag", None, 23..27, 23..27, None, false),
            ]
        );
    }

    #[test]
    fn a_key_may_be_absent_alone_or_valued() {
        let spec = spec("flag//x=1");
        assert!(spec.entry("flag").unwrap().value().is_none());
        assert_eq!((spec.value("flag"), spec.contains("flag")), (None, true));
        assert_eq!((spec.value("x"), spec.contains("x")), (Some("1"), true));
        assert_eq!((spec.value("y"), spec.contains("y")), (None, false));
    }

    #[test]
    fn a_function_can_take_text_or_spec() {
        fn text_of<S: TryInto<XSpec, Error: Into<SpecError>>>(
            spec: S,
        ) -> Result<String, SpecError> {
            spec.try_into().map(|spec| spec.to_string()).map_err(Into::into)
        }
        let (owned, parsed) = ("popen".to_owned(), spec("popen"));
        assert_eq!(text_of("popen").unwrap(), "popen");
        assert_eq!(text_of(&owned).unwrap(), "popen");
        assert_eq!(text_of(owned).unwrap(), "popen");
        assert_eq!(text_of(&parsed).unwrap(), "popen");
        assert_eq!(text_of(parsed).unwrap(), "popen");
        assert_eq!(*text_of("").unwrap_err().kind(), crate::ErrorKind::Empty);
    }

    #[test]
    fn can_be_shared_between_threads() {
        fn check<T: Send + Sync + 'static>() {}
        check::<XSpec>();
        check::<SpecError>();
    }
}
