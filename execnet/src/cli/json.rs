//! Values as JSON and back, where JSON has no word for them with words of our own.
//!
//! Not by way of `serde_json::Value`: that one keeps long ints and the order of keys only with features which change it for
//! everybody who is built into the same program.

use std::borrow::Cow;
use std::{fmt, io};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use execnet::{BigInt, Value};
use execnet_proto::cbor::MAX_DEPTH;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;

/// A value as JSON:
///
/// | Python | JSON |
/// |---|---|
/// | bytes | `{"$bytes": "base64"}` |
/// | tuple, set, frozenset | array |
/// | nan, inf, -inf | `{"$float": "nan"}`, `"inf"`, `"-inf"` |
/// | complex | `{"$complex": [real, imag]}` |
/// | dict with keys that are not str | `{"$map": [[key, value], …]}` |
/// | channel | `{"$channel": number}` |
pub(super) struct AsJson<'a>(pub(super) &'a Value);

impl Serialize for AsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::None => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::BigInt(value) => RawValue::from_string(value.to_string())
                .map_err(S::Error::custom)?
                .serialize(serializer),
            Value::Float(value) => match unwritable(*value) {
                None => serializer.serialize_f64(*value),
                Some(name) => serializer.collect_map([("$float", name)]),
            },
            Value::Complex(re, im) => {
                let parts = [Value::Float(*re), Value::Float(*im)];
                serializer.collect_map([("$complex", parts.each_ref().map(AsJson))])
            }
            Value::Bytes(bytes) => serializer.collect_map([("$bytes", STANDARD.encode(bytes))]),
            Value::Str(text) => serializer.serialize_str(text),
            Value::List(items)
            | Value::Tuple(items)
            | Value::Set(items)
            | Value::FrozenSet(items) => serializer.collect_seq(items.iter().map(AsJson)),
            Value::Dict(entries) if is_object(entries) => serializer
                .collect_map(entries.iter().map(|(key, value)| (AsJson(key), AsJson(value)))),
            Value::Dict(entries) => {
                let pairs: Vec<_> =
                    entries.iter().map(|(key, value)| (AsJson(key), AsJson(value))).collect();
                serializer.collect_map([("$map", pairs)])
            }
            Value::Channel(id) => serializer.collect_map([("$channel", id.get())]),
        }
    }
}

/// Whether a dict can be an object. One with a single key of ours would read as something else.
fn is_object(entries: &[(Value, Value)]) -> bool {
    match entries {
        [(Value::Str(key), _)] => !key.starts_with('$'),
        entries => entries.iter().all(|(key, _)| key.as_str().is_some()),
    }
}

/// The name of a float that JSON cannot write.
fn unwritable(value: f64) -> Option<&'static str> {
    match value {
        _ if value.is_nan() => Some("nan"),
        f64::INFINITY => Some("inf"),
        f64::NEG_INFINITY => Some("-inf"),
        _ => None,
    }
}

