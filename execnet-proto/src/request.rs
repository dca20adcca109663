//! What an EXEC may ask for.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;

use crate::{ChannelId, Value, cbor};

/// The first message on a channel opened by EXEC (PROTOCOL.md §7).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Request {
    /// Run program text.
    Source(SourceRequest),
    /// Start a program.
    Command(CommandRequest),
    /// Connect to an address, and pass the bytes on.
    Connect(ConnectRequest),
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

/// A program to start, and the channels that carry its streams.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "made by struct update from its default")]
pub struct CommandRequest {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The directory to start in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Variables set on top of the far end's own; `None` takes one away.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Option<String>>,
    /// Its standard input; empty without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdin: Option<ChannelId>,
    /// Its standard output; OUTPUT frames without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdout: Option<ChannelId>,
    /// Its standard error; OUTPUT frames without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stderr: Option<ChannelId>,
}

/// An address to connect to, and the channel for the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "the protocol's two keys")]
pub struct ConnectRequest {
    /// `HOST:PORT`, `[IPV6]:PORT`, or `unix:PATH`.
    pub address: String,
    /// The bytes of both directions.
    pub stream: ChannelId,
}

/// A native task to call, with its argument: any type that serde serializes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the protocol's two keys")]
pub struct CallRequest<'a, A: ?Sized> {
    /// Its name.
    pub task: &'a str,
    /// Its argument.
    pub args: &'a A,
}

impl<A: Serialize + ?Sized> CallRequest<'_, A> {
    /// The request as a message of the format CBOR.
    ///
    /// # Errors
    /// When the argument is a value that does not cross (see [`cbor::encode`]).
    pub fn to_bytes(&self) -> Result<Bytes, cbor::EncodeError> {
        #[derive(Serialize)]
        struct Wire<'a, A: ?Sized> {
            kind: &'a str,
            task: &'a str,
            args: &'a A,
        }
        cbor::to_bytes(&Wire { kind: "call", task: self.task, args: self.args })
    }
}

impl Request {
    /// The request as a message of the format CBOR.
    ///
    /// # Errors
    /// When a keyword argument is a value that does not cross (see [`cbor::encode`]).
    pub fn to_bytes(&self) -> Result<Bytes, cbor::EncodeError> {
        cbor::to_bytes(&Wire::from(self))
    }
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Wire<'a> {
    Source {
        source: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        filename: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        function: Option<&'a str>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        kwargs: &'a BTreeMap<String, Value>,
    },
    Command(&'a CommandRequest),
    Connect(&'a ConnectRequest),
}

impl<'a> From<&'a Request> for Wire<'a> {
    fn from(request: &'a Request) -> Self {
        match request {
            Request::Source(SourceRequest { source, filename, function, kwargs }) => Self::Source {
                source,
                filename: filename.as_deref(),
                function: function.as_deref(),
                kwargs,
            },
            Request::Command(request) => Self::Command(request),
            Request::Connect(request) => Self::Connect(request),
        }
    }
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

    #[test]
    fn streams_cross_as_channels() {
        let request = Request::Command(CommandRequest {
            argv: vec!["true".into()],
            env: [("HOME".to_owned(), None)].into(),
            stdout: ChannelId::new(3),
            ..Default::default()
        });
        let expected = Value::Dict(vec![
            ("kind".into(), "command".into()),
            ("argv".into(), Value::List(vec!["true".into()])),
            ("env".into(), Value::Dict(vec![("HOME".into(), Value::None)])),
            ("stdout".into(), Value::Channel(ChannelId::new(3).unwrap())),
        ]);
        assert_eq!(cbor::decode(&request.to_bytes().unwrap()).unwrap(), expected);
    }
}
