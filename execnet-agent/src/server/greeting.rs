//! A client's first words: the preamble and its HELLO.

use std::time::Duration;

use execnet_proto::{Decoder, Frame, FrameError, Hello, Value};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use crate::first_frame::{MAX_HELLO, not_hello};

/// What a client said first, word for word, and what of it concerns a server.
#[derive(Debug)]
#[non_exhaustive]
pub struct Greeting {
    /// All that was read: for the worker, which reads it again.
    pub bytes: Vec<u8>,
    /// The HELLO in it.
    pub hello: Hello,
    /// Which worker the client wants.
    pub wanted: Wanted,
}

/// The settings of a HELLO that a server heeds before it starts a worker.
#[derive(Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wanted {
    /// The native worker, not a Python.
    pub native: bool,
    /// The interpreter's command line, if the client names one.
    pub python: Option<Vec<String>>,
    /// No `.pyc` files.
    pub dont_write_bytecode: bool,
    /// Variables that must be there when the interpreter starts.
    pub env: Vec<(String, String)>,
    /// The gateway's id, for the log.
    pub id: String,
}

/// There is no greeting.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GreetingError {
    /// The client left, or its link broke.
    #[error("hung up before its HELLO")]
    HungUp(#[source] Option<std::io::Error>),
    /// It said nothing, or not enough, in time.
    #[error("no HELLO within {0:?}")]
    TimedOut(Duration),
    /// It speaks something else.
    #[error("no HELLO")]
    Frame(#[from] FrameError),
    /// It began with another frame.
    #[error("the first frame is of the kind {0:#04x}, no HELLO")]
    NotHello(u8),
    /// A setting of its HELLO is of the wrong type.
    #[error("the setting {0}")]
    Setting(String),
}

/// A greeting that is under way: bytes in, in any cutting.
#[derive(Debug)]
pub struct Reading {
    decoder: Decoder,
    bytes: Vec<u8>,
}

impl Default for Reading {
    fn default() -> Self {
        Self { decoder: Decoder::new(MAX_HELLO), bytes: Vec::new() }
    }
}

impl Reading {
    /// Takes more bytes. What is kept is at most a HELLO of the greatest length and one piece.
    ///
    /// # Errors
    /// These bytes are no greeting, whatever may follow.
    pub fn push(&mut self, piece: &[u8]) -> Result<Option<Greeting>, GreetingError> {
        self.decoder.extend(piece);
        self.bytes.extend_from_slice(piece);
        if let Some(kind) = not_hello(&self.bytes) {
            return Err(GreetingError::NotHello(kind));
        }
        let Some(frame) = self.decoder.next_frame()? else { return Ok(None) };
        let kind = frame.header().kind.to_byte();
        let Frame::Hello(hello) = frame.parse()? else { return Err(GreetingError::NotHello(kind)) };
        let wanted = Wanted::new(&hello).map_err(GreetingError::Setting)?;
        Ok(Some(Greeting { bytes: std::mem::take(&mut self.bytes), hello: *hello, wanted }))
    }
}

impl Greeting {
    /// Reads it, within a time.
    pub(super) async fn read(
        mut client: impl AsyncRead + Unpin,
        limit: Duration,
    ) -> Result<Self, GreetingError> {
        let reading = async {
            let mut reading = Reading::default();
            let mut piece = vec![0; 16 << 10];
            loop {
                match client.read(&mut piece).await {
                    Ok(0) => return Err(GreetingError::HungUp(None)),
                    Ok(read) => {
                        let piece = piece.get(..read).unwrap_or_default();
                        if let Some(greeting) = reading.push(piece)? {
                            return Ok(greeting);
                        }
                    }
                    Err(error) => return Err(GreetingError::HungUp(Some(error))),
                }
            }
        };
        timeout(limit, reading).await.unwrap_or(Err(GreetingError::TimedOut(limit)))
    }
}

impl Wanted {
    fn new(hello: &Hello) -> Result<Self, String> {
        let mut wanted = Self::default();
        for (name, value) in &hello.settings {
            match (name.as_str(), value) {
                ("worker", Value::Str(worker)) if worker == "python" => {}
                ("worker", Value::Str(worker)) if worker == "native" => wanted.native = true,
                ("worker", _) => return Err("`worker` is neither `python` nor `native`".to_owned()),
                ("python", Value::List(words)) => {
                    let words: Option<Vec<_>> = words.iter().map(text).collect();
                    let words =
                        words.filter(|words| words.first().is_some_and(|it| !it.is_empty()));
                    wanted.python = Some(words.ok_or("`python` is no command line")?);
                }
                ("python", _) => return Err("`python` is no list of words".to_owned()),
                ("dont_write_bytecode", value) => {
                    wanted.dont_write_bytecode = matches!(value, Value::Bool(true));
                }
                ("env", Value::Dict(entries)) => {
                    for (name, value) in entries {
                        let pair = text(name).zip(text(value));
                        wanted.env.push(pair.ok_or("`env` is no map of text to text")?);
                    }
                }
                ("id", Value::Str(id)) => wanted.id = id.chars().take(100).collect(),
                // The worker's own, which it checks.
                _ => {}
            }
        }
        // What has a NUL byte, or a `=` in its name, is no variable; starting the process would say so less clearly.
        let bad = |(name, value): &&(String, String)| {
            name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
        };
        match wanted.env.iter().find(bad) {
            Some((name, _)) => Err(format!("`env` has {name:?}, which no variable can be")),
            None => Ok(wanted),
        }
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use execnet_proto::{Limits, MAGIC};

    use super::*;

    fn greeting(settings: &[(&str, Value)]) -> BytesMut {
        let mut hello = Hello::new(Limits::LEAST);
        hello.settings =
            settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let mut bytes = BytesMut::from(&MAGIC[..]);
        Frame::Hello(Box::new(hello)).encode(&mut bytes);
        bytes
    }

    fn read(settings: &[(&str, Value)]) -> Result<Wanted, String> {
        let read = Reading::default().push(&greeting(settings));
        read.map(|greeting| greeting.unwrap().wanted).map_err(|error| error.to_string())
    }

    #[test]
    fn settings_say_which_worker() {
        let words = Value::List(vec!["python3.11".into(), "-X".into(), "dev".into()]);
        let env = Value::dict([("A", "b=c")]);
        let wanted = read(&[
            ("worker", "native".into()),
            ("python", words),
            ("dont_write_bytecode", Value::Bool(true)),
            ("env", env),
            ("id", "gw7".into()),
            ("colour", Value::Float(1.0)),
        ]);
        let python = Some(["python3.11", "-X", "dev"].map(str::to_owned).to_vec());
        let env = vec![("A".to_owned(), "b=c".to_owned())];
        let id = "gw7".to_owned();
        let expected = Wanted { native: true, python, dont_write_bytecode: true, env, id };
        assert_eq!(wanted, Ok(expected));
        assert_eq!(read(&[]), Ok(Wanted::default()));
    }

    #[test]
    fn wrong_settings_are_named() {
        for (name, value) in [
            ("worker", Value::from("perl")),
            ("worker", Value::None),
            ("python", Value::List(vec![])),
            ("python", Value::List(vec!["".into()])),
            ("python", Value::List(vec![Value::Int(3)])),
            ("python", "python3".into()),
            ("env", Value::dict([("A=B", "c")])),
            ("env", Value::dict([("A", "\0")])),
            ("env", Value::Dict(vec![("A".into(), Value::Int(1))])),
        ] {
            let error = read(&[(name, value.clone())]).unwrap_err();
            assert!(error.contains(name), "{value:?}: {error}");
        }
    }

    #[test]
    fn what_follows_the_hello_is_kept() {
        let mut bytes = greeting(&[]).to_vec();
        bytes.extend(b"more");
        let mut reading = Reading::default();
        let (last, first) = bytes.split_last().unwrap();
        let greeting = reading.push(first).unwrap().unwrap();
        assert_eq!(greeting.bytes, first);
        assert_eq!(*last, b'e');
    }

    #[test]
    fn a_claim_is_refused_before_it_is_believed() {
        let mut claim = MAGIC.to_vec();
        claim.extend(b"\x01\xff\xff\xff\0\0\0\0");
        assert!(matches!(Reading::default().push(&claim), Err(GreetingError::Frame(_))));
        assert!(Reading::default().push(b"GET / HTTP/1.1").is_err());
        // Frames that may be ignored elsewhere would be kept without end.
        let ignored = [&MAGIC[..], b"\x83\0\0\0\0\0\0\0"].concat();
        let read = Reading::default().push(&ignored);
        assert!(matches!(read, Err(GreetingError::NotHello(0x83))), "{read:?}");
    }
}
