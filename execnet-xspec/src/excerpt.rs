//! The part of a text that an error points at, cut to a length that fits into a line.

use std::fmt;
use std::ops::Range;

/// How many characters are shown on either side of the marked ones.
const AROUND: usize = 32;
/// How many marked characters are shown.
const MARKED: usize = 64;
/// Stands for what was cut away.
const CUT: char = '…';

/// A piece of text with some of it marked. Bounded, whatever the length of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excerpt {
    before: String,
    marked: String,
    after: String,
}

impl Excerpt {
    pub(crate) fn new(text: &str, span: Range<usize>) -> Self {
        Self {
            before: last_chars(text.get(..span.start).unwrap_or_default(), AROUND),
            after: first_chars(text.get(span.end..).unwrap_or_default(), AROUND),
            marked: first_chars(text.get(span).unwrap_or_default(), MARKED),
        }
    }

    /// Two lines: the text, and carets under the marked part; at least one caret.
    pub(crate) fn underlined(&self) -> String {
        let [before, marked, after] =
            [&self.before, &self.marked, &self.after].map(|part| shown(part));
        let indent = " ".repeat(columns(&before));
        let carets = "^".repeat(columns(&marked).max(1));
        format!("  {before}{marked}{after}\n  {indent}{carets}")
    }
}

/// On one line, as it may stand between double quotes.
impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&self.before, &self.marked, &self.after] {
            for c in part.chars() {
                match c {
                    '"' | '\\' => write!(f, "\\{c}")?,
                    _ => write_shown(f, c)?,
                }
            }
        }
        Ok(())
    }
}

/// Shows text from a specification inside a message: one line, bounded, nothing invisible.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        first_chars(self.0, MARKED).chars().try_for_each(|c| write_shown(f, c))
    }
}

fn first_chars(text: &str, count: usize) -> String {
    match text.char_indices().nth(count) {
        None => text.to_owned(),
        Some((end, _)) => {
            let mut kept = text.get(..end).unwrap_or_default().to_owned();
            kept.push(CUT);
            kept
        }
    }
}

fn last_chars(text: &str, count: usize) -> String {
    match text.char_indices().nth_back(count) {
        None => text.to_owned(),
        Some((dropped, c)) => {
            let kept = text.get(dropped + c.len_utf8()..).unwrap_or_default();
            format!("{CUT}{kept}")
        }
    }
}

fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Writing into a String cannot fail.
        let _ = write_shown(&mut out, c);
    }
    out
}

/// Writes a character as it is, or escaped if a terminal would act on it, hide it or join it to
/// its neighbour: control characters, text-direction marks, combining marks.
fn write_shown(out: &mut impl fmt::Write, c: char) -> fmt::Result {
    match c {
        '"' | '\'' | '\\' => out.write_char(c),
        _ => write!(out, "{}", c.escape_debug()),
    }
}

/// How many terminal columns the text takes: two for each wide character.
fn columns(text: &str) -> usize {
    text.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum()
}

/// The blocks whose characters terminals draw two columns wide: East Asian scripts and pictographs.
/// Good enough to put a caret in its place.
fn is_wide(c: char) -> bool {
    matches!(c,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{a960}'..='\u{a97f}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff01}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f680}'..='\u{1f6ff}'
        | '\u{1f900}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn underlined(text: &str, span: Range<usize>) -> String {
        Excerpt::new(text, span).underlined()
    }

    #[test]
    fn carets_stand_under_the_span() {
        assert_eq!(underlined("popen//popen", 7..12), "  popen//popen\n         ^^^^^");
        assert_eq!(underlined("popen//", 7..7), "  popen//\n         ^");
        assert_eq!(underlined("", 0..0), "  \n  ^");
    }

    #[test]
    fn carets_allow_for_what_is_escaped_or_wide() {
        assert_eq!(underlined("a\tb", 2..3), "  a\\tb\n     ^");
        assert_eq!(underlined("a\tb", 1..2), "  a\\tb\n   ^^");
        assert_eq!(underlined("é=x", 3..4), "  é=x\n    ^");
        assert_eq!(underlined("日本=x", 7..8), "  日本=x\n       ^");
        // A combining mark is escaped: it would otherwise join the letter before it.
        assert_eq!(underlined("e\u{301}x", 3..4), "  e\\u{301}x\n          ^");
        // So is a mark that turns the direction of the text.
        assert_eq!(underlined("\u{202e}x", 3..4), "  \\u{202e}x\n          ^");
    }

    #[test]
    fn quotes_and_backslashes_are_escaped_only_between_quotes() {
        let excerpt = Excerpt::new(r#"a"b'c\d"#, 0..1);
        assert_eq!(excerpt.to_string(), r#"a\"b'c\\d"#);
        assert!(excerpt.underlined().starts_with("  a\"b'c\\d\n"));
    }

    #[test]
    fn long_text_is_cut() {
        let text = format!("{}XY{}", "é".repeat(500), "z".repeat(500));
        let short = Excerpt::new(&text, 1000..1002);
        assert_eq!(short.to_string(), format!("…{}XY{}…", "é".repeat(AROUND), "z".repeat(AROUND)));
        let long = Excerpt::new(&text, 0..text.len());
        assert_eq!(long.to_string(), format!("{}…", "é".repeat(MARKED)));
        // Exactly as long as is shown: nothing is cut.
        let text = format!("{}X{}", "a".repeat(AROUND), "z".repeat(AROUND));
        assert_eq!(Excerpt::new(&text, 32..33).to_string(), text);
    }

    #[test]
    fn spans_off_the_text_do_not_panic() {
        assert_eq!(underlined("é", 1..9), "  \n  ^");
    }
}