/// Writes a line of JSON.
pub(super) fn print_line(out: &mut impl io::Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// JSON as a value; the objects of [`AsJson`] stand for what they stand for there.
pub(super) fn to_value(json: &RawValue) -> Result<Value, String> {
    read(json, MAX_DEPTH)
}

/// The text is known to be JSON, but for what is written inside of strings.
fn read(json: &RawValue, depth: usize) -> Result<Value, String> {
    let text = json.get();
    let deeper = || depth.checked_sub(1).ok_or(format!("nested deeper than {MAX_DEPTH}"));
    Ok(match text.as_bytes() {
        [b'n', ..] => Value::None,
        [b't', ..] => Value::Bool(true),
        [b'f', ..] => Value::Bool(false),
        [b'"', ..] => Value::Str(parse(text)?),
        [b'[', ..] => {
            let depth = deeper()?;
            let items: Vec<&RawValue> = parse(text)?;
            Value::List(items.into_iter().map(|item| read(item, depth)).collect::<Result<_, _>>()?)
        }
        [b'{', ..] => {
            let depth = deeper()?;
            let Entries(entries) = parse(text)?;
            if let [(key, item)] = entries.as_slice()
                && let Some(value) = special(key, item, depth)?
            {
                return Ok(value);
            }
            let entries = entries
                .into_iter()
                .map(|(key, item)| Ok((Value::Str(key.into_owned()), read(item, depth)?)));
            Value::Dict(entries.collect::<Result<_, String>>()?)
        }
        _ => match text.parse::<BigInt>() {
            Ok(int) => Value::from(int),
            Err(_) => Value::Float(text.parse().map_err(|_| format!("{text} is no number"))?),
        },
    })
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// The value that an object with this single key stands for, if it does.
fn special(key: &str, item: &RawValue, depth: usize) -> Result<Option<Value>, String> {
    Ok(Some(match (key, item.get().as_bytes()) {
        ("$bytes", [b'"', ..]) => {
            let bytes = STANDARD.decode(parse::<Cow<'_, str>>(item.get())?.as_bytes());
            Value::from(bytes.map_err(|error| format!("$bytes: {error}"))?)
        }
        ("$float", [b'"', ..]) => match parse::<Cow<'_, str>>(item.get())?.as_ref() {
            "nan" => Value::Float(f64::NAN),
            "inf" => Value::Float(f64::INFINITY),
            "-inf" => Value::Float(f64::NEG_INFINITY),
            other => {
                return Err(format!("$float: {other:?}; expected \"nan\", \"inf\" or \"-inf\""));
            }
        },
        ("$map", [b'[', ..]) => {
            let pairs: Vec<(&RawValue, &RawValue)> = parse(item.get())
                .map_err(|_| "$map: expected an array of [key, value] pairs".to_owned())?;
            let pairs =
                pairs.into_iter().map(|(key, value)| Ok((read(key, depth)?, read(value, depth)?)));
            Value::Dict(pairs.collect::<Result<_, String>>()?)
        }
        _ => return Ok(None),
    }))
}

/// An object's entries in the order in which they stand there.
struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &Value) -> String {
        serde_json::to_string(&AsJson(value)).unwrap()
    }

    fn read(text: &str) -> Result<Value, String> {
        to_value(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn what_json_lacks_has_a_word() {
        let table = [
            (Value::Int(1), "1"),
            (Value::from("ü\n\""), r#""ü\n\"""#),
            (Value::Float(1.0), "1.0"),
            (Value::Float(-0.0), "-0.0"),
            (Value::Float(1e300), "1e+300"),
            (Value::Float(f64::NAN), r#"{"$float":"nan"}"#),
            (Value::Float(f64::NEG_INFINITY), r#"{"$float":"-inf"}"#),
            (Value::Complex(1.5, f64::INFINITY), r#"{"$complex":[1.5,{"$float":"inf"}]}"#),
            (Value::from(b"hi".to_vec()), r#"{"$bytes":"aGk="}"#),
            (Value::tuple([1, 2]), "[1,2]"),
            (Value::set([1]), "[1]"),
            (Value::dict([("b", 1), ("a", 2)]), r#"{"b":1,"a":2}"#),
            (Value::Dict(vec![]), "{}"),
            (Value::dict([(1, 2)]), r#"{"$map":[[1,2]]}"#),
            (Value::dict([("$bytes", 2)]), r#"{"$map":[["$bytes",2]]}"#),
            (Value::dict([("$bytes", 2), ("b", 1)]), r#"{"$bytes":2,"b":1}"#),
            (
                Value::from("123456789012345678901234567890".parse::<BigInt>().unwrap()),
                "123456789012345678901234567890",
            ),
        ];
        for (value, text) in table {
            assert_eq!(written(&value), text);
        }
    }

    #[test]
    fn reads_back_what_it_writes() {
        let long = format!("[-{},{{\"a\":{}}}]", "9".repeat(10_000), "7".repeat(5_000));
        for text in [
            "null",
            "[true,false,-1,1.5,1e+300]",
            r#"{"a":{"b":[]}}"#,
            r#"{"z":1,"a":2,"m":3}"#,
            r#"{"\"ü\"":"\\"}"#,
            r#"{"$bytes":"aGk="}"#,
            r#"{"$map":[[1,[2]],["x",null]]}"#,
            r#"{"$float":"inf"}"#,
            "123456789012345678901234567890",
            &long,
        ] {
            assert_eq!(written(&read(text).unwrap()), text);
        }
        assert_eq!(
            read(r#" [ 1 , { "a" : 18446744073709551616 } ] "#).unwrap().to_string(),
            "[1, {'a': 18446744073709551616}]"
        );
        assert_eq!(read("-0.0").unwrap().to_string(), "-0.0");
        assert_eq!(read(r#"{"$bytes": 2}"#).unwrap(), Value::dict([("$bytes", 2)]));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let deep = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(read(&deep(MAX_DEPTH)).is_ok());
        for (text, words) in [
            (r#"{"$bytes": "not base64!"}"#, "$bytes"),
            (r#"{"$map": [1]}"#, "$map: expected an array of [key, value] pairs"),
            (r#"{"$map": [[1,2,3]]}"#, "$map: expected an array of [key, value] pairs"),
            (r#"{"$float": "big"}"#, "\"big\""),
            (r#"["\ud800"]"#, "escape"),
            (&deep(MAX_DEPTH + 1), "nested deeper than 256"),
            (&deep(100_000), "nested deeper than 256"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
