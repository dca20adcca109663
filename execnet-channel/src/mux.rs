//! The handle of a connection: opens channels, asks the peer, closes.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use execnet_proto::{ChannelId, Fault, Hello, OutputStream, Side, Terminate};
use futures_core::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf};
use tokio::time::Instant;

use crate::channel::Channel;
use crate::core::{Connection, Event, Status};
use crate::driver::Driver;
use crate::shared::{Shared, State, unlock};
use crate::waiting::{Askers, Ticket, Waiting};
use crate::{Config, ConfigError, ConnectionError, OpenError};

/// Many channels over one stream. Cheap to clone; all clones are the same connection.
///
/// The connection is closed when the last handle, those of its channels and [`Incoming`] included, has been dropped: after what was accepted for
/// sending has been sent. That waits for a peer that is alive and does not read, for as long as the [`Driver`] is polled; `idle_timeout` finds only
/// one that is silent. Put a time limit on the driver's future, or call [`close`](Self::close), where that may not be.
#[must_use = "dropping the last handle closes the connection"]
#[derive(Clone, Debug)]
pub struct Mux {
    link: Arc<Link>,
}

/// What all handles share: dropping the last one closes the connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) shared: Arc<Shared>,
    unread: OnceLock<Report>,
}

/// Is told of errors that nobody has received.
struct Report(Box<dyn Fn(ChannelId, Fault) + Send + Sync>);

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Report")
    }
}

impl Link {
    /// A channel is gone, and with it messages of this cost that were taken out of the core.
    pub(crate) fn forget(&self, id: ChannelId, cost: u32, advanced: usize) {
        let unread = self.shared.with(|state| {
            state.core.release(id, cost, advanced);
            state.forget(id)
        });
        self.report(id, unread);
    }

    /// The receiving half of a channel is gone, and with it messages of this cost.
    pub(crate) fn forget_receiver(&self, id: ChannelId, cost: u32, advanced: usize) {
        let unread = self.shared.with(|state| {
            state.core.release(id, cost, advanced);
            if state.core.let_go(id) {
                return state.forget(id);
            }
            state.discard(id);
            None
        });
        self.report(id, unread);
    }

    /// The sending half of a channel is gone.
    pub(crate) fn forget_sender(&self, id: ChannelId) {
        let unread = self.shared.with(|state| {
            if state.core.let_go(id) {
                return state.forget(id);
            }
            state.core.finish(id);
            None
        });
        self.report(id, unread);
    }

    fn report(&self, id: ChannelId, unread: Option<Fault>) {
        if let (Some(fault), Some(Report(report))) = (unread, self.unread.get()) {
            report(id, fault);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.with(|state| state.core.drain_connection());
    }
}

impl Mux {
    /// A connection over a reader and a writer: the handle, what the peer starts, and the
    /// [`Driver`] to spawn.
    ///
    /// The driver reads and writes; but a task that answers a message that came alone calls `writer` itself, within the runtime that this was
    /// called in, and leaves to the driver what cannot be written at once.
    ///
    /// # Errors
    /// A field of `config` is out of its range.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time enabled.
    pub fn new<R, W>(
        reader: R,
        writer: W,
        side: Side,
        config: Config,
    ) -> Result<(Self, Incoming, Driver<R>), ConfigError>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let core = Connection::new(side, config, Instant::now().into_std())?;
        let shared = Shared::new(core);
        let driver = Driver::new(shared.clone(), reader, writer);
        let link = Arc::new(Link { shared, unread: OnceLock::new() });
        Ok((Self { link: link.clone() }, Incoming { link }, driver))
    }

