//! Values printed as Python's `repr()` prints them.

use std::fmt::{self, Display, Formatter, Write};

use num_bigint::BigInt;

use super::Value;
use crate::cbor::MAX_DEPTH;

/// Prints what Python's `repr()` gives, and a channel as `<Channel 7>`.
///
/// It differs in two points. Which characters of a str are printable follows the version of Unicode
/// that Rust's standard library knows. And ints of more than 14,284 bits (4,300 digits), which
/// Python refuses to print, are printed in hexadecimal, because decimals would take too long.
///
/// What is nested deeper than [`MAX_DEPTH`] is printed as `...`.
impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        value(f, self, MAX_DEPTH)
    }
}

fn value(f: &mut Formatter<'_>, shown: &Value, depth: usize) -> fmt::Result {
    match shown {
        Value::None => f.write_str("None"),
        Value::Bool(true) => f.write_str("True"),
        Value::Bool(false) => f.write_str("False"),
        Value::Int(int) => write!(f, "{int}"),
        Value::BigInt(int) => big_int(f, int),
        Value::Float(float) => f.write_str(&float_text(*float)),
        Value::Complex(real, imaginary) => complex(f, *real, *imaginary),
        Value::Bytes(content) => bytes(f, content),
        Value::Str(content) => text(f, content),
        Value::Channel(id) => write!(f, "<Channel {id}>"),
        Value::Set(members) if members.is_empty() => f.write_str("set()"),
        Value::FrozenSet(members) if members.is_empty() => f.write_str("frozenset()"),
        _ if depth == 0 => f.write_str("..."),
        Value::List(list) => items(f, "[", list, "]", depth),
        Value::Tuple(tuple) if tuple.len() == 1 => items(f, "(", tuple, ",)", depth),
        Value::Tuple(tuple) => items(f, "(", tuple, ")", depth),
        Value::Set(members) => items(f, "{", members, "}", depth),
        Value::FrozenSet(members) => items(f, "frozenset({", members, "})", depth),
        Value::Dict(content) => entries(f, content, depth),
    }
}

fn items(
    f: &mut Formatter<'_>,
    open: &str,
    items: &[Value],
    close: &str,
    depth: usize,
) -> fmt::Result {
    f.write_str(open)?;
    for (index, item) in items.iter().enumerate() {
        if index != 0 {
            f.write_str(", ")?;
        }
        value(f, item, depth - 1)?;
    }
    f.write_str(close)
}

fn entries(f: &mut Formatter<'_>, entries: &[(Value, Value)], depth: usize) -> fmt::Result {
    f.write_str("{")?;
    for (index, (key, content)) in entries.iter().enumerate() {
        if index != 0 {
            f.write_str(", ")?;
        }
        value(f, key, depth - 1)?;
        f.write_str(": ")?;
        value(f, content, depth - 1)?;
    }
    f.write_str("}")
}

fn big_int(f: &mut Formatter<'_>, int: &BigInt) -> fmt::Result {
    // Any int of so many bits has at most 4,300 digits.
    const DECIMAL_BITS: u64 = 14_284;
    if int.bits() <= DECIMAL_BITS { write!(f, "{int}") } else { write!(f, "{int:#x}") }
}

/// Rust's `Debug` has Python's digits and changes to exponents where Python does; it writes the
/// exponents in another way.
fn float_text(float: f64) -> String {
    if float.is_nan() {
        return "nan".into();
    }
    let text = format!("{float:?}");
    match text.split_once('e') {
        None => text,
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
    }
}

fn complex(f: &mut Formatter<'_>, real: f64, imaginary: f64) -> fmt::Result {
    let part = |part| {
        let text = float_text(part);
        text.strip_suffix(".0").map(Into::into).unwrap_or(text)
    };
    if real == 0.0 && real.is_sign_positive() {
        return write!(f, "{}j", part(imaginary));
    }
    let sign = if imaginary.is_nan() || imaginary.is_sign_positive() { "+" } else { "" };
    write!(f, "({}{sign}{}j)", part(real), part(imaginary))
}

fn bytes(f: &mut Formatter<'_>, content: &[u8]) -> fmt::Result {
    let quote = quote(content);
    f.write_char('b')?;
    f.write_char(quote)?;
    for &byte in content {
        match byte {
            b' '..=b'~' => ascii(f, byte.into(), quote)?,
            _ => control(f, byte)?,
        }
    }
    f.write_char(quote)
}

fn text(f: &mut Formatter<'_>, content: &str) -> fmt::Result {
    let quote = quote(content.as_bytes());
    f.write_char(quote)?;
    for c in content.chars() {
        match u32::from(c) {
            0x20..=0x7e => ascii(f, c, quote)?,
            code @ (..=0x1f | 0x7f) => control(f, code as u8)?,
            _ if is_printable(c) => f.write_char(c)?,
            code @ ..=0xff => write!(f, "\\x{code:02x}")?,
            code @ ..=0xffff => write!(f, "\\u{code:04x}")?,
            code => write!(f, "\\U{code:08x}")?,
        }
    }
    f.write_char(quote)
}

fn quote(content: &[u8]) -> char {
    if content.contains(&b'\'') && !content.contains(&b'"') { '"' } else { '\'' }
}

fn ascii(f: &mut Formatter<'_>, c: char, quote: char) -> fmt::Result {
    if c == quote || c == '\\' {
        f.write_char('\\')?;
    }
    f.write_char(c)
}

fn control(f: &mut Formatter<'_>, byte: u8) -> fmt::Result {
    match byte {
        b'\n' => f.write_str("\\n"),
        b'\r' => f.write_str("\\r"),
        b'\t' => f.write_str("\\t"),
        _ => write!(f, "\\x{byte:02x}"),
    }
}

/// What `str.isprintable()` says of a character beyond ASCII.
///
/// The standard library goes by the same categories when it escapes for `Debug`. At the start of a
/// text it also escapes what combines with the character before; hence the one in front.
fn is_printable(c: char) -> bool {
    let text: String = ['a', c].into_iter().collect();
    text.escape_debug().eq(text.chars())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_values_are_cut_off() {
        let mut value = Value::List(Vec::new());
        for _ in 0..2 * MAX_DEPTH {
            value = Value::List(vec![value]);
        }
        let text = format!("{}...{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        assert_eq!(value.to_string(), text);
    }

    #[test]
    fn huge_ints_are_hexadecimal() {
        let digits = |count| BigInt::from(10).pow(count);
        assert_eq!(Value::from(digits(4299)).to_string(), format!("1{}", "0".repeat(4299)));
        assert!(Value::from(-digits(4300)).to_string().starts_with("-0x"));
    }
}
