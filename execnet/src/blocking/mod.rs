//! The same without `async`: for programs that have no runtime, and for threads of those that have one.
//!
//! Types and methods have the names of those at the [crate's root](crate), which says more about each. Where there one awaits,
//! here the calling thread waits. Specifications, sources, values and errors are the same types.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let group = execnet::blocking::Group::new();
//! let gw = group.make_gateway("popen//python=python3")?;
//!
//! // Items both ways, of any serde type.
//! let mut channel = gw.remote_exec("for x in channel: channel.send(x * 2)")?;
//! channel.send(&21)?;
//! let n: i64 = channel.receive_timeout(Duration::from_secs(5))?;
//! assert_eq!(n, 42);
//! channel.finish_sending();
//!
//! // All that come. A remote exception or a dead worker is an error, it never looks like the end.
//! for item in &mut gw.remote_exec("for n in range(3): channel.send(n)")? {
//!     println!("{}", item?);
//! }
//! for n in gw.remote_exec("for n in range(3): channel.send(n)")?.typed::<(), u8>() {
//!     let n: u8 = n?;
//!     println!("{n}");
//! }
//!
//! // Each direction in a thread of its own.
//! let (mut sender, receiver) = gw.remote_exec("for x in channel: channel.send(x * 2)")?.split();
//! std::thread::scope(|scope| {
//!     scope.spawn(move || (0..1000).try_for_each(|n| sender.send(&n)));
//!     assert_eq!(receiver.count(), 1000);
//! });
//!
//! // Bytes, through `std::io`.
//! let (_, receiver) = gw.remote_exec("print('a line', file=channel.makefile('w'))")?.split();
//! println!("{}", std::io::read_to_string(receiver.into_reader())?);
//!
//! group.terminate(Duration::from_secs(5))?;
//! # Ok(()) }
//! ```
//!
//! # Waiting
//!
//! A call that may wait for the far end has a sister `…_timeout`, unless it takes a limit anyway; a limit of zero takes what is
//! there at once. One that times out has lost nothing: the item that comes later is the next one received, and an item that was not
//! sent in time was not sent at all.
//!
//! # Threads
//!
//! [`Group`] and [`Gateway`] are used from any number of threads at once. A [`Channel`] is used by one thread at a time;
//! [`split`](Channel::split) parts it for two.
//!
//! Connections are served by one background thread, `execnet`, which starts when it is first needed and lives as long as the
//! process; if the system refuses it, that first call panics. Callbacks run beside it, on threads that come and go.
//!
//! # Inside of asynchronous programs
//!
//! Every call works there as well, on a current-thread runtime too, but it keeps the thread, and whatever else that thread is to do waits:
//! use the async API, or `spawn_blocking`.
//!
//! # The end of the process
//!
//! Dropping the last handle of a gateway kills its worker, as in the async API. However this process ends, with handles or
//! without, by `exit`, by Ctrl-C or by SIGKILL: its workers notice, interrupt their tasks, and are gone in about a second.

mod callback;
mod channel;
mod command;
mod file;
mod gateway;
mod group;
mod halves;
mod multi;
mod runtime;
mod typed;

pub use callback::CallbackHandle;
pub use channel::Channel;
pub use command::{Command, Process};
pub use file::{ChannelReader, ChannelWriter};
pub use gateway::Gateway;
pub use group::{Group, GroupBuilder, default_group, make_gateway};
pub use halves::{Receiver, Sender};
pub use multi::{MultiChannel, ReceiveQueue, TimedOut};
pub use typed::TypedChannel;
