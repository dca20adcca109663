#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

// Far ends, and talking with them.
mod gateway;
pub use gateway::{Gateway, Info};
mod group;
pub use group::{Group, GroupBuilder};
mod progress;
pub use progress::StartProgress;
mod default_group;
pub use default_group::{default_group, make_gateway};
mod call;
mod channel;
pub use channel::{Channel, ChannelReader, ChannelWriter, Receiver, Sender, TypedChannel};
mod multi;
pub use multi::{MultiChannel, ReceiveQueue};
mod source;
pub use source::Source;
mod command;
mod process;
pub use command::{Command, Stdio};
pub use process::{CommandOutput, Process};
mod output;
pub use output::{Output, OutputLine, OutputStream};

// The same for threads.
#[cfg(feature = "blocking")]
pub mod blocking;

// Who is asked for passwords.
#[cfg(feature = "ssh-native")]
pub mod ssh;

// What can go wrong.
mod error;
pub use error::{
    CallError, CommandError, DeployError, ExecError, GatewayError, GatewayLost, ReceiveError,
    RemoteError, SendError, TerminateError, WaitError,
};

// How a specification becomes a gateway.
mod connect;
mod scheme;
mod via;
pub use scheme::{Scheme, worker_command};
pub use via::Dial;

// What of the lower layers appears above.
pub use execnet_channel::{Config, ConnectionError, OpenError};
pub use execnet_proto::{BigInt, ChannelId, Value};
#[cfg(feature = "ssh")]
pub use execnet_transport::ssh::SshError;
pub use execnet_transport::{ConnectError, Ending};
pub use execnet_xspec::{SpecError, XSpec};

// The guide's programs compile.
#[cfg(all(doctest, feature = "ssh"))]
#[doc = include_str!("../SSH.md")]
struct SshGuide;

#[cfg(doctest)]
#[doc = include_str!("../COOKBOOK.md")]
struct Cookbook;
