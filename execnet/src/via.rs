//! Links through a gateway: to a program that it starts, and to an address that it connects to.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use execnet_channel::Channel;
use execnet_proto::{ConnectRequest, Request};
use execnet_transport::{
    BoxFuture, ConnectError, Ending, FarEnd, Fault, Guard, Link, Stage, Stderr, Transport,
};
use futures_util::future::{Either, select};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite, Join, ReadBuf, join};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::process::{Ended, Process, SIGKILL, signal, unexpected};
use crate::{ChannelReader, ChannelWriter, Command, CommandError, Gateway, RemoteError, Stdio};

/// How long a killed process may take until its end is told; then it is given up.
const KILLED: Duration = Duration::from_secs(1);
const SIGINT: i32 = 2;

/// Each connect starts the program once more, on the gateway's machine, with all three streams piped: its standard input and output are the link.
///
/// When the gateway ends, so does the link, with an error that names it.
impl Transport for Command {
    fn address(&self) -> String {
        format!("{} via {}", self.name(), self.gateway().id())
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        Box::pin(async {
            let command = self.clone().stdin(Stdio::Piped).stdout(Stdio::Piped);
            let process = command.stderr(Stdio::Piped).spawn().await.map_err(failed)?;
            let address = format!("{} [pid {}]", self.address(), process.pid());
            let Process { stdin, stdout, stderr, control, .. } = process;
            let (give_up, given_up) = oneshot::channel();
            let (orders, to_do) = mpsc::unbounded_channel();
            let (tell, ending) = watch::channel(None);
            tokio::spawn(async move {
                let (ending, _control) = attend(control, to_do).await;
                // Behind a program that ended by itself its last output is still to be read.
                if ending == Ending::Unknown {
                    let _ = give_up.send(());
                }
                tell.send_replace(Some(ending));
            });
            let guard = Guard::new(Remote { address, orders, ending });
            let reader = stdout.map(|reader| Output { reader, given_up: Some(given_up) });
            let (Some(reader), Some(writer), Some(stderr)) = (reader, stdin, stderr) else {
                let message = "its streams are not piped";
                return Err(ConnectError::other(Stage::Spawn, Fault::FarEnd, message, None));
            };
            Ok(Link::new(reader, writer, guard)
                .with_stderr(Stderr::new(stderr))
                .with_bootstrap(self.wants()))
        })
    }
}

/// Passes signals on until the program has ended, and tells how. The channel comes back with that: closing it kills what
/// may still run.
async fn attend(
    mut control: Channel,
    mut orders: mpsc::UnboundedReceiver<i32>,
) -> (Ending, Channel) {
    loop {
        let order = {
            let end = std::pin::pin!(control.recv_value::<Ended>());
            let order = std::pin::pin!(orders.recv());
            match select(end, order).await {
                Either::Left((end, _)) => None.ok_or(end),
                // Without a guard nobody wants it any more.
                Either::Right((order, _)) => Ok(order.unwrap_or(SIGKILL)),
            }
        };
        let number = match order {
            Ok(number) => number,
            Err(Ok(Some(end))) => return (end.into(), control),
            Err(_) => return (Ending::Closed, control),
        };
        let Ok(message) = signal(number) else { continue };
        if number != SIGKILL {
            let _ = control.send(message).await;
            continue;
        }
        let killed = async {
            let _ = control.send(message).await;
            control.recv_value::<Ended>().await
        };
        let ending = match timeout(KILLED, killed).await {
            Ok(Ok(Some(end))) => end.into(),
            Ok(_) => Ending::Closed,
            Err(_) => Ending::Unknown,
        };
        return (ending, control);
    }
}

/// A program on a gateway's machine, as the far end of a link.
struct Remote {
    address: String,
    orders: mpsc::UnboundedSender<i32>,
    ending: watch::Receiver<Option<Ending>>,
}

impl FarEnd for Remote {
    fn address(&self) -> &str {
        &self.address
    }

    fn wait(&self) -> BoxFuture<'_, Ending> {
        let mut ending = self.ending.clone();
        Box::pin(async move {
            let found = ending.wait_for(Option::is_some).await.ok().and_then(|ending| *ending);
            found.unwrap_or(Ending::Unknown)
        })
    }

    fn kill(&self) {
        let _ = self.orders.send(SIGKILL);
    }

    fn interrupt(&self) {
        let _ = self.orders.send(SIGINT);
    }
}

