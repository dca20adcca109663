//! Receiving by callback.

use std::any::Any;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};

use execnet_proto::{Fault, Value};
use futures_util::StreamExt;

use super::Receiver;
use crate::ReceiveError;

/// Whatever a callback fails with.
type Failure = Box<dyn Error + Send + Sync>;

impl Receiver {
    /// Calls a function with every item, in order, then exactly once with the end: [`ReceiveError::End`], the remote
    /// exception, or how the gateway died. It runs on a task of its own, as long as the channel is open; dropping the
    /// handle of that task does not end it.
    ///
    /// A callback that fails or panics is not called again: the channel is closed with its error, and no other
    /// channel is harmed. While it runs, no item of this channel is taken, so a slow one makes the remote code wait.
    ///
    /// ```no_run
    /// # async fn example(gw: execnet::Gateway) -> Result<(), Box<dyn std::error::Error>> {
    /// let channel = gw.remote_exec("for n in range(3): channel.send(n)").await?;
    /// let (_sender, receiver) = channel.split();
    /// let done = receiver.set_callback(|item| {
    ///     match item {
    ///         Ok(value) => println!("{value}"),
    ///         Err(end) => println!("{end}"),
    ///     }
    ///     Ok(())
    /// });
    /// done.await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn set_callback<F>(mut self, mut callback: F) -> tokio::task::JoinHandle<()>
    where
        F: FnMut(Result<Value, ReceiveError>) -> Result<(), Failure> + Send + 'static,
    {
        tokio::spawn(async move {
            loop {
                let item = match self.next().await {
                    Some(item) => item,
                    None => Err(ReceiveError::End),
                };
                let last = matches!(&item, Err(error) if !matches!(error, ReceiveError::Item(_)));
                match catch_unwind(AssertUnwindSafe(|| callback(item))) {
                    Ok(Ok(())) if last => return,
                    Ok(Ok(())) => {}
                    Ok(Err(failure)) => return self.fail("CallbackError", failure.to_string()),
                    Err(panic) => return self.fail("CallbackPanicked", panic_text(&*panic)),
                }
            }
        })
    }

    fn fail(&mut self, kind: &str, message: String) {
        self.inner.close(Some(Fault::new(kind, message)));
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("the callback panicked").to_owned()
}
