//! The native far end: functions of this program, commands and connections, for whoever is at the other end of a link.

mod call;
mod command;
mod connection;
mod context;
mod error;
mod fault;
mod hello;
mod panic;
mod reach;
mod request;
mod stdio;
mod task;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use execnet_channel::Config;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};

pub use self::context::{BlockingContext, Context};
pub use self::error::ServeError;
use self::hello::Scope;
pub use self::stdio::run_if_agent;
use self::task::Task;

/// A far end with tasks of your own: functions by name, which a controller calls with
/// [`Gateway::call`](https://docs.rs/execnet/latest/execnet/struct.Gateway.html#method.call) or starts with `Gateway::start`. It also starts programs and makes connections for
/// the controller; it runs no source.
///
/// Cheap to clone; one agent may serve any number of connections.
///
/// ```
/// use execnet_agent::{Agent, Context};
///
/// let agent = Agent::builder()
///     .task("sum", |_, numbers: Vec<i64>| async move { Ok::<_, String>(numbers.iter().sum::<i64>()) })
///     .task("parse", |_, text: String| async move { text.parse::<f64>() })
///     .task("countdown", |ctx: Context, from: u32| async move {
///         for n in (1..=from).rev() {
///             ctx.send(&n).await?;
///         }
///         Ok::<_, execnet_agent::SendError>("lift-off")
///     })
///     .build();
/// ```
///
/// # What becomes of a task
///
/// | the task | the caller gets |
/// |---|---|
/// | returns `Ok` | the value, after what the task has sent on its channel |
/// | returns `Err` | a remote error with the name of the error's type, its message, and the chain of its causes |
/// | panics | a remote error `panic` with the message, the place and a backtrace; the agent lives on |
/// | is interrupted | a remote error `Cancelled`, or what the task makes of [`Context::cancelled`] |
///
/// Each call is a tokio task of its own; [`blocking_task`](AgentBuilder::blocking_task) is for code that blocks its thread.
#[derive(Clone)]
pub struct Agent(Arc<Inner>);

struct Inner {
    tasks: BTreeMap<String, Task>,
    config: Config,
    cancel_grace: Duration,
}

/// Makes an [`Agent`]; from [`Agent::builder`].
#[must_use]
pub struct AgentBuilder {
    inner: Inner,
}

impl AgentBuilder {
    /// Adds a task: an async function of a [`Context`] and one argument, of any type that serde reads. More arguments
    /// are a tuple, or a struct; none is `()`. Of two with the same name the later one counts.
    ///
    /// The error is anything that becomes a boxed error, a `String` too.
    pub fn task<F, Args, Fut, Out, E>(mut self, name: impl Into<String>, task: F) -> Self
    where
        F: Fn(Context, Args) -> Fut + Send + Sync + 'static,
        Args: DeserializeOwned + Send + 'static,
        Fut: Future<Output = Result<Out, E>> + Send + 'static,
        Out: Serialize + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
    {
        self.inner.tasks.insert(name.into(), Task::asynchronous(task));
        self
    }

    /// Adds a task that blocks its thread: it computes for long, or waits by other means than tokio's. It gets a thread of tokio's blocking pool.
    ///
    /// A thread cannot be stopped from outside: look at [`BlockingContext::is_cancelled`] now and then.
    pub fn blocking_task<F, Args, Out, E>(mut self, name: impl Into<String>, task: F) -> Self
    where
        F: Fn(BlockingContext, Args) -> Result<Out, E> + Send + Sync + 'static,
        Args: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
    {
        self.inner.tasks.insert(name.into(), Task::blocking(task));
        self
    }

    /// How long a task that watches [`Context::cancelled`] may go on after an interrupt; default 1 s. One that does not is dropped at
    /// its next await at once.
    pub fn cancel_grace(mut self, grace: Duration) -> Self {
        self.inner.cancel_grace = grace;
        self
    }

    /// Limits and windows of the connections; default [`Config::balanced`].
    pub fn config(mut self, config: Config) -> Self {
        self.inner.config = config;
        self
    }

    /// The agent.
    #[must_use]
    pub fn build(self) -> Agent {
        Agent(Arc::new(self.inner))
    }
}

impl Agent {
    /// An agent to be given tasks.
    pub fn builder() -> AgentBuilder {
        let inner = Inner {
            tasks: BTreeMap::new(),
            config: Config::default(),
            cancel_grace: Duration::from_secs(1),
        };
        AgentBuilder { inner }
    }

    /// Serves one connection over a reader and a writer, until the controller ends it or is gone, and what it had
    /// started has ended.
    ///
    /// This process may serve others as well, so settings that would change all of it are refused: `chdir`, `nice`, and an `env` that
    /// differs from what is. [`stdio`](Self::stdio) applies them.
    ///
    /// Needs a tokio runtime with I/O and time enabled. Dropping the future kills the connection's commands and
    /// drops its tasks.
    ///
    /// # Errors
    /// [`ServeError`]: the other side does not speak the protocol, or the link broke.
    pub async fn serve<R, W>(&self, reader: R, writer: W) -> Result<(), ServeError>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        connection::serve(self, reader, writer, Scope::Connection, Arc::default()).await
    }

    /// Is the far end of whoever started this process: serves the connection on standard input and output, and applies
    /// its settings to the process.
    ///
    /// Takes descriptors 0 and 1 away: standard input is then `/dev/null`, and what is printed goes to
    /// standard error, which the controller shows. When the link has ended the process is to end: if blocking tasks are left that do
    /// not, this exits the process itself, and so it does 4 s after the link broke, whatever blocks the runtime.
    ///
    /// # Errors
    /// As [`serve`](Self::serve), and when standard input and output are no link.
    pub async fn stdio(&self) -> Result<(), ServeError> {
        stdio::serve(self).await
    }

    /// Names of the tasks, sorted.
    pub fn tasks(&self) -> impl Iterator<Item = &str> {
        self.0.tasks.keys().map(String::as_str)
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").field("tasks", &self.0.tasks.keys()).finish_non_exhaustive()
    }
}

impl fmt::Debug for AgentBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentBuilder")
            .field("tasks", &self.inner.tasks.keys())
            .finish_non_exhaustive()
    }
}
