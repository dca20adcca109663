//! One channel's life.
//!
//! ```text
//!   sending      Open ──▶ Finishing ──▶ Finished ──▶ Closing ──▶ Closed
//!                  │          (EOF once the last message is out)    ▲
//!                  └────────────────────────────▶ Closing ──────────┘
//!                                      (CLOSE once the last message is out)
//!   receiving    Open ──▶ Finished (EOF came) ──▶ Closed (CLOSE came)
//! ```
//!
//! A CLOSE from the peer drops what is still to be sent and takes `sending` to `Closed`. The channel
//! is over when both are `Closed`; its inbox stays until the application lets go of it.

use bytes::{Bytes, BytesMut};
use execnet_proto::{Fault, Format};

use super::Inbox;
use super::credit::{RecvWindow, SendWindow};

/// How far sending has come.
#[derive(Debug)]
pub(crate) enum Sending {
    Open,
    Finishing,
    Finished,
    Closing(Option<Box<Fault>>),
    Closed,
}

/// How far receiving has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receiving {
    Open,
    Finished,
    Closed,
}

/// A message, or the rest of one, that waits for credit or for its turn.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) format: Format,
    pub(crate) rest: Bytes,
    /// Fragments of it are out already.
    pub(crate) started: bool,
}

/// The fragments of an unfinished message.
#[derive(Debug)]
pub(crate) struct Partial {
    pub(crate) format: Format,
    pub(crate) bytes: BytesMut,
    /// Credit to give back when the message is taken.
    pub(crate) cost: u32,
    /// Bytes whose credit went back already.
    pub(crate) advanced: usize,
    /// Its place among the unfinished messages of the connection.
    pub(crate) serial: u64,
}

/// Everything about one channel.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) sending: Sending,
    pub(crate) send_window: SendWindow,
    pub(crate) pending: Option<Outgoing>,
    /// The application has said that it sends no more.
    pub(crate) done: bool,
    /// Whether it stands in the schedule.
    pub(crate) scheduled: bool,

    pub(crate) receiving: Receiving,
    pub(crate) recv_window: RecvWindow,
    pub(crate) inbox: Inbox,
    pub(crate) partial: Option<Box<Partial>>,
    /// What the peer's CLOSE said.
    pub(crate) fault: Option<Box<Fault>>,
    /// The application knows of that, or has asked for it by an interrupt.
    pub(crate) fault_told: bool,

    /// Somebody wants to hear when a message can be sent, or is there, or the peer has closed.
    pub(crate) want_writable: bool,
    pub(crate) want_readable: bool,
    pub(crate) want_closed: bool,
    /// The application has taken notice of the channel.
    pub(crate) accepted: bool,
    /// The application has let go of one half of it.
    #[cfg(feature = "tokio")]
    pub(crate) half_gone: bool,
    /// The application has let go of it.
    pub(crate) forgotten: bool,
    /// The application reads no more: what arrives is dropped.
    pub(crate) discard: bool,
}

impl Slot {
    pub(crate) fn new(send_window: u32, recv_window: u32, accepted: bool) -> Self {
        Self {
            sending: Sending::Open,
            send_window: SendWindow::new(send_window),
            pending: None,
            done: false,
            scheduled: false,
            receiving: Receiving::Open,
            recv_window: RecvWindow::new(recv_window),
            inbox: Inbox::default(),
            partial: None,
            fault: None,
            fault_told: false,
            want_writable: false,
            want_readable: false,
            want_closed: false,
            accepted,
            #[cfg(feature = "tokio")]
            half_gone: false,
            forgotten: false,
            discard: false,
        }
    }

    /// Both CLOSEs have passed.
    pub(crate) const fn is_over(&self) -> bool {
        matches!((&self.sending, self.receiving), (Sending::Closed, Receiving::Closed))
    }

    /// We have closed, or are about to: what still arrives is dropped.
    pub(crate) const fn is_closed_here(&self) -> bool {
        matches!(self.sending, Sending::Closing(_) | Sending::Closed)
    }

    /// No further message will be put into the inbox.
    pub(crate) fn is_ended(&self) -> bool {
        self.receiving != Receiving::Open || self.is_closed_here()
    }
}
