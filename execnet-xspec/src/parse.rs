//! From text to checked entries.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::error::{ErrorKind, Fault};
use crate::fields::ExecModel;
use crate::keys::{self, ENV_PREFIX, Key, Takes};
use crate::words::{self, Unfinished};

/// How many bytes a specification may have: 64 KiB, far above any honest use.
pub const MAX_LEN: usize = 64 * 1024;

/// What stands between entries.
pub(crate) const DELIMITER: &str = "//";

/// One entry of a specification: where it is, and what was made of its value.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) key: Range<usize>,
    pub(crate) value: Option<Range<usize>>,
    pub(crate) known: bool,
    pub(crate) meaning: Meaning,
}

/// A value that is more than text.
#[derive(Debug)]
pub(crate) enum Meaning {
    /// A flag, plain text, or anything after an unknown key.
    Text,
    Words(Vec<String>),
    Nice(i32),
    ExecModel(ExecModel),
}

/// Splits `text` at `//` and each part at its first `=`, and checks what known keys are given.
pub(crate) fn parse(text: &str) -> Result<Vec<Item>, Fault> {
    if text.len() > MAX_LEN {
        let over = floor_char_boundary(text, MAX_LEN)..text.len();
        return Err(Fault::new(over, ErrorKind::TooLong { len: text.len() }));
    }
    if text.is_empty() {
        return Err(Fault::new(0..0, ErrorKind::Empty));
    }
    let mut items = Vec::new();
    let mut first_at = BTreeMap::new();
    let mut start = 0;
    for segment in text.split(DELIMITER) {
        let (key, value) = match segment.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (segment, None),
        };
        let key_at = start..start + key.len();
        let value_at = value.map(|value| key_at.end + 1..key_at.end + 1 + value.len());
        start += segment.len() + DELIMITER.len();

        check_key(key, value.is_some(), key_at.start)?;
        if let Some(first) = first_at.insert(key, key_at.clone()) {
            return Err(Fault::new(key_at, ErrorKind::DuplicateKey { key: key.to_owned(), first }));
        }
        let known = keys::lookup(key);
        let entry = Pair { key, key_at: &key_at, value, value_at: &value_at };
        let meaning = entry.meaning(known)?;
        items.push(Item { known: known.is_some(), meaning, key: key_at, value: value_at });
    }
    check_socket(&first_at, &items)?;
    Ok(items)
}

/// What every key must be, known or not. `at` is where it starts.
fn check_key(key: &str, has_value: bool, at: usize) -> Result<(), Fault> {
    let fault = |span: Range<usize>, kind| Err(Fault::new(at + span.start..at + span.end, kind));
    let Some(first) = key.chars().next() else {
        return match has_value {
            true => fault(0..1, ErrorKind::EmptyKey),
            false => fault(0..0, ErrorKind::EmptySegment),
        };
    };
    let key = key.to_owned();
    if let Some(nul) = key.find('\0') {
        return fault(nul..nul + 1, ErrorKind::KeyHoldsNul { key });
    }
    if let Some((space, c)) = key.char_indices().find(|(_, c)| c.is_whitespace()) {
        return fault(space..space + c.len_utf8(), ErrorKind::KeyHoldsWhitespace { key });
    }
    match first {
        '_' => fault(0..1, ErrorKind::KeyStartsWithUnderscore { key }),
        '/' => fault(0..1, ErrorKind::KeyStartsWithSlash { key }),
        _ => Ok(()),
    }
}

/// `socket` may do without an address only where `installvia` says where the server will be.
fn check_socket(first_at: &BTreeMap<&str, Range<usize>>, items: &[Item]) -> Result<(), Fault> {
    let Some(at) = first_at.get("socket") else { return Ok(()) };
    let has_address = items.iter().any(|item| item.key == *at && item.value.is_some());
    if has_address || first_at.contains_key("installvia") {
        return Ok(());
    }
    let usage = keys::lookup("socket").map_or("", |key| key.usage);
    Err(Fault::new(at.clone(), ErrorKind::MissingValue { key: "socket".to_owned(), usage }))
}

/// One segment of the text, cut in two.
struct Pair<'a> {
    key: &'a str,
    key_at: &'a Range<usize>,
    value: Option<&'a str>,
    value_at: &'a Option<Range<usize>>,
}

