//! One `key` or `key=value` of a specification.

use std::fmt;
use std::ops::Range;

use crate::parse::{Item, Meaning};

/// One `key` or `key=value` of a specification, as it stands in the text.
///
/// ```
/// use execnet_xspec::XSpec;
///
/// let spec: XSpec = "popen//env:EMPTY=".parse()?;
/// let entries: Vec<_> = spec.entries().map(|entry| (entry.key(), entry.value())).collect();
/// assert_eq!(entries, [("popen", None), ("env:EMPTY", Some(""))]);
/// # Ok::<(), execnet_xspec::SpecError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    text: &'a str,
    item: &'a Item,
}

impl<'a> Entry<'a> {
    pub(crate) fn new(text: &'a str, item: &'a Item) -> Self {
        Self { text, item }
    }

    /// The key.
    pub fn key(&self) -> &'a str {
        self.text.get(self.key_span()).unwrap_or_default()
    }

    /// What stands after the first `=`; `None` for a key that stands alone.
    pub fn value(&self) -> Option<&'a str> {
        self.text.get(self.value_span()?)
    }

    /// Which bytes of the text are the whole entry.
    pub fn span(&self) -> Range<usize> {
        let key = self.key_span();
        key.start..self.value_span().map_or(key.end, |value| value.end)
    }

    /// Which bytes of the text are the key.
    pub fn key_span(&self) -> Range<usize> {
        self.item.key.clone()
    }

    /// Which bytes of the text are the value.
    pub fn value_span(&self) -> Option<Range<usize>> {
        self.item.value.clone()
    }

    /// Whether this crate gives the key a meaning, and so has checked its value.
    pub fn is_known(&self) -> bool {
        self.item.known
    }

    /// What was made of the value.
    pub(crate) fn meaning(&self) -> &'a Meaning {
        &self.item.meaning
    }
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key())
            .field("value", &self.value())
            .field("span", &self.span())
            .finish()
    }
}
