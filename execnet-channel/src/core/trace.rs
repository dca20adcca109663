//! Every frame as an event of `tracing`, with the feature of that name; without it, nothing.

use execnet_proto::Header;

#[cfg(feature = "tracing")]
macro_rules! tell {
    ($header:expr, $verb:literal) => {{
        let Header { kind, len, channel } = $header;
        tracing::trace!(target: "execnet_channel::frame", %kind, channel, len, $verb);
    }};
}

#[cfg(not(feature = "tracing"))]
macro_rules! tell {
    ($header:expr, $verb:literal) => {
        let _ = $header;
    };
}

#[inline]
pub(super) fn sent(header: Header) {
    tell!(header, "sent");
}

#[inline]
pub(super) fn received(header: Header) {
    tell!(header, "received");
}
