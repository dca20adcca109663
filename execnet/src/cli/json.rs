//! Values as JSON and back, where JSON has no word for them with words of our own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use execnet::{BigInt, Value};
use serde_json::{Map, Number, Value as Json, json};

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
pub(super) fn from_value(value: &Value) -> Json {
    match value {
        Value::None => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => Json::from(*value),
        Value::BigInt(value) => Json::Number(Number::from_string_unchecked(value.to_string())),
        Value::Float(value) => from_float(*value),
        Value::Complex(re, im) => json!({"$complex": [from_float(*re), from_float(*im)]}),
        Value::Bytes(bytes) => json!({"$bytes": STANDARD.encode(bytes)}),
        Value::Str(text) => Json::String(text.clone()),
        Value::List(items) | Value::Tuple(items) | Value::Set(items) | Value::FrozenSet(items) => {
            items.iter().map(from_value).collect()
        }
        Value::Dict(entries) => match entries.iter().map(text_key).collect::<Option<Map<_, _>>>() {
            // A key of ours would read as something else.
            Some(map) if !(map.len() == 1 && map.keys().any(|key| key.starts_with('$'))) => {
                Json::Object(map)
            }
            _ => {
                let pairs: Json = entries
                    .iter()
                    .map(|(key, value)| json!([from_value(key), from_value(value)]))
                    .collect();
                json!({"$map": pairs})
            }
        },
        Value::Channel(id) => json!({"$channel": id.get()}),
    }
}

fn text_key((key, value): &(Value, Value)) -> Option<(String, Json)> {
    Some((key.as_str()?.to_owned(), from_value(value)))
}

fn from_float(value: f64) -> Json {
    let name = match value {
        _ if value.is_nan() => "nan",
        f64::INFINITY => "inf",
        f64::NEG_INFINITY => "-inf",
        // The shortest digits that read back as this float, and always with a mark of a float.
        _ => return Json::Number(Number::from_string_unchecked(format!("{value:?}"))),
    };
    json!({"$float": name})
}

/// JSON as a value; the objects of [`from_value`] stand for what they stand for there.
pub(super) fn to_value(json: &Json) -> Result<Value, String> {
    Ok(match json {
        Json::Null => Value::None,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => to_number(number)?,
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::List(items.iter().map(to_value).collect::<Result<_, _>>()?),
        Json::Object(map) => match special(map) {
            Some(value) => value?,
            None => Value::Dict(
                map.iter()
                    .map(|(key, item)| Ok((Value::from(key.as_str()), to_value(item)?)))
                    .collect::<Result<_, String>>()?,
            ),
        },
    })
}

fn to_number(number: &Number) -> Result<Value, String> {
    let text = number.as_str();
    if let Ok(int) = text.parse::<BigInt>() {
        return Ok(Value::from(int));
    }
    text.parse().map(Value::Float).map_err(|_| format!("{text} is no number"))
}

/// The value that an object with a single `$` key stands for.
fn special(map: &Map<String, Json>) -> Option<Result<Value, String>> {
    let mut entries = map.iter();
    let (Some((key, item)), None) = (entries.next(), entries.next()) else { return None };
    let value = match (key.as_str(), item) {
        ("$bytes", Json::String(text)) => {
            STANDARD.decode(text).map(Value::from).map_err(|error| format!("$bytes: {error}"))
        }
        ("$float", Json::String(name)) => match name.as_str() {
            "nan" => Ok(Value::Float(f64::NAN)),
            "inf" => Ok(Value::Float(f64::INFINITY)),
            "-inf" => Ok(Value::Float(f64::NEG_INFINITY)),
            other => Err(format!("$float: {other:?}; expected \"nan\", \"inf\" or \"-inf\"")),
        },
        ("$map", Json::Array(pairs)) => pairs
            .iter()
            .map(|pair| match pair.as_array().map(Vec::as_slice) {
                Some([key, value]) => Ok((to_value(key)?, to_value(value)?)),
                _ => Err("$map: expected an array of [key, value] pairs".to_owned()),
            })
            .collect::<Result<_, _>>()
            .map(Value::Dict),
        _ => return None,
    };
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_lacks_has_a_word() {
        let table = [
            (Value::Int(1), "1"),
            (Value::from("ü\n\""), r#""ü\n\"""#),
            (Value::Float(1.0), "1.0"),
            (Value::Float(1e300), "1e300"),
            (Value::Float(f64::NAN), r#"{"$float":"nan"}"#),
            (Value::Float(f64::NEG_INFINITY), r#"{"$float":"-inf"}"#),
            (Value::from(b"hi".to_vec()), r#"{"$bytes":"aGk="}"#),
            (Value::tuple([1, 2]), "[1,2]"),
            (Value::set([1]), "[1]"),
            (Value::dict([("b", 1), ("a", 2)]), r#"{"b":1,"a":2}"#),
            (Value::dict([(1, 2)]), r#"{"$map":[[1,2]]}"#),
            (Value::dict([("$bytes", 2)]), r#"{"$map":[["$bytes",2]]}"#),
            (
                Value::from("123456789012345678901234567890".parse::<BigInt>().unwrap()),
                "123456789012345678901234567890",
            ),
        ];
        for (value, text) in table {
            assert_eq!(from_value(&value).to_string(), text);
        }
    }

    #[test]
    fn reads_back_what_it_writes() {
        for text in [
            "null",
            "[true,false,-1,1.5,1e300]",
            r#"{"a":{"b":[]}}"#,
            r#"{"$bytes":"aGk="}"#,
            r#"{"$map":[[1,[2]],["x",null]]}"#,
            r#"{"$float":"inf"}"#,
            "123456789012345678901234567890",
        ] {
            let value = to_value(&serde_json::from_str(text).unwrap()).unwrap();
            assert_eq!(from_value(&value).to_string(), text);
        }
        assert!(to_value(&json!({"$bytes": "not base64!"})).is_err());
        assert!(to_value(&json!({"$map": [1]})).is_err());
    }
}
