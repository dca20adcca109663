//! What can be wrong with a specification, and where.

use std::convert::Infallible;
use std::ops::Range;

use crate::excerpt::{Excerpt, Shown};
use crate::parse::MAX_LEN;

/// A specification that cannot be used: what is wrong, and which bytes of the text are to blame.
///
/// It prints as one line. [`render`](Self::render) underlines the place.
///
/// Every such error is the fault of whoever wrote the text: nothing has been connected to yet. It
/// holds an excerpt of the text, so it stays small whatever the text was.
///
/// ```
/// use execnet_xspec::XSpec;
///
/// let error = XSpec::parse("popen//popen").unwrap_err();
/// assert_eq!(error.span(), 7..12);
/// assert_eq!(
///     error.to_string(),
///     "spec \"popen//popen\": bytes 7..12: key `popen` given twice (first at 0..5)"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("spec \"{}\": bytes {}..{}: {}", .0.excerpt, .0.span.start, .0.span.end, .0.kind)]
pub struct SpecError(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    excerpt: Excerpt,
    span: Range<usize>,
    kind: ErrorKind,
}

impl SpecError {
    /// What is wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Which bytes of the text are to blame. Both ends are character boundaries within the text;
    /// where something is missing the range is empty and marks the place.
    ///
    /// For an error of [`XSpecBuilder::build`](crate::XSpecBuilder::build) or
    /// [`XSpec::with`](crate::XSpec::with), the text is the one composed from the entries.
    pub fn span(&self) -> Range<usize> {
        self.0.span.clone()
    }

    /// Three lines for a person at a terminal: the message, the text, and carets under the place.
    ///
    /// A long text is cut around the place, and characters that a terminal would act on are
    /// escaped.
    ///
    /// ```
    /// let error = execnet_xspec::XSpec::parse("ssh=me@host//nice=low").unwrap_err();
    /// let expected = [
    ///     "`low` is no niceness; expected an integer from -20 to 19",
    ///     "  ssh=me@host//nice=low",
    ///     "                    ^^^",
    /// ];
    /// assert!(error.render().lines().eq(expected));
    /// ```
    pub fn render(&self) -> String {
        format!("{}\n{}", self.0.kind, self.0.excerpt.underlined())
    }
}

/// So that a function may take `impl TryInto<XSpec, Error: Into<SpecError>>`: a text, or a
/// specification already parsed.
impl From<Infallible> for SpecError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// What is wrong with a specification. Keys and values are given as they stand in the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text is longer than [`MAX_LEN`].
    #[error("{len} bytes are too long; a specification has at most {MAX_LEN}")]
    TooLong {
        /// Bytes found.
        len: usize,
    },
    /// The text is empty.
    #[error(
        "the specification is empty; expected `key` or `key=value`, joined by `//`, such as `popen`"
    )]
    Empty,
    /// Nothing stands before, after or between `//`.
    #[error("nothing stands here; expected `key` or `key=value`, or one `//` less")]
    EmptySegment,
    /// Nothing stands before the `=`.
    #[error("no key before `=`; expected `key=value`")]
    EmptyKey,
    /// A key starts with `_`.
    #[error("key `{}` starts with `_`; expected another first character", Shown(key))]
    KeyStartsWithUnderscore {
        /// The key.
        key: String,
    },
    /// A key starts with `/`, most likely because the value before it ends with one.
    #[error(
        "key `{}` starts with `/`; expected `//` and then a key \
         (a value that ends in `/` can only stand last)",
        Shown(key)
    )]
    KeyStartsWithSlash {
        /// The key.
        key: String,
    },
    /// There is whitespace around a key or within it.
    #[error("key `{}` holds whitespace; expected none around a key or within it", Shown(key))]
    KeyHoldsWhitespace {
        /// The key, whitespace included.
        key: String,
    },
    /// There is a NUL byte in a key.
    #[error("key `{}` holds a NUL byte; expected none anywhere", Shown(key))]
    KeyHoldsNul {
        /// The key.
        key: String,
    },
    /// There is a NUL byte in a value.
    #[error("the value of `{}` holds a NUL byte; expected none anywhere", Shown(key))]
    ValueHoldsNul {
        /// Whose value it is.
        key: String,
    },
    /// A key given to the builder holds what would end it in the text.
    #[error("key `{}` holds `{found}`, which would end it; expected a key without", Shown(key))]
    KeyHoldsDelimiter {
        /// The key.
        key: String,
        /// `=` or `//`.
        found: &'static str,
    },
    /// A value given to the builder holds `//`, which would end it in the text.
    #[error(
        "the value of `{}` holds `//`, which would end it; expected a value without \
         (in shell words, write `/''/`)",
        Shown(key)
    )]
    ValueHoldsDelimiter {
        /// Whose value it is.
        key: String,
    },
    /// Two entries given to the builder end in `/`, and only the last in the text may.
    #[error(
        "`{}` and another entry end in `/`; expected one at most, for the end of the text \
         (`///` is read as `//` and `/`)",
        Shown(key)
    )]
    SlashBeforeDelimiter {
        /// The key of the first such entry.
        key: String,
    },
    /// A key is given twice.
    #[error("key `{}` given twice (first at {}..{})", Shown(key), first.start, first.end)]
    DuplicateKey {
        /// The key.
        key: String,
        /// Where it was given first.
        first: Range<usize>,
    },
    /// A key stands alone that takes a value.
    #[error("`{}` has no value; expected {usage}", Shown(key))]
    MissingValue {
        /// The key.
        key: String,
        /// How to write it.
        usage: &'static str,
    },
    /// Nothing stands after the `=`, or only whitespace or an empty word where a program or host
    /// is to be named.
    #[error("the value of `{}` is empty; expected {usage}", Shown(key))]
    EmptyValue {
        /// The key.
        key: String,
        /// How to write it.
        usage: &'static str,
    },
    /// A value is given to a key that takes none.
    #[error("`{}` takes no value; expected `{}` alone", Shown(key), Shown(key))]
    UnexpectedValue {
        /// The key.
        key: String,
    },
    /// `env:` without the name of a variable.
    #[error("`env:` names no variable; expected `env:NAME=VALUE`")]
    EmptyEnvName,
    /// The value of `nice` is not an integer from -20 to 19.
    #[error("`{}` is no niceness; expected an integer from -20 to 19", Shown(found))]
    InvalidNice {
        /// The value.
        found: String,
    },
    /// The value of `execmodel` is not one that workers have.
    #[error(
        "`{}` is no execution model; expected `thread` or `main_thread_only`{}",
        Shown(found),
        unsupported_note(found)
    )]
    InvalidExecModel {
        /// The value.
        found: String,
    },
    /// A quote is opened and not closed.
    #[error("the value of `{}` has no closing {quote}; expected shell words", Shown(key))]
    UnclosedQuote {
        /// Whose value it is.
        key: String,
        /// `'` or `"`.
        quote: char,
    },
    /// A value of shell words ends in a backslash that escapes nothing.
    #[error("the value of `{}` ends in a lone backslash; expected shell words", Shown(key))]
    TrailingBackslash {
        /// Whose value it is.
        key: String,
    },
    /// No key says which kind of gateway this is.
    #[error(
        "no type of gateway; expected one of {}{}",
        listed(expected),
        mistyped.as_ref().map(|key| format!(" ({key})")).unwrap_or_default()
    )]
    NoType {
        /// The keys that would say it.
        expected: Vec<String>,
        /// The first unknown key that is close to a known one, which is where the error points.
        mistyped: Option<UnknownKey>,
    },
    /// Two keys name a type of gateway.
    #[error(
        "two types of gateway, `{}` and `{}` (at {}..{}); expected one",
        Shown(second),
        Shown(first),
        at.start,
        at.end
    )]
    TwoTypes {
        /// The key that comes first.
        first: String,
        /// Where it is.
        at: Range<usize>,
        /// The other key, which is where the error points.
        second: String,
    },
    /// A key is neither known nor claimed by a custom transport.
    #[error("{0}")]
    UnknownKey(UnknownKey),
}

