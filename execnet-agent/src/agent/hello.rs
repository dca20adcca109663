//! The first words: what the controller asks for, what is applied, and what is told of this process.

use std::collections::BTreeMap;
use std::env;
use std::io::Cursor;

use bytes::{Bytes, BytesMut};
use execnet_proto::{Decoder, Fault, Frame, Hello, MAGIC, Value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::ServeError;
use crate::first_frame::{MAX_HELLO, not_hello};

/// What a connection's settings may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Nothing that others would see: this process serves more than one.
    Connection,
    /// The process, which is there for this connection alone.
    Process,
}

/// The controller's HELLO, and all bytes that were read so far, to be read again by the multiplexer. `None` when nobody came.
pub(super) async fn read<R: AsyncRead + Unpin>(
    reader: &mut R,
) -> Result<Option<(Hello, Cursor<Bytes>)>, ServeError> {
    let mut decoder = Decoder::new(MAX_HELLO);
    let mut seen = BytesMut::new();
    loop {
        if let Some(kind) = not_hello(&seen) {
            return Err(ServeError::NotHello(kind));
        }
        if let Some(frame) = decoder.next_frame().map_err(ServeError::NoHello)? {
            let kind = frame.header().kind.to_byte();
            return match frame.parse().map_err(ServeError::NoHello)? {
                Frame::Hello(hello) => Ok(Some((*hello, Cursor::new(seen.freeze())))),
                _ => Err(ServeError::NotHello(kind)),
            };
        }
        let before = seen.len();
        if reader.read_buf(&mut seen).await? == 0 {
            return if seen.is_empty() { Ok(None) } else { Err(ServeError::CutOff) };
        }
        decoder.extend(seen.get(before..).unwrap_or_default());
    }
}

/// Tells the controller why it is not served. Its link may be gone: then there is nobody to tell.
pub(super) async fn refuse<W: AsyncWrite + Unpin>(writer: &mut W, error: &ServeError) {
    let kind = match error {
        ServeError::Setting { .. } => "SettingError",
        _ => "ProtocolError",
    };
    let mut message = error.to_string();
    if let ServeError::NoHello(cause) = error {
        message = format!("{message}: {cause}");
    }
    let mut bytes = BytesMut::from(&MAGIC[..]);
    Frame::Close { channel: None, fault: Some(Fault::new(kind, message)) }.encode(&mut bytes);
    let _ = writer.write_all(&bytes).await;
    let _ = writer.shutdown().await;
}

/// Applies the settings (PROTOCOL.md §8), in an order in which a failure changes as little as possible.
pub(super) fn apply(settings: &BTreeMap<String, Value>, scope: Scope) -> Result<(), ServeError> {
    for (name, apply) in [
        ("id", text as fn(&Value, Scope) -> Result<(), String>),
        ("execmodel", no_execmodel),
        ("env", environment),
        ("chdir", change_directory),
        ("nice", nice),
    ] {
        if let Some(value) = settings.get(name) {
            apply(value, scope)
                .map_err(|reason| ServeError::Setting { name: name.to_owned(), reason })?;
        }
    }
    Ok(())
}

fn text(value: &Value, _: Scope) -> Result<(), String> {
    value.as_str().map(drop).ok_or_else(|| format!("{value} is no str"))
}

fn no_execmodel(_: &Value, _: Scope) -> Result<(), String> {
    Err("a native agent runs its tasks on its own runtime; leave it out".to_owned())
}

/// A process that runs cannot change its environment safely; whoever starts it can.
fn environment(value: &Value, _: Scope) -> Result<(), String> {
    let Value::Dict(entries) = value else { return Err(format!("{value} is no dict")) };
    for (name, value) in entries {
        let (Some(name), Some(value)) = (name.as_str(), value.as_str()) else {
            return Err(format!("{name}: {value}: both must be str"));
        };
        if env::var(name).as_deref() != Ok(value) {
            return Err(format!(
                "{name} is not so in a native agent that already runs; set it where the agent is started"
            ));
        }
    }
    Ok(())
}

fn change_directory(value: &Value, scope: Scope) -> Result<(), String> {
    let path = value.as_str().ok_or_else(|| format!("{value} is no str"))?;
    own_process(scope)?;
    std::fs::create_dir_all(path)
        .and_then(|()| env::set_current_dir(path))
        .map_err(|error| format!("{path}: {error}"))
}

fn nice(value: &Value, scope: Scope) -> Result<(), String> {
    let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
    let number = number.ok_or_else(|| format!("{value} is no int of 32 bits"))?;
    own_process(scope)?;
    renice(number).map_err(|error| format!("{number}: {error}"))
}

/// On Linux each thread has a niceness of its own, which new ones take from the thread that starts them.
#[cfg(target_os = "linux")]
fn renice(by: i32) -> std::io::Result<()> {
    use std::collections::HashSet;

    use rustix::process::{Pid, getpriority_process, setpriority_process};

    let wanted = getpriority_process(None)?.saturating_add(by);
    let mut done = HashSet::new();
    loop {
        let mut found = false;
        for entry in std::fs::read_dir("/proc/self/task")? {
            let name = entry?.file_name();
            let thread = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
            if let Some(thread) = thread.filter(|thread| done.insert(*thread)) {
                found = true;
                match setpriority_process(Some(thread), wanted) {
                    // It has ended meanwhile.
                    Err(rustix::io::Errno::SRCH) => {}
                    result => result?,
                }
            }
        }
        // One that was not there yet may have been started by one that was not done yet.
        if !found {
            return Ok(());
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn renice(by: i32) -> std::io::Result<()> {
    Ok(rustix::process::nice(by).map(drop)?)
}

fn own_process(scope: Scope) -> Result<(), String> {
    match scope {
        Scope::Process => Ok(()),
        Scope::Connection => {
            Err("this agent serves several connections in one process, which it would change"
                .into())
        }
    }
}

/// What our HELLO tells of this process.
pub(super) fn facts(settings: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let path = |path: std::io::Result<std::path::PathBuf>| {
        path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let id = settings.get("id").and_then(Value::as_str).unwrap_or_default();
    BTreeMap::from([
        ("executable".to_owned(), path(env::current_exe()).into()),
        ("version".to_owned(), env!("CARGO_PKG_VERSION").into()),
        ("implementation".to_owned(), "native".into()),
        ("platform".to_owned(), env::consts::OS.into()),
        ("cwd".to_owned(), path(env::current_dir()).into()),
        ("pid".to_owned(), Value::from(i64::from(std::process::id()))),
        ("id".to_owned(), id.into()),
    ])
}