/// What a program writes, until its end or until it is given up.
struct Output {
    reader: ChannelReader,
    given_up: Option<oneshot::Receiver<()>>,
}

impl AsyncRead for Output {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.reader).poll_read(cx, buf);
        if result.is_pending()
            && let Some(given_up) = &mut self.given_up
            && let Poll::Ready(told) = Pin::new(given_up).poll(cx)
        {
            self.given_up = None;
            if told.is_ok() {
                return Poll::Ready(Ok(()));
            }
        }
        result
    }
}

/// Connections that a gateway makes from its machine, from [`Gateway::dial`]: a [`Transport`] whose links carry the bytes of each, and nothing else.
#[derive(Clone, Debug)]
#[must_use = "a transport does nothing before `connect`"]
pub struct Dial {
    gateway: Gateway,
    address: String,
}

impl Gateway {
    /// An address to connect to from this gateway's machine: `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`, resolved there.
    ///
    /// ```no_run
    /// # async fn example(gw: execnet::Gateway) -> Result<(), Box<dyn std::error::Error>> {
    /// use execnet_transport::{Link, Transport};
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// // A web server that only that machine reaches. The guard keeps the connection.
    /// let Link { mut reader, mut writer, guard: _guard, .. } = gw.dial("localhost:8080").connect().await?;
    /// writer.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    /// let mut answer = String::new();
    /// reader.read_to_string(&mut answer).await?;
    /// # Ok(()) }
    /// ```
    pub fn dial(&self, address: impl Into<String>) -> Dial {
        Dial { gateway: self.clone(), address: address.into() }
    }
}

impl Transport for Dial {
    fn address(&self) -> String {
        format!("{} via {}", self.address, self.gateway.id())
    }

    fn connect(&self) -> BoxFuture<'_, Result<Link, ConnectError>> {
        #[derive(Deserialize)]
        struct Connected {
            peer: String,
        }
        Box::pin(async {
            let gateway = &self.gateway;
            let stream = gateway.new_channel().map_err(|error| failed(error.into()))?;
            let address = self.address.clone();
            let request = Request::Connect(ConnectRequest { address, stream: stream.id() });
            let request = request.to_bytes().map_err(|error| failed(error.into()))?;
            let mut control = gateway.ask(request).await.map_err(|error| failed(error.into()))?;
            let peer = match control.recv_value::<Connected>().await {
                Ok(Some(connected)) => connected.peer,
                other => return Err(refused(unexpected(other.err(), gateway).await, self)),
            };
            let (writer, reader) = stream.split();
            let stream = join(reader.into_reader(), writer.into_writer());
            let stream = Stream { stream, _control: control };
            Ok(Link::over(stream, format!("{peer} via {}", gateway.id())))
        })
    }
}

/// The bytes of a connection, and the channel whose end ends it.
struct Stream {
    stream: Join<ChannelReader, ChannelWriter>,
    _control: Channel,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Why a program did not start.
fn failed(error: CommandError) -> ConnectError {
    let fault = match &error {
        CommandError::NotStarted { fault, .. } => whose(fault),
        CommandError::Lost(_) => Fault::Link,
        CommandError::Open(_) => Fault::System,
        _ => Fault::FarEnd,
    };
    let stage = match error {
        CommandError::NotStarted { .. } => Stage::Spawn,
        _ => Stage::Connect,
    };
    ConnectError::other(stage, fault, error.to_string(), None)
}

/// Errors that a program's name or its arguments bring about.
fn whose(fault: &RemoteError) -> Fault {
    match fault.kind() {
        "FileNotFoundError" | "PermissionError" | "NotADirectoryError" | "ValueError" => {
            Fault::Caller
        }
        _ => Fault::FarEnd,
    }
}

/// Why there is no connection.
fn refused(error: CommandError, dial: &Dial) -> ConnectError {
    let CommandError::Failed(fault) = error else { return failed(error) };
    let stage = if fault.kind() == "gaierror" { Stage::Resolve } else { Stage::Connect };
    let whose = if fault.kind() == "ValueError" { Fault::Caller } else { Fault::FarEnd };
    let message =
        format!("{} cannot be reached from gateway {}: {fault}", dial.address, dial.gateway.id());
    ConnectError::other(stage, whose, message, None)
}
