//! Connections that the controller makes from here (PROTOCOL.md §7, `connect`).

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use execnet_channel::{Channel, Message, Receiver, Sender};
use execnet_proto::{Fault, Format, Value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::sync::watch;

use super::connection::Connection;
use super::fault;
use super::request::{self, Connect};

/// How much is read from the connection at once, at most.
const CHUNK: usize = 64 << 10;

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// Connects, and passes bytes on until both directions have ended.
pub(super) async fn run(
    connection: Arc<Connection>,
    mut channel: Channel,
    request: Message,
    mut interrupts: watch::Receiver<u32>,
) {
    let _relay = connection.relay();
    let (address, stream) = match request::parse(&request)
        .and_then(|Connect { address, stream }| Ok((address, connection.named("stream", stream)?)))
    {
        Ok(found) => found,
        Err(fault) => return channel.close_with_error(fault),
    };
    let (mut sender, receiver) = stream.split();
    let connected = tokio::select! {
        connected = connect(&address) => connected,
        _ = channel.wait_close() => return,
        _ = sender.wait_close() => return,
        Ok(()) = interrupts.changed() => return,
    };
    let result = match connected {
        Ok((peer, reader, writer)) => {
            let _ = channel.send_value(&Value::dict([("peer", peer)])).await;
            tokio::select! {
                result = relay(&mut sender, receiver, reader, writer) => result,
                _ = channel.wait_close() => Ok(()),
                Ok(()) = interrupts.changed() => Ok(()),
            }
        }
        Err(fault) => Err(fault),
    };
    let fault = result.err();
    sender.close(fault.clone());
    match fault {
        Some(fault) => channel.close_with_error(fault),
        None => channel.close(),
    }
}

async fn connect(address: &str) -> Result<(String, Reader, Writer), Fault> {
    let failed = |error: io::Error| {
        let mut fault = fault::of_system(&error);
        fault.message = format!("{address}: {}", fault.message);
        fault
    };
    if let Some(path) = address.strip_prefix("unix:") {
        let stream = UnixStream::connect(path).await.map_err(failed)?;
        let (reader, writer) = stream.into_split();
        return Ok((address.to_owned(), Box::new(reader), Box::new(writer)));
    }
    let found = lookup_host(address).await.map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::InvalidInput => "ValueError",
            _ => "gaierror",
        };
        Fault::new(kind, format!("{address}: {error}"))
    })?;
    let mut last = Fault::new("gaierror", format!("{address}: no address"));
    for candidate in found {
        match TcpStream::connect(candidate).await {
            Ok(stream) => {
                // What comes is passed on as it comes, in pieces of the sender's choice.
                let _ = stream.set_nodelay(true);
                let (reader, writer) = stream.into_split();
                return Ok((candidate.to_string(), Box::new(reader), Box::new(writer)));
            }
            Err(error) => last = failed(error),
        }
    }
    Err(last)
}

/// Why a direction of the relay ends everything.
enum Over {
    /// The controller has closed the stream's channel.
    Closed,
    Broken(io::Error),
}

impl From<io::Error> for Over {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

async fn relay(
    sender: &mut Sender,
    receiver: Receiver,
    reader: Reader,
    writer: Writer,
) -> Result<(), Fault> {
    match tokio::try_join!(inward(sender, reader), outward(receiver, writer)) {
        Ok(_) | Err(Over::Closed) => Ok(()),
        Err(Over::Broken(error)) => Err(fault::of_system(&error)),
    }
}

async fn inward(sender: &mut Sender, mut reader: Reader) -> Result<(), Over> {
    let mut buffer = BytesMut::new();
    loop {
        if buffer.capacity() < CHUNK / 4 {
            buffer.reserve(CHUNK);
        }
        let read = tokio::select! {
            biased;
            read = reader.read_buf(&mut buffer) => read?,
            _ = sender.wait_close() => return Err(Over::Closed),
        };
        if read == 0 {
            sender.finish();
            return Ok(());
        }
        let message = Message::bytes(buffer.split().freeze());
        sender.send(message).await.map_err(|_| Over::Closed)?;
    }
}

async fn outward(mut receiver: Receiver, mut writer: Writer) -> Result<(), Over> {
    loop {
        match receiver.recv().await {
            Ok(Some(message)) if message.format == Format::Bytes => {
                writer.write_all(&message.payload).await?;
            }
            Ok(Some(_)) => {
                let text = "a connection takes messages in the format bytes only";
                return Err(io::Error::new(io::ErrorKind::InvalidData, text).into());
            }
            Ok(None) => {
                // The peer may have gone already; what it sent is still to be read.
                let _ = writer.shutdown().await;
                return Ok(());
            }
            Err(_) => return Err(Over::Closed),
        }
    }
}
