//! Channels inside items: a channel is a serde type wherever an item is sent or received.

use std::cell::RefCell;

use execnet_proto::ChannelId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::{Channel, Receiver, Sender};
use crate::Gateway;

thread_local! {
    /// The gateway whose item is being encoded or decoded on this thread.
    static AT_WORK: RefCell<Option<Gateway>> = const { RefCell::new(None) };
}

/// Encodes or decodes an item of this gateway; channels in it are those of the gateway.
pub(crate) fn over<T>(gateway: &Gateway, work: impl FnOnce() -> T) -> T {
    /// Puts back what was there before, also when the work panics.
    struct Restore(Option<Gateway>);

    impl Drop for Restore {
        fn drop(&mut self) {
            AT_WORK.set(self.0.take());
        }
    }

    let _restore = Restore(AT_WORK.replace(Some(gateway.clone())));
    work()
}

fn serialize<S: Serializer>(
    id: ChannelId,
    gateway: &Gateway,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    AT_WORK.with_borrow(|at_work| match at_work {
        Some(over) if over.is_same(gateway) => Ok(()),
        Some(over) => Err(ser::Error::custom(format_args!(
            "channel {id} belongs to gateway {}, it cannot cross to gateway {}",
            gateway.id(),
            over.id()
        ))),
        None => Err(ser::Error::custom(format_args!(
            "channel {id} of gateway {} can only be sent over a channel of that gateway",
            gateway.id()
        ))),
    })?;
    id.serialize(serializer)
}

/// Sends a reference: the remote code finds a channel there. Keep the channel here, to use the other
/// end of it; a channel that belongs to another gateway is refused.
impl Serialize for Channel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self.id(), &self.gateway, serializer)
    }
}

/// As [`Channel`] does.
impl Serialize for Sender {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self.inner.id(), &self.gateway, serializer)
    }
}

/// As [`Channel`] does.
impl Serialize for Receiver {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self.inner.id(), &self.gateway, serializer)
    }
}

/// Takes the channel that the remote code has made with `channel.gateway.newchannel()` and sent. It can be
/// taken once; one that this program opened, and gets back, is the one it has already.
impl<'de> Deserialize<'de> for Channel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = ChannelId::deserialize(deserializer)?;
        let Some(gateway) = AT_WORK.with_borrow(Clone::clone) else {
            return Err(de::Error::custom("a channel can only be received over a channel"));
        };
        gateway.channel(id).ok_or_else(|| {
            de::Error::custom(format_args!(
                "channel {id} of gateway {} is in use already, or closed",
                gateway.id()
            ))
        })
    }
}
