//! Programs that the controller starts here, with their streams on channels (PROTOCOL.md §7, `command`).

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use execnet_channel::{Channel, ChannelId, Message, Receiver, Sender};
use execnet_proto::{Fault, Format, OutputStream, Value};
use execnet_transport::{Ending, FarEnd, Process};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::connection::Connection;
use super::fault;
use super::request::{self, Command};
use crate::guardian::Guarded;

/// How much is read of an output at once, at most.
const CHUNK: usize = 64 << 10;
/// An output that others hold open is over when nothing has come for so long after the program's end.
const QUIET: Duration = Duration::from_millis(500);

/// A message of the controller's on the request's channel.
#[derive(Deserialize)]
struct Order {
    signal: i32,
}

/// Ends the group with the connection, whatever becomes of who waits for it.
struct Running {
    process: Process,
    _guarded: Option<Guarded>,
}

impl Running {
    fn new(child: Child, name: &str) -> io::Result<Self> {
        let process = Process::watch(child, name)?;
        let _guarded = process.pid().map(Guarded::command);
        Ok(Self { process, _guarded })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.process.kill();
    }
}

/// Starts the program and stays with it to its end.
pub(super) async fn run(
    connection: Arc<Connection>,
    mut channel: Channel,
    request: Message,
    interrupts: watch::Receiver<u32>,
) {
    let (tell_end, ended) = watch::channel(false);
    let mut outputs = JoinSet::new();
    let mut input = JoinSet::new();
    let running = match start(&connection, channel.id(), &request, &ended, &mut input, &mut outputs)
    {
        Ok(running) => running,
        Err(fault) => return channel.close_with_error(fault),
    };
    let pid = Value::from(running.process.pid().map_or(0, i64::from));
    // A controller that is gone meanwhile has closed the channel: that is seen below.
    let _ = channel.send_value(&Value::dict([("pid", pid)])).await;
    let (mut sender, receiver) = channel.split();
    let ending = attend(&mut sender, receiver, &running.process, interrupts).await;
    drop(running);
    input.shutdown().await;
    let _ = sender.send_value(&described(ending)).await;
    sender.close(None);
    tell_end.send_replace(true);
    while outputs.join_next().await.is_some() {}
}

/// Passes signals on until the program has ended.
async fn attend(
    sender: &mut Sender,
    mut receiver: Receiver,
    process: &Process,
    mut interrupts: watch::Receiver<u32>,
) -> Ending {
    let mut orders = true;
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            ending = process.wait() => return ending,
            Ok(()) = interrupts.changed() => {
                process.signal(rustix::process::Signal::INT.as_raw());
            }
            order = receiver.recv(), if orders => match order {
                Ok(Some(message)) => {
                    if let Err(fault) = obey(process, &message) {
                        process.kill();
                        sender.close(Some(fault));
                    }
                }
                Ok(None) | Err(_) => orders = false,
            },
            _ = sender.wait_close(), if open => {
                open = false;
                process.kill();
            }
        }
    }
}

fn obey(process: &Process, message: &Message) -> Result<(), Fault> {
    let wrong = |why| {
        let text = format!("a command takes maps with a `signal` of this system's: {why}");
        Fault::new("ValueError", text)
    };
    let Order { signal } = message.to_value().map_err(|error| wrong(error.to_string()))?;
    match process.signal(signal) {
        true => Ok(()),
        false => Err(wrong(format!("found {signal}"))),
    }
}

fn described(ending: Ending) -> Value {
    match ending {
        Ending::Exited(status) => Value::dict([("exit", Value::from(i64::from(status)))]),
        Ending::Signaled { signal, core_dumped } => {
            let mut entries = vec![("signal", Value::from(i64::from(signal)))];
            if core_dumped {
                entries.push(("core_dumped", Value::Bool(true)));
            }
            Value::dict(entries)
        }
        // Its status went to somebody else in this process.
        _ => Value::dict([("exit", Value::from(-1))]),
    }
}

