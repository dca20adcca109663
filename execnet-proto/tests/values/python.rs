//! Values printed, compared with a live Python's `repr()`.
//!
//! Without a `python3` on the PATH these tests pass with a message; where the environment says
//! `CI=true`, they fail.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use execnet_proto::Value;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::strategy;

/// Evaluates each line of its input, and prints the `repr()` as a line of JSON.
const REPR: &str = r#"
import json, struct, sys

def F(bits):
    return struct.unpack(">d", bytes.fromhex(bits))[0]

class Channel:
    def __init__(self, number):
        self.number = number
    def __repr__(self):
        return "<Channel %d>" % self.number

if hasattr(sys, "set_int_max_str_digits"):
    sys.set_int_max_str_digits(0)
for line in sys.stdin:
    print(json.dumps(repr(eval(line))))
"#;

/// Prints the version of Unicode, then for each code point whether it is printable (`1`), not
/// printable (`0`), unassigned (`?`), or a surrogate (`-`).
const PRINTABLE: &str = r#"
import sys, unicodedata

print(unicodedata.unidata_version)
for code in range(sys.maxunicode + 1):
    category = unicodedata.category(chr(code))
    sys.stdout.write({"Cn": "?", "Cs": "-"}.get(category, "01"[chr(code).isprintable()]))
"#;

#[test]
fn values_print_as_python_prints_them() {
    let mut runner = TestRunner::deterministic();
    let mut values: Vec<Value> = (0..2000)
        .map(|_| plain(strategy::value().new_tree(&mut runner).unwrap().current()))
        .collect();
    // A NaN with its sign bit set, which the strategy does not make.
    values.extend([Value::Float(-f64::NAN), Value::Complex(-f64::NAN, -f64::NAN)]);
    let lines: String = values.iter().map(|value| expression(value) + "\n").collect();
    let Some(output) = python(Path::new("python3"), REPR, lines) else { return };
    let expected: Vec<String> =
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(expected.len(), values.len());
    for (value, expected) in values.iter().zip(expected) {
        assert_eq!(escape_new(&value.to_string()), escape_new(&expected), "{value:?}");
    }
}

#[test]
fn characters_are_printable_where_python_says_so() {
    let Some(output) = python(Path::new("python3"), PRINTABLE, String::new()) else { return };
    let (version, codes) = output.split_once('\n').unwrap();
    let theirs: Vec<u8> = version.trim().split('.').map(|part| part.parse().unwrap()).collect();
    let (major, minor, patch) = char::UNICODE_VERSION;
    let ours = [major, minor, patch];

    let codes = codes.as_bytes();
    assert_eq!(codes.len(), 0x11_0000);
    for c in '\0'..=char::MAX {
        let shown = Value::from(String::from(c)).to_string();
        let printable = shown.trim_matches(['\'', '"']).chars().eq([c]) || c == '\\';
        let agrees = match codes[u32::from(c) as usize] {
            b'1' => printable || theirs[..] > ours[..] || c == '\'' || c == '"',
            b'0' => !printable,
            b'?' => !printable || ours[..] > theirs[..],
            other => panic!("{other} for {c:?}"),
        };
        assert!(agrees, "{c:?}, Unicode {ours:?} here and {theirs:?} there");
    }
}

/// The value without what Python would merge or reorder: of a set one member, of a dict one entry,
/// or those with different str keys.
pub(crate) fn plain(value: Value) -> Value {
    let all = |items: Vec<Value>| items.into_iter().map(plain).collect::<Vec<_>>();
    let first = |items: Vec<Value>| items.into_iter().take(1).map(plain).collect::<Vec<_>>();
    match value {
        Value::List(items) => Value::List(all(items)),
        Value::Tuple(items) => Value::Tuple(all(items)),
        Value::Set(members) => Value::Set(first(members)),
        Value::FrozenSet(members) => Value::FrozenSet(first(members)),
        Value::Dict(mut entries) => {
            if entries.iter().all(|(key, _)| key.as_str().is_some()) {
                entries.sort_by(|(one, _), (other, _)| one.as_str().cmp(&other.as_str()));
                entries.dedup_by(|(one, _), (other, _)| one == other);
            } else {
                entries.truncate(1);
            }
            Value::Dict(entries.into_iter().map(|(k, v)| (plain(k), plain(v))).collect())
        }
        other => other,
    }
}

/// Python source that makes the value, without any of what is being tested.
pub(crate) fn expression(value: &Value) -> String {
    let float = |float: f64| format!("F('{:016x}')", float.to_bits());
    let hex = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    };
    let items =
        |items: &[Value]| items.iter().map(|item| expression(item) + ",").collect::<String>();
    match value {
        Value::None => "None".into(),
        Value::Bool(value) => if *value { "True" } else { "False" }.into(),
        Value::Int(int) => format!("int('{}{:x}', 16)", sign(*int < 0), int.unsigned_abs()),
        Value::BigInt(int) => format!("int('{int:x}', 16)"),
        Value::Float(value) => float(*value),
        Value::Complex(real, imaginary) => {
            format!("complex({}, {})", float(*real), float(*imaginary))
        }
        Value::Bytes(bytes) => format!("bytes.fromhex('{}')", hex(bytes)),
        Value::Str(text) => format!("bytes.fromhex('{}').decode()", hex(text.as_bytes())),
        Value::List(list) => format!("[{}]", items(list)),
        Value::Tuple(tuple) => format!("tuple([{}])", items(tuple)),
        Value::Set(members) => format!("set([{}])", items(members)),
        Value::FrozenSet(members) => format!("frozenset([{}])", items(members)),
        Value::Dict(entries) => {
            let entry = |(key, value): &(Value, Value)| {
                format!("{}: {}, ", expression(key), expression(value))
            };
            format!("{{{}}}", entries.iter().map(entry).collect::<String>())
        }
        Value::Channel(id) => format!("Channel({id})"),
    }
}

fn sign(negative: bool) -> &'static str {
    if negative { "-" } else { "" }
}

/// Escapes all that is not ASCII: what is unassigned in one version of Unicode is not in another,
/// which [`characters_are_printable_where_python_says_so`] looks at.
fn escape_new(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match u32::from(c) {
            0..=0x7f => escaped.push(c),
            code @ ..=0xff => write!(escaped, "\\x{code:02x}").unwrap(),
            code @ ..=0xffff => write!(escaped, "\\u{code:04x}").unwrap(),
            code => write!(escaped, "\\U{code:08x}").unwrap(),
        }
    }
    escaped
}

/// What a Python program prints, given this input; `None` without a Python.
pub(crate) fn python(interpreter: &Path, program: &str, input: String) -> Option<String> {
    let started = Command::new(interpreter)
        .args(["-c", program])
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "no python3: {error}");
            eprintln!("skipped, no python3: {error}");
            return None;
        }
    };
    let mut stdin = child.stdin.take().unwrap();
    let writer = thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{}", output.status);
    Some(String::from_utf8(output.stdout).unwrap())
}
