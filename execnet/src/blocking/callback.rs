//! Receiving by callback.

use std::error::Error;
use std::time::Duration;

use execnet_proto::Value;
use tokio::task::JoinHandle;

use super::Receiver;
use super::runtime::{enter, give_way, wait, wait_timeout};
use crate::ReceiveError;

/// A callback at work, from [`Receiver::set_callback`]. Dropping this does not end it.
#[derive(Debug)]
pub struct CallbackHandle(JoinHandle<()>);

impl Receiver {
    /// Calls a function with every item, in order, then exactly once with the end; see
    /// [`crate::Receiver::set_callback`].
    ///
    /// It is called on a thread of the background, and may wait there, for execnet as well: other channels and gateways go on.
    /// Up to 512 callbacks may do so at the same time.
    pub fn set_callback<F>(self, mut callback: F) -> CallbackHandle
    where
        F: FnMut(Result<Value, ReceiveError>) -> Result<(), Box<dyn Error + Send + Sync>>
            + Send
            + 'static,
    {
        let _entered = enter();
        CallbackHandle(self.0.set_callback(move |item| give_way(|| callback(item))))
    }
}

impl CallbackHandle {
    /// Waits until the callback has been called for the last time.
    pub fn join(self) {
        // Its end may have been seen by `join_timeout`, and a handle tells it once.
        if !self.is_finished() {
            // It can neither panic nor be cancelled: the runtime lives as long as the process.
            let _ = wait(self.0);
        }
    }

    /// The same, but waits no longer than `limit`; whether it has been called for the last time.
    #[must_use]
    pub fn join_timeout(&mut self, limit: Duration) -> bool {
        self.is_finished() || wait_timeout(limit, &mut self.0).is_some()
    }

    /// Whether it has been called for the last time.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}
