//! What an EXEC may ask for.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;

use crate::{Value, cbor};

/// The first message on a channel opened by EXEC (PROTOCOL.md §7).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Request {
    /// Run program text.
    Source(SourceRequest),
}

/// Program text to run, or to take a function from.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "made by struct update from its default")]
pub struct SourceRequest {
    /// The text.
    pub source: String,
    /// The name that tracebacks show for it.
    pub filename: Option<String>,
    /// A function in it to call, with `channel` and `kwargs`.
    pub function: Option<String>,
    /// Keyword arguments for the function.
    pub kwargs: BTreeMap<String, Value>,
}

impl Request {
    /// The request as a message of the format CBOR.
    ///
    /// # Errors
    /// When a keyword argument is a value that does not cross (see [`cbor::encode`]).
    pub fn to_bytes(&self) -> Result<Bytes, cbor::EncodeError> {
        let Self::Source(SourceRequest { source, filename, function, kwargs }) = self;
        let filename = filename.as_deref();
        let function = function.as_deref();
        cbor::to_bytes(&Wire { kind: "source", source, filename, function, kwargs })
    }
}

#[derive(Serialize)]
struct Wire<'a> {
    kind: &'a str,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    kwargs: &'a BTreeMap<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_takes_no_room() {
        let request = Request::Source(SourceRequest { source: "1".into(), ..Default::default() });
        let value = cbor::decode(&request.to_bytes().unwrap()).unwrap();
        assert_eq!(
            value,
            Value::Dict(vec![("kind".into(), "source".into()), ("source".into(), "1".into())])
        );
    }

    #[test]
    fn kwargs_keep_their_exact_types() {
        let pair = Value::Tuple(vec![Value::Int(1), Value::Float(2.0)]);
        let request = Request::Source(SourceRequest {
            function: Some("f".into()),
            kwargs: [("pair".to_owned(), pair.clone())].into(),
            ..Default::default()
        });
        let Value::Dict(map) = cbor::decode(&request.to_bytes().unwrap()).unwrap() else {
            panic!("not a dict")
        };
        assert_eq!(map.last().unwrap().1, Value::Dict(vec![("pair".into(), pair)]));
    }
}
