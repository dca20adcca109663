//! What the halves of a channel share: its place in the connection, and how they keep from starving others.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use execnet_proto::{ChannelId, Fault};
use tokio::task::coop;

use crate::ReceiveError;
use crate::mux::Link;

/// One channel's place in the connection; the last of its handles lets go of it.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) link: Arc<Link>,
    pub(super) id: ChannelId,
    forgotten: bool,
}

impl Handle {
    pub(super) fn new(link: Arc<Link>, id: ChannelId) -> Arc<Self> {
        Arc::new(Self { link, id, forgotten: false })
    }

    /// Lets go of the channel, and of received messages of this cost that nobody has read.
    pub(super) fn forget(&mut self, cost: u32, advanced: usize) {
        if !std::mem::replace(&mut self.forgotten, true) {
            self.link.forget(self.id, cost, advanced);
        }
    }

    pub(super) fn close(&self, fault: Option<Fault>) {
        self.link.shared.with(|state| state.core.close(self.id, fault));
    }

    pub(super) fn interrupt(&self) {
        self.link.shared.with(|state| state.core.interrupt(self.id));
    }

    pub(super) async fn wait_close(&self) -> Result<(), ReceiveError> {
        poll_fn(|cx| {
            let mut state = self.link.shared.lock();
            match state.core.closed(self.id) {
                Some(result) => Poll::Ready(result),
                None => {
                    state.wait_closed(self.id, cx);
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.forget(0, 0);
    }
}

/// Lets other tasks run now and then, however ready this one always is.
pub(super) fn poll_budget(cx: &mut Context<'_>, used: &mut u32, more: u32, unit: u32) -> Poll<()> {
    // Asked again and again without a yield in between, it stays where it is.
    if *used < unit {
        *used += more;
    }
    while *used >= unit {
        ready!(coop::poll_proceed(cx)).made_progress();
        *used -= unit;
    }
    Poll::Ready(())
}
