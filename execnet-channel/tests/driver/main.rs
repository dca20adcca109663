//! The driver and the handles, over memory and over real sockets.
//!
//! Most of it is driven by hand: a future is polled only when its waker was called, so that a wakeup
//! that is lost shows as something that never happens, and a needless one can be counted.

mod support;

mod answers;
mod cancel;
mod clock;
mod dialogue;
mod ends;
mod handles;
mod lent;
mod pressure;
mod readers;
mod single_waker;
mod sockets;
mod stress;
mod talk;
mod wakes;
mod writes;
