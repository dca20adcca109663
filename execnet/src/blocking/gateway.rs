//! One far end.

use std::fmt;
use std::time::Duration;

use execnet_proto::{ChannelId, Value};
use execnet_transport::Ending;
use execnet_xspec::XSpec;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Channel;
use super::runtime::{wait, wait_timeout};
use crate::{CallError, ExecError, GatewayLost, Info, OpenError, Source};

/// An interpreter somewhere, and the connection to it: [`crate::Gateway`] for threads.
///
/// Cheap to clone; all clones are the same far end, for any number of threads. When the last one has been dropped, channels and
/// the group's included, its process is killed.
#[derive(Clone)]
pub struct Gateway(pub(super) crate::Gateway);

impl Gateway {
    /// The gateway's id: unique in its group, and known to the worker.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.id()
    }

    /// The specification it was made from.
    #[must_use]
    pub fn spec(&self) -> &XSpec {
        self.0.spec()
    }

    /// The far end in words, such as `popen python3 [pid 4711]`.
    #[must_use]
    pub fn address(&self) -> &str {
        self.0.address()
    }

    /// What the far end told of itself. Nothing is asked: it came with its first words.
    #[must_use]
    pub fn info(&self) -> &Info {
        self.0.info()
    }

    /// Runs source code on the far end; see [`crate::Gateway::remote_exec`]. The request is on its way then, also when the far end
    /// does not read.
    ///
    /// ```no_run
    /// # fn example(gw: execnet::blocking::Gateway) -> Result<(), Box<dyn std::error::Error>> {
    /// use execnet::Source;
    ///
    /// let source = Source::from("def power(channel, base, exponent): channel.send(base ** exponent)");
    /// let mut channel = gw.remote_exec(source.call("power").arg("base", 2).arg("exponent", 10))?;
    /// assert_eq!(channel.receive::<i64>()?, 1024);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ExecError`]: nothing was run.
    pub fn remote_exec(&self, source: impl Into<Source>) -> Result<Channel, ExecError> {
        wait(self.0.remote_exec(source)).map(Channel)
    }

    /// Calls a task of a native agent by its name, and waits for its result; see [`crate::Gateway::call`].
    ///
    /// # Errors
    /// [`CallError`].
    pub fn call<Out: DeserializeOwned>(
        &self,
        task: &str,
        argument: &(impl Serialize + ?Sized),
    ) -> Result<Out, CallError> {
        wait(self.0.call(task, argument))
    }

    /// The same; `None` when there was no result within `limit`. The task is interrupted then.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn call_timeout<Out: DeserializeOwned>(
        &self,
        limit: Duration,
        task: &str,
        argument: &(impl Serialize + ?Sized),
    ) -> Result<Option<Out>, CallError> {
        wait_timeout(limit, self.0.call(task, argument)).transpose()
    }

    /// Starts a task of a native agent; see [`crate::Gateway::start`].
    ///
    /// # Errors
    /// [`ExecError`]: nothing was started.
    pub fn start(
        &self,
        task: &str,
        argument: &(impl Serialize + ?Sized),
    ) -> Result<Channel, ExecError> {
        wait(self.0.start(task, argument)).map(Channel)
    }

    /// Opens a channel on which nothing runs: it becomes useful when it is sent over another one.
    ///
    /// # Errors
    /// Too many channels are open, or the gateway has ended.
    pub fn new_channel(&self) -> Result<Channel, OpenError> {
        self.0.new_channel().map(Channel)
    }

    /// Takes a channel that remote code has opened and that a received [`Value::Channel`] names; see
    /// [`crate::Gateway::channel`].
    #[must_use]
    pub fn channel(&self, id: ChannelId) -> Option<Channel> {
        self.0.channel(id).map(Channel)
    }

    /// Whether both are the same far end.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.is_same(&other.0)
    }

    /// Asks the worker how it is; see [`crate::Gateway::status`].
    ///
    /// # Errors
    /// The gateway has ended.
    pub fn status(&self) -> Result<Value, GatewayLost> {
        wait(self.0.status())
    }

    /// The same; `None` when there was no answer within `limit`.
    ///
    /// # Errors
    /// The gateway has ended.
    pub fn status_timeout(&self, limit: Duration) -> Result<Option<Value>, GatewayLost> {
        wait_timeout(limit, self.0.status()).transpose()
    }

    /// Round-trip time to the worker's reader, which answers while tasks run.
    ///
    /// # Errors
    /// The gateway has ended.
    pub fn ping(&self) -> Result<Duration, GatewayLost> {
        wait(self.0.ping())
    }

    /// The same; `None` when there was no answer within `limit`.
    ///
    /// # Errors
    /// The gateway has ended.
    pub fn ping_timeout(&self, limit: Duration) -> Result<Option<Duration>, GatewayLost> {
        wait_timeout(limit, self.0.ping()).transpose()
    }

    /// The last lines that the far end printed.
    #[must_use]
    pub fn last_output(&self, lines: usize) -> Vec<String> {
        self.0.last_output(lines)
    }

    /// Ends the far end, within `patience` and 2 s; see [`crate::Gateway::exit`].
    pub fn exit(&self, patience: Duration) -> Option<Ending> {
        wait(self.0.exit(patience))
    }

    /// Kills the far end at once, with all processes of its group.
    pub fn kill(&self) {
        self.0.kill();
    }

    /// Waits until the gateway has ended, and tells how. Every caller gets the same.
    #[must_use]
    pub fn lost(&self) -> GatewayLost {
        wait(self.0.lost())
    }

    /// The same; `None` when it has not ended within `limit`.
    #[must_use]
    pub fn lost_timeout(&self, limit: Duration) -> Option<GatewayLost> {
        wait_timeout(limit, self.0.lost())
    }

    /// Whether the gateway has ended.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.0.is_lost()
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