impl Pair<'_> {
    fn meaning(&self, known: Option<&Key>) -> Result<Meaning, Fault> {
        if let Some(nul) = self.value.and_then(|value| value.find('\0')) {
            return Err(self.in_value(nul..nul + 1, ErrorKind::ValueHoldsNul { key: self.key() }));
        }
        let Some(known) = known else { return Ok(Meaning::Text) };
        if self.key == ENV_PREFIX {
            return Err(Fault::new(self.key_at.clone(), ErrorKind::EmptyEnvName));
        }
        let Some(value) = self.value else {
            return match known.takes {
                Takes::Nothing | Takes::OptionalText | Takes::OptionalWords => Ok(Meaning::Text),
                _ => Err(Fault::new(
                    self.key_at.clone(),
                    ErrorKind::MissingValue { key: self.key(), usage: known.usage },
                )),
            };
        };
        match known.takes {
            Takes::Nothing => Err(self.whole_value(ErrorKind::UnexpectedValue { key: self.key() })),
            Takes::AnyText => Ok(Meaning::Text),
            _ if value.is_empty() => Err(self.empty_value(known)),
            Takes::Text | Takes::OptionalText => Ok(Meaning::Text),
            Takes::Words | Takes::OptionalWords => self.words(known, value).map(Meaning::Words),
            Takes::Python => self.words(known, value).map(name_python).map(Meaning::Words),
            Takes::Nice => match value.parse() {
                Ok(nice @ -20..=19) => Ok(Meaning::Nice(nice)),
                _ => Err(self.whole_value(ErrorKind::InvalidNice { found: value.to_owned() })),
            },
            Takes::ExecModel => match ExecModel::from_name(value) {
                Some(model) => Ok(Meaning::ExecModel(model)),
                None => {
                    Err(self.whole_value(ErrorKind::InvalidExecModel { found: value.to_owned() }))
                }
            },
        }
    }

    fn words(&self, known: &Key, value: &str) -> Result<Vec<String>, Fault> {
        let words = words::split(value).map_err(|Unfinished { span, opened_by }| {
            let key = self.key();
            self.in_value(
                span,
                match opened_by {
                    '\\' => ErrorKind::TrailingBackslash { key },
                    quote => ErrorKind::UnclosedQuote { key, quote },
                },
            )
        })?;
        match words.first() {
            Some(first) if !first.is_empty() => Ok(words),
            _ => Err(self.empty_value(known)),
        }
    }

    fn key(&self) -> String {
        self.key.to_owned()
    }

    fn empty_value(&self, known: &Key) -> Fault {
        self.whole_value(ErrorKind::EmptyValue { key: self.key(), usage: known.usage })
    }

    fn whole_value(&self, kind: ErrorKind) -> Fault {
        self.in_value(0..self.value.map_or(0, str::len), kind)
    }

    /// A fault at `span` of the value.
    fn in_value(&self, span: Range<usize>, kind: ErrorKind) -> Fault {
        let start = self.value_at.as_ref().map_or(self.key_at.end, |value| value.start);
        Fault::new(start + span.start..start + span.end, kind)
    }
}

/// A bare version as the first word stands for the Python of that version: `3.11` is `python3.11`.
fn name_python(mut words: Vec<String>) -> Vec<String> {
    if let Some(program) = words.first_mut().filter(|word| is_version(word)) {
        program.insert_str(0, "python");
    }
    words
}

/// `3`, `3.11`, `3.13t`: numbers joined by dots, and perhaps the `t` of a free-threaded build.
fn is_version(word: &str) -> bool {
    let numbers = word.strip_suffix('t').unwrap_or(word);
    numbers.split('.').all(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_from_programs() {
        for version in ["3", "3.11", "3.13t", "2.7", "3.14.1", "310"] {
            assert!(is_version(version), "{version}");
        }
        for program in ["", "t", ".", "3.", ".3", "3..1", "python3", "3.11tt", "./3", "٣", "3.13a"]
        {
            assert!(!is_version(program), "{program}");
        }
    }

    #[test]
    fn the_length_limit_is_exact() {
        let text = format!("popen//env:A={}", "x".repeat(MAX_LEN - 13));
        assert_eq!(text.len(), MAX_LEN);
        assert!(parse(&text).is_ok());
        let fault = parse(&format!("{text}x")).unwrap_err();
        assert_eq!(fault.kind, ErrorKind::TooLong { len: MAX_LEN + 1 });
        assert_eq!(fault.span, MAX_LEN..MAX_LEN + 1);
    }

    #[test]
    fn the_length_limit_does_not_cut_a_character() {
        let text = format!("{}é", "x".repeat(MAX_LEN - 1));
        assert_eq!(parse(&text).unwrap_err().span, MAX_LEN - 1..MAX_LEN + 1);
    }

    #[test]
    fn thousands_of_keys_are_told_apart() {
        let keys: Vec<String> = (0..9_000).map(|n| format!("k{n}")).collect();
        assert_eq!(parse(&keys.join(DELIMITER)).unwrap().len(), keys.len());
    }
}
