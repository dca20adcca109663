//! Shell words: splitting a value as `sh` does, and joining words so that they split the same.
//!
//! Quotes and backslashes mean what POSIX gives them. Nothing is expanded and no character is an
//! operator: `$`, `*`, `;`, `#` and their like stand for themselves.

use std::ops::Range;
use std::str::CharIndices;

/// Splits `text` at unquoted spaces, tabs and newlines.
pub(crate) fn split(text: &str) -> Result<Vec<String>, Unfinished> {
    let mut words = Vec::new();
    // `Some("")` is a word already: quotes around nothing make an empty word.
    let mut word: Option<String> = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\\' => match chars.next() {
                // A backslash before a newline continues the line: both vanish.
                Some((_, '\n')) => {}
                Some((_, escaped)) => word.get_or_insert_default().push(escaped),
                None => return Err(Unfinished { span: at..text.len(), opened_by: c }),
            },
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                let closed = if c == '"' {
                    double_quoted(&mut chars, word)
                } else {
                    single_quoted(&mut chars, word)
                };
                if !closed {
                    return Err(Unfinished { span: at..text.len(), opened_by: c });
                }
            }
            plain => word.get_or_insert_default().push(plain),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Joins `words` so that [`split`] gives them back.
///
/// The result holds no `//` and does not end in `/`, so it can stand anywhere in a specification:
/// two quotes around nothing go between the slashes.
pub(crate) fn join<I>(words: I) -> String
where
    I: IntoIterator<Item: AsRef<str>>,
{
    let mut text = String::new();
    for (n, word) in words.into_iter().enumerate() {
        if n > 0 {
            text.push(' ');
        }
        push_quoted(&mut text, word.as_ref());
    }
    text
}

/// A quote or backslash that the text ends without finishing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unfinished {
    /// From the character that opened to the end of the text.
    pub(crate) span: Range<usize>,
    /// `'`, `"` or `\`.
    pub(crate) opened_by: char,
}

/// Reads up to the closing quote; `false` when there is none.
fn single_quoted(chars: &mut CharIndices<'_>, word: &mut String) -> bool {
    for (_, c) in chars {
        if c == '\'' {
            return true;
        }
        word.push(c);
    }
    false
}

/// Reads up to the closing quote; `false` when there is none.
fn double_quoted(chars: &mut CharIndices<'_>, word: &mut String) -> bool {
    while let Some((_, c)) = chars.next() {
        match c {
            '"' => return true,
            '\\' => match chars.next() {
                Some((_, '\n')) => {}
                Some((_, escaped @ ('$' | '`' | '"' | '\\'))) => word.push(escaped),
                // Before any other character the backslash stands for itself.
                Some((_, other)) => word.extend(['\\', other]),
                None => return false,
            },
            plain => word.push(plain),
        }
    }
    false
}

fn push_quoted(text: &mut String, word: &str) {
    let quoted = word.is_empty() || word.contains([' ', '\t', '\n', '\'', '"', '\\']);
    if quoted {
        text.push('\'');
    }
    let mut previous = None;
    for c in word.chars() {
        match (previous, c) {
            // Close, an escaped quote, open again.
            (_, '\'') => text.push_str(r"'\''"),
            // `''` is nothing at all, inside single quotes (close, open) as outside of them.
            (Some('/'), '/') => text.push_str("''/"),
            _ => text.push(c),
        }
        previous = Some(c);
    }
    if quoted {
        text.push('\'');
    } else if word.ends_with('/') {
        text.push_str("''");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_like_sh() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            (" \t\n ", &[]),
            ("python3", &["python3"]),
            ("  sudo  -u x\tpython3 ", &["sudo", "-u", "x", "python3"]),
            ("'a b' c", &["a b", "c"]),
            ("a'b c'd", &["ab cd"]),
            ("''", &[""]),
            ("a '' b", &["a", "", "b"]),
            (r"a\ b", &["a b"]),
            (r"\'", &["'"]),
            ("a\\\nb", &["ab"]),
            ("\\\n", &[]),
            (r"'a\b'", &[r"a\b"]),
            (r#""a\"b\\c\$d\`e""#, &[r#"a"b\c$d`e"#]),
            (r#""a\nb""#, &[r"a\nb"]),
            ("\"a\\\nb\"", &["ab"]),
            (r#""it's""#, &["it's"]),
            (r#"'"'"#, &["\""]),
            ("$HOME *.py #x ;y", &["$HOME", "*.py", "#x", ";y"]),
            ("/usr/''/bin", &["/usr//bin"]),
            ("héllo '日 本'", &["héllo", "日 本"]),
            ("a\u{a0}b", &["a\u{a0}b"]),
        ];
        for (text, words) in table {
            assert_eq!(split(text).unwrap(), *words, "{text:?}");
        }
    }

    #[test]
    fn says_where_the_unfinished_began() {
        let table = [
            ("'", 0, '\''),
            ("é 'b c", 3, '\''),
            ("a \"b", 2, '"'),
            (r#"a "b\""#, 2, '"'),
            (r#""\"#, 0, '"'),
            (r"ab\", 2, '\\'),
            (r#"'a'"b"'"#, 6, '\''),
        ];
        for (text, start, opened_by) in table {
            let expected = Unfinished { span: start..text.len(), opened_by };
            assert_eq!(split(text).unwrap_err(), expected, "{text:?}");
        }
    }

    #[test]
    fn joins_legibly() {
        let table: &[(&[&str], &str)] = &[
            (&[], ""),
            (&["sudo", "-u", "x", "python3"], "sudo -u x python3"),
            (&["a b"], "'a b'"),
            (&["it's"], r"'it'\''s'"),
            (&["", ""], "'' ''"),
            (&["http://x/"], "http:/''/x/''"),
            (&["a // b/"], "'a /''/ b/'"),
            (&["///"], "/''/''/''"),
        ];
        for (words, text) in table {
            assert_eq!(join(*words), *text);
            assert_eq!(split(text).unwrap(), *words, "{text}");
        }
    }
}