    /// The same over one stream that does both.
    ///
    /// # Errors
    /// A field of `config` is out of its range.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time enabled.
    pub fn over<S>(
        stream: S,
        side: Side,
        config: Config,
    ) -> Result<(Self, Incoming, Driver<ReadHalf<S>>), ConfigError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (reader, writer) = tokio::io::split(stream);
        Self::new(reader, writer, side, config)
    }

    /// Calls `report` with each error of the peer that is dropped with its channel: nobody has received it or waited for the close, and
    /// it is not the answer to an interrupt. It is called where the channel is dropped, and must not panic. Only the first call of this counts.
    pub fn on_unread_error(&self, report: impl Fn(ChannelId, Fault) + Send + Sync + 'static) {
        let _ = self.link.unread.set(Report(Box::new(report)));
    }

    /// Opens a channel. Nothing is waited for.
    ///
    /// # Errors
    /// Too many are open, no number is left, or the connection has ended.
    pub fn open(&self) -> Result<Channel, OpenError> {
        self.open_as(false)
    }

    /// Opens a channel whose first message is a request for the far end to run.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn exec(&self) -> Result<Channel, OpenError> {
        self.open_as(true)
    }

    fn open_as(&self, exec: bool) -> Result<Channel, OpenError> {
        let id = self.link.shared.with(|state| state.core.open(exec))?;
        Ok(Channel::new(self.link.clone(), id))
    }

    /// Takes a channel that the peer has opened, out of turn: when a message names it. `None` when there is none of this number,
    /// or when it was taken before.
    #[must_use]
    pub fn claim(&self, id: ChannelId) -> Option<Channel> {
        self.link.shared.with(|state| {
            let opened =
                |event: &Event| matches!(event, Event::Opened { channel, .. } if *channel == id);
            let place = state.incoming.iter().position(opened)?;
            state.incoming.remove(place);
            state.core.accept(id);
            Some(Channel::new(self.link.clone(), id))
        })
    }

    /// The peer's HELLO, as soon as it is here. Cancel safe.
    ///
    /// # Errors
    /// The connection ended before it came.
    pub async fn peer(&self) -> Result<Hello, ConnectionError> {
        let ticket = Ticket::new(&self.link.shared);
        poll_fn(|cx| {
            let mut state = self.link.shared.lock();
            if let Some(hello) = state.core.peer() {
                return Poll::Ready(Ok(hello.clone()));
            }
            if let Some(error) = state.core.error() {
                return Poll::Ready(Err(error.clone()));
            }
            state.watch(&ticket, cx);
            unlock(state);
            Poll::Pending
        })
        .await
    }

    /// Waits until the connection has ended, and tells why. Cancel safe.
    pub async fn closed(&self) -> ConnectionError {
        let ticket = Ticket::new(&self.link.shared);
        poll_fn(|cx| {
            let mut state = self.link.shared.lock();
            if let Some(error) = state.core.error() {
                return Poll::Ready(error.clone());
            }
            state.watch(&ticket, cx);
            unlock(state);
            Poll::Pending
        })
        .await
    }

    /// Why the connection has ended, if it has.
    #[must_use]
    pub fn error(&self) -> Option<ConnectionError> {
        self.link.shared.lock().core.error().cloned()
    }

    /// What came in front of the peer's preamble, while that has not come.
    #[must_use]
    pub fn noise(&self) -> Vec<u8> {
        self.link.shared.lock().core.noise()
    }

    /// Counts, and who waits for what, on this side. Takes time in proportion to the open channels.
    #[must_use]
    pub fn status(&self) -> Status {
        self.link.shared.lock().core.status()
    }

    /// Round-trip time to the peer's multiplexer. Cancel safe.
    ///
    /// # Errors
    /// The connection ended, before or meanwhile.
    pub async fn ping(&self) -> Result<Duration, ConnectionError> {
        let ping = |core: &mut Connection| core.ping(Instant::now().into_std(), 0);
        self.ask(|waiting| &mut waiting.pings, ping).await
    }

    /// Asks the peer how it is: a CBOR map. Cancel safe.
    ///
    /// # Errors
    /// The connection ended, before or meanwhile.
    pub async fn peer_status(&self) -> Result<Bytes, ConnectionError> {
        self.ask(|waiting| &mut waiting.questions, Connection::ask_status).await
    }

    /// Asks as soon as there is room for one more question, and waits for the answer.
    async fn ask<T>(
        &self,
        askers: fn(&mut Waiting) -> &mut Askers<T>,
        ask: fn(&mut Connection) -> bool,
    ) -> Result<T, ConnectionError> {
        let ticket = Ticket::new(&self.link.shared);
        poll_fn(|cx| {
            self.link.shared.with(|state| {
                if let Some(error) = state.core.error() {
                    return Poll::Ready(Err(error.clone()));
                }
                let State { waiting, core, old, .. } = state;
                match askers(waiting).poll(&ticket, core, ask, cx, old) {
                    Some(answer) => Poll::Ready(Ok(answer)),
                    None => Poll::Pending,
                }
            })
        })
        .await
    }

    /// Asks the far end to end, after what has been sent: tasks may go on for the grace, then are interrupted, then
    /// killed.
    pub fn terminate(&self, terminate: Terminate) {
        self.link.shared.with(|state| state.core.terminate(terminate));
    }

    /// Says farewell at once: all channels end. With a fault the peer learns that something was wrong.
    pub fn close(&self, fault: Option<Fault>) {
        self.link.shared.with(|state| state.core.close_connection(fault));
    }

    /// Sends what a far end's program printed; waits while the send buffer is full.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn output(
        &self,
        channel: Option<ChannelId>,
        stream: OutputStream,
        bytes: Bytes,
    ) -> Result<(), ConnectionError> {
        // A flush is the event to wait for; the answer to a PING comes after it.
        while !self.link.shared.lock().core.wants_output() {
            self.ping().await?;
        }
        self.link.shared.with(|state| state.core.output(channel, stream, bytes));
        self.error().map_or(Ok(()), Err)
    }

    /// Answers [`Request::Status`] with a CBOR map.
    pub fn answer_status(&self, answer: Bytes) {
        self.link.shared.with(|state| state.core.answer_status(answer));
    }
}

