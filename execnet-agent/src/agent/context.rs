//! What a task is given beside its argument.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use execnet_channel::{
    Channel, ChannelId, Message, OpenError, ReceiveError, Receiver, SendError, Sender,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};

use super::connection::Connection;

/// A task's side of its call: the channel to the caller, and whether the task is to stop.
///
/// The channel is open until the task has returned; what it returns is the last item on it.
pub struct Context {
    connection: Arc<Connection>,
    call: Arc<Call>,
    receiver: Receiver,
}

/// What the task and whoever tells its end share.
pub(super) struct Call {
    pub(super) sender: Mutex<Sender>,
    interrupts: watch::Receiver<u32>,
    /// The task looks for interrupts: it is given time to end by itself.
    watches: AtomicBool,
}

impl Call {
    pub(super) fn new(sender: Sender, interrupts: watch::Receiver<u32>) -> Arc<Self> {
        Arc::new(Self { sender: Mutex::new(sender), interrupts, watches: AtomicBool::new(false) })
    }

    pub(super) fn watches(&self) -> bool {
        self.watches.load(Ordering::Relaxed)
    }

    /// Waits for the first interrupt.
    pub(super) async fn interrupted(&self) {
        let mut interrupts = self.interrupts.clone();
        if interrupts.wait_for(|&count| count > 0).await.is_err() {
            // The connection has gone without one; what runs on it is dropped.
            std::future::pending::<()>().await;
        }
    }
}

impl Context {
    pub(super) fn new(connection: Arc<Connection>, call: Arc<Call>, receiver: Receiver) -> Self {
        Self { connection, call, receiver }
    }

    /// The id of the controller's gateway; empty when it gave none.
    #[must_use]
    pub fn gateway_id(&self) -> &str {
        self.connection.id()
    }

    /// Sends the caller an item, such as how far the task has got. Waits while the caller does not read. Cancel safe.
    ///
    /// # Errors
    /// The caller has closed the channel or is gone, or the item does not cross: nothing of it was sent.
    pub async fn send<T: Serialize + ?Sized>(&self, item: &T) -> Result<(), SendError> {
        self.call.sender.lock().await.send_value(item).await
    }

    /// Sends the caller a bytes object, which is not copied. Cancel safe.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_bytes(&self, bytes: impl Into<bytes::Bytes> + Send) -> Result<(), SendError> {
        self.call.sender.lock().await.send(Message::bytes(bytes)).await
    }

    /// The caller's next item; `None` when no more will come, because it has finished sending or this agent is to end. Cancel safe.
    ///
    /// # Errors
    /// The caller has closed the channel with an error, is gone, or has sent something that is no `T`.
    pub async fn receive<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ReceiveError> {
        self.receive_message().await?.map(|message| message.to_value()).transpose()
    }

    /// The caller's next message, as it came: bytes are not copied. Cancel safe.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub async fn receive_message(&mut self) -> Result<Option<Message>, ReceiveError> {
        tokio::select! {
            biased;
            message = self.receiver.recv() => message,
            () = self.connection.input_ends() => Ok(None),
        }
    }

    /// Resolves when the task is to stop: the caller has interrupted it, or this agent is to end. Cancel safe.
    ///
    /// A task that has called this is given the agent's [`cancel_grace`](super::AgentBuilder::cancel_grace) to return what
    /// it likes; any other is dropped at its next await.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        self.call.watches.store(true, Ordering::Relaxed);
        let call = self.call.clone();
        async move { call.interrupted().await }
    }

    /// Whether the task is to stop. Asking counts as [`cancelled`](Self::cancelled) does.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.call.watches.store(true, Ordering::Relaxed);
        *self.call.interrupts.borrow() > 0
    }

    /// Takes a channel that the caller has opened and names by number, in the argument or in an item. `None` when there
    /// is no such channel, or it was taken before.
    #[must_use]
    pub fn channel(&self, id: ChannelId) -> Option<Channel> {
        self.connection.claim(id)
    }

    /// Opens a channel; the caller gets it when its [`ChannelId`] is sent in an item.
    ///
    /// # Errors
    /// Too many are open, or the caller is gone.
    pub fn new_channel(&self) -> Result<Channel, OpenError> {
        self.connection.mux().open()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Context of channel {}>", self.receiver.id())
    }
}

/// The same for a task that blocks its thread: from [`AgentBuilder::blocking_task`](super::AgentBuilder::blocking_task).
#[derive(Debug)]
pub struct BlockingContext {
    context: Context,
    runtime: Handle,
}

impl BlockingContext {
    pub(super) fn new(context: Context, runtime: Handle) -> Self {
        Self { context, runtime }
    }

    /// See [`Context::gateway_id`].
    #[must_use]
    pub fn gateway_id(&self) -> &str {
        self.context.gateway_id()
    }

    /// See [`Context::send`].
    ///
    /// # Errors
    /// The caller has closed the channel or is gone, or the item does not cross.
    pub fn send<T: Serialize + ?Sized>(&self, item: &T) -> Result<(), SendError> {
        self.runtime.block_on(self.context.send(item))
    }

    /// See [`Context::receive`]; an interrupt does not end the wait.
    ///
    /// # Errors
    /// The caller has closed the channel with an error, is gone, or has sent something that is no `T`.
    pub fn receive<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ReceiveError> {
        self.runtime.block_on(self.context.receive())
    }

    /// Whether the task is to stop: return soon then. Nothing else ends its thread.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.context.is_cancelled()
    }
}
