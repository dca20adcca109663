//! Requests as they arrive (PROTOCOL.md §7).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use execnet_channel::Message;
use execnet_proto::{ChannelId, Fault, Value, cbor};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What every request has.
#[derive(Deserialize)]
pub(super) struct Head {
    pub(super) kind: String,
}

#[derive(Deserialize)]
pub(super) struct CallHead {
    pub(super) task: String,
}

#[derive(Deserialize)]
struct Arguments<A> {
    args: A,
}

#[derive(Deserialize)]
pub(super) struct Command {
    argv: Vec<Value>,
    #[serde(default)]
    pub(super) cwd: Option<String>,
    #[serde(default)]
    pub(super) env: BTreeMap<String, Option<String>>,
    #[serde(default)]
    pub(super) stdin: Option<ChannelId>,
    #[serde(default)]
    pub(super) stdout: Option<ChannelId>,
    #[serde(default)]
    pub(super) stderr: Option<ChannelId>,
}

#[derive(Deserialize)]
pub(super) struct Connect {
    pub(super) address: String,
    pub(super) stream: ChannelId,
}

/// Reads the part of a request that `T` names.
pub(super) fn parse<T: DeserializeOwned>(message: &Message) -> Result<T, Fault> {
    cbor::from_slice(&message.payload)
        .map_err(|error| Fault::new("ValueError", format!("not a request: {}", error.fault())))
}

/// The argument of a call.
pub(super) fn arguments<A: DeserializeOwned>(task: &str, message: &Message) -> Result<A, Fault> {
    match cbor::from_slice::<Arguments<A>>(&message.payload) {
        Ok(request) => Ok(request.args),
        Err(error) => Err(Fault::new(
            "TypeError",
            format!("the argument is not one that the task {task:?} takes: {}", error.fault()),
        )),
    }
}

impl Command {
    /// The program and its arguments: text, or bytes where they are not UTF-8.
    pub(super) fn argv(&self) -> Result<Vec<OsString>, Fault> {
        let word = |value: &Value| match value {
            Value::Str(text) => Ok(text.into()),
            Value::Bytes(bytes) => Ok(OsString::from_vec(bytes.to_vec())),
            other => {
                Err(Fault::new("TypeError", format!("argv: {other} is neither str nor bytes")))
            }
        };
        let argv: Vec<_> = self.argv.iter().map(word).collect::<Result<_, _>>()?;
        if argv.is_empty() {
            return Err(Fault::new("ValueError", "argv is empty: expected a program"));
        }
        Ok(argv)
    }
}
