//! What the halves of a channel share: its place in the connection, and how they keep from starving others.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use execnet_proto::{ChannelId, Fault};
use tokio::task::coop;

use crate::ReceiveError;
use crate::mux::Link;

/// One channel's place in the connection.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    pub(super) link: Arc<Link>,
    pub(super) id: ChannelId,
}

impl Handle {
    pub(super) fn close(&self, fault: Option<Fault>) {
        self.link.shared.with(|state| state.core.close(self.id, fault));
    }

    pub(super) fn finish(&self) {
        self.link.shared.with(|state| state.core.finish(self.id));
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