/// A key that is neither known nor claimed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown key `{}`{}", Shown(key), did_you_mean(suggestion))]
#[non_exhaustive]
pub struct UnknownKey {
    /// The key.
    pub key: String,
    /// The known or claimed key nearest to it, if one is near.
    pub suggestion: Option<String>,
}

/// What went wrong and where, before the text is at hand to take an excerpt of.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) span: Range<usize>,
    pub(crate) kind: ErrorKind,
}

impl Fault {
    pub(crate) fn new(span: Range<usize>, kind: ErrorKind) -> Self {
        Self { span, kind }
    }

    pub(crate) fn in_text(self, text: &str) -> SpecError {
        let excerpt = Excerpt::new(text, self.span.clone());
        SpecError(Box::new(Inner { excerpt, span: self.span, kind: self.kind }))
    }
}

fn did_you_mean(suggestion: &Option<String>) -> String {
    match suggestion {
        Some(near) => format!("; did you mean `{}`?", Shown(near)),
        None => String::new(),
    }
}

fn unsupported_note(execmodel: &str) -> &'static str {
    match execmodel {
        "eventlet" | "gevent" => " (eventlet and gevent are not supported)",
        _ => "",
    }
}

fn listed(keys: &[String]) -> String {
    let quoted: Vec<String> = keys.iter().map(|key| format!("`{}`", Shown(key))).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: ErrorKind) -> SpecError {
        Fault::new(0..1, kind).in_text("a\n\"b")
    }

    #[test]
    fn the_message_is_one_line_whatever_the_text() {
        let message =
            error(ErrorKind::InvalidNice { found: "1\n\u{1b}[2J".to_owned() }).to_string();
        assert_eq!(
            message,
            "spec \"a\\n\\\"b\": bytes 0..1: `1\\n\\u{1b}[2J` is no niceness; \
             expected an integer from -20 to 19"
        );
    }

    #[test]
    fn the_message_is_bounded_whatever_the_key() {
        let message = error(ErrorKind::UnexpectedValue { key: "k".repeat(60_000) }).to_string();
        assert!(message.len() < 300, "{message}");
    }

    #[test]
    fn an_error_is_one_word_wide() {
        assert_eq!(size_of::<SpecError>(), size_of::<usize>());
    }
}