/// Something that the peer started.
#[derive(Debug)]
#[non_exhaustive]
pub enum Request {
    /// It opened a channel. Dropping the channel closes it.
    Opened {
        /// The channel.
        channel: Channel,
        /// The first message on it is a request to run.
        exec: bool,
    },
    /// What runs on this channel is to stop.
    Interrupt(ChannelId),
    /// We are to end.
    Terminate(Terminate),
    /// It asks how we are: [`Mux::answer_status`].
    Status,
    /// What the far end's programs printed.
    Output {
        /// The task that printed it, where that is known.
        channel: Option<ChannelId>,
        /// Where it was printed to.
        stream: OutputStream,
        /// The bytes.
        bytes: Bytes,
    },
}

/// What the peer starts, in order. A [`Stream`] that ends with the connection.
///
/// Drop it to refuse: channels that the peer opens are then closed at once, and output is thrown away. Kept but not
/// read, channels count against the peer's limit, and output of 256 KiB stops the reading of all.
#[must_use = "dropping it refuses what the peer starts; bind it to `_` if that is meant"]
#[derive(Debug)]
pub struct Incoming {
    link: Arc<Link>,
}

impl Incoming {
    /// The next request, or `None` when the connection has ended. Cancel safe.
    pub async fn next(&mut self) -> Option<Request> {
        poll_fn(|cx| self.poll_request(cx, State::next_incoming)).await
    }

    /// The next request that is no channel; those wait for [`Mux::claim`]. Cancel safe.
    pub async fn next_but_channels(&mut self) -> Option<Request> {
        poll_fn(|cx| self.poll_request(cx, State::next_incoming_but_channels)).await
    }

    fn poll_request(
        &mut self,
        cx: &mut Context<'_>,
        take: impl Fn(&mut State) -> Option<Event>,
    ) -> Poll<Option<Request>> {
        let mut driver = None;
        let mut state = self.link.shared.lock();
        let result = loop {
            let was_full = !state.wants_input();
            let Some(event) = take(&mut state) else {
                if state.core.error().is_some() {
                    break Poll::Ready(None);
                }
                state.wait_incoming(cx);
                break Poll::Pending;
            };
            if was_full && state.wants_input() {
                driver = state.take_driver();
            }
            break Poll::Ready(Some(match event {
                Event::Opened { channel: id, exec } => {
                    state.core.accept(id);
                    driver = driver.or_else(|| state.take_driver_if_due());
                    Request::Opened { channel: Channel::new(self.link.clone(), id), exec }
                }
                Event::Interrupt(id) => Request::Interrupt(id),
                Event::Terminate(terminate) => Request::Terminate(terminate),
                Event::StatusAsked => Request::Status,
                Event::Output { channel, stream, bytes } => {
                    Request::Output { channel, stream, bytes }
                }
                // The others never get into this queue.
                _ => continue,
            }));
        };
        unlock(state);
        if let Some(driver) = driver {
            driver.wake();
        }
        result
    }
}

impl Stream for Incoming {
    type Item = Request;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Request>> {
        self.get_mut().poll_request(cx, State::next_incoming)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.link.shared.with(|state| {
            state.incoming_gone = true;
            while let Some(event) = state.next_incoming() {
                if let Event::Opened { channel, .. } = event {
                    state.core.forget(channel);
                }
            }
        });
    }
}
