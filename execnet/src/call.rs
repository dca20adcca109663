//! Native tasks: calls with a result, and calls with a channel.

use execnet_proto::CallRequest;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::channel::passing;
use crate::{CallError, Channel, ExecError, Gateway, ReceiveError};

/// How a far end names the error about a task that it does not have (PROTOCOL.md §7).
const UNKNOWN_TASK: &str = "UnknownTask";

impl Gateway {
    /// Calls a task of a native agent by its name, and waits for its result. Items that the task sends meanwhile are
    /// dropped; [`start`](Self::start) gives them.
    ///
    /// Dropping the future interrupts the task. A task may run for as long as it likes: set a limit with `tokio::time::timeout`.
    ///
    /// ```no_run
    /// # async fn example(gw: execnet::Gateway) -> Result<(), Box<dyn std::error::Error>> {
    /// let total: i64 = gw.call("sum", &[1, 2, 3]).await?;
    /// let text = gw.call::<String>("greet", &("Ada", 36)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`CallError`]. A Python worker has no such tasks: its answer lists what it can do.
    pub async fn call<Out: DeserializeOwned>(
        &self,
        task: &str,
        argument: &(impl Serialize + ?Sized),
    ) -> Result<Out, CallError> {
        let channel = self.start(task, argument).await.map_err(|error| match error {
            ExecError::Lost(lost) => CallError::Lost(lost),
            error => CallError::NotSent(error),
        })?;
        let mut call = InterruptOnDrop { channel, running: true };
        let mut last = None;
        let end = loop {
            match call.channel.receive_message().await {
                Ok(message) => last = Some(message),
                Err(end) => break end,
            }
        };
        call.running = false;
        match end {
            ReceiveError::End => {}
            ReceiveError::Remote(error) if error.kind() == UNKNOWN_TASK => {
                return Err(CallError::UnknownTask(error));
            }
            ReceiveError::Remote(error) => return Err(CallError::Remote(error)),
            ReceiveError::Lost(lost) => return Err(CallError::Lost(lost)),
            error => return Err(not_the_result(task, error)),
        }
        let result = last.ok_or_else(|| CallError::NoResult(task.to_owned()))?;
        call.channel.decode(result).map_err(|error| not_the_result(task, error))
    }

    /// Starts a task of a native agent: its channel carries the items of both sides, and last the result. Returns as soon as the request is
    /// on its way; an unknown name comes out of the channel, as all errors of the task do.
    ///
    /// [`Channel::interrupt`] cancels the task; dropping the channel only closes it. Cancel safe in that either the whole request is sent or none.
    ///
    /// # Errors
    /// [`ExecError`]: nothing was started.
    pub async fn start(
        &self,
        task: &str,
        argument: &(impl Serialize + ?Sized),
    ) -> Result<Channel, ExecError> {
        let request = CallRequest { task, args: argument };
        let request = passing::over(self, || request.to_bytes())?;
        self.request(request).await
    }
}

/// Whoever does not wait for the result any more has no use for it.
struct InterruptOnDrop {
    channel: Channel,
    running: bool,
}

impl Drop for InterruptOnDrop {
    fn drop(&mut self) {
        if self.running {
            self.channel.interrupt();
        }
    }
}

fn not_the_result(task: &str, source: ReceiveError) -> CallError {
    CallError::Result { task: task.to_owned(), source: Box::new(source) }
}