fn start(
    connection: &Arc<Connection>,
    id: ChannelId,
    request: &Message,
    ended: &watch::Receiver<bool>,
    input: &mut JoinSet<()>,
    outputs: &mut JoinSet<()>,
) -> Result<Running, Fault> {
    let request: Command = request::parse(request)?;
    let argv = request.argv()?;
    let claim = |what, id: Option<ChannelId>| id.map(|id| connection.named(what, id)).transpose();
    let stdin = claim("stdin", request.stdin)?;
    let stdout = claim("stdout", request.stdout)?;
    let stderr = claim("stderr", request.stderr)?;

    let (program, arguments) = argv.split_first().ok_or_else(Fault::default)?;
    let mut command = std::process::Command::new(program);
    command.args(arguments).process_group(0);
    command.stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(directory) = &request.cwd {
        command.current_dir(directory);
    }
    for (name, value) in &request.env {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let name = program.to_string_lossy().into_owned();
    let failed = |error: io::Error| {
        // The system does not say which of the two it missed.
        let missing = request.cwd.as_deref().filter(|dir| !Path::new(dir).is_dir());
        let mut fault = fault::of_system(&error);
        fault.message = format!("{}: {}", missing.unwrap_or(&name), fault.message);
        fault
    };
    let mut child = command.spawn().map_err(failed)?;
    drop(command);
    let (pipe_in, pipe_out, pipe_err) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let system = |error: io::Error| fault::of_system(&error);
    let running = Running::new(child, &name).map_err(system)?;
    if let (Some(pipe), Some(channel)) = (pipe_in, stdin) {
        let pipe = ChildStdin::from_std(pipe).map_err(system)?;
        input.spawn(feed(connection.clone(), channel, pipe));
    }
    if let Some(pipe) = pipe_out {
        let sink = Sink::new(connection, stdout, id, OutputStream::Stdout);
        let pipe = ChildStdout::from_std(pipe).map_err(system)?;
        outputs.spawn(drain(pipe, sink, ended.clone()));
    }
    if let Some(pipe) = pipe_err {
        let sink = Sink::new(connection, stderr, id, OutputStream::Stderr);
        let pipe = ChildStderr::from_std(pipe).map_err(system)?;
        outputs.spawn(drain(pipe, sink, ended.clone()));
    }
    Ok(running)
}

/// Writes what comes on the channel to the program; its end is the program's end of input.
async fn feed(connection: Arc<Connection>, mut channel: Channel, mut pipe: ChildStdin) {
    loop {
        let message = tokio::select! {
            biased;
            message = channel.recv() => message,
            () = connection.input_ends() => return,
        };
        match message {
            Ok(Some(message)) if message.format == Format::Bytes => {
                // A program that does not read any more: dropping the channel tells the controller.
                if pipe.write_all(&message.payload).await.is_err() {
                    return;
                }
            }
            Ok(Some(_)) => {
                let text = "standard input takes messages in the format bytes only";
                return channel.close_with_error(Fault::new("TypeError", text));
            }
            Ok(None) | Err(_) => return,
        }
    }
}

/// Where an output goes.
enum Sink {
    Channel(Channel),
    Output { connection: Arc<Connection>, channel: ChannelId, stream: OutputStream },
}

impl Sink {
    fn new(
        connection: &Arc<Connection>,
        channel: Option<Channel>,
        id: ChannelId,
        stream: OutputStream,
    ) -> Self {
        match channel {
            Some(channel) => Self::Channel(channel),
            None => Self::Output { connection: connection.clone(), channel: id, stream },
        }
    }

    /// False when nobody wants more.
    async fn send(&mut self, bytes: bytes::Bytes) -> bool {
        match self {
            Self::Channel(channel) => channel.send(Message::bytes(bytes)).await.is_ok(),
            Self::Output { connection, channel, stream } => {
                connection.mux().output(Some(*channel), *stream, bytes).await.is_ok()
            }
        }
    }

    async fn refused(&self) {
        match self {
            Self::Channel(channel) => drop(channel.wait_close().await),
            Self::Output { .. } => std::future::pending().await,
        }
    }
}

/// Sends what the program writes; closes the channel behind it.
async fn drain(mut pipe: impl AsyncRead + Unpin, mut sink: Sink, mut ended: watch::Receiver<bool>) {
    let mut buffer = BytesMut::new();
    loop {
        if buffer.capacity() < CHUNK / 4 {
            buffer.reserve(CHUNK);
        }
        let quiet = async {
            let _ = ended.wait_for(|&ended| ended).await;
            sleep(QUIET).await;
        };
        let read = tokio::select! {
            biased;
            read = pipe.read_buf(&mut buffer) => read,
            () = sink.refused() => return,
            () = quiet => return,
        };
        match read {
            Ok(1..) if sink.send(buffer.split().freeze()).await => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use execnet_proto::cbor;

    use super::*;

    #[test]
    fn an_order_may_hold_what_we_do_not_know() {
        let bytes = cbor::encode(&Value::dict([("signal", 15), ("colour", 1)]));
        let order: Order = Message::cbor(bytes.unwrap()).to_value().unwrap();
        assert_eq!(order.signal, 15);
    }
}
