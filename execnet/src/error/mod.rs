//! One error for each operation. Each keeps what the layer below said as its `source()`.

mod channel;
mod deploy;
mod gateway;
mod lost;
mod remote;
mod run;

pub use channel::{ReceiveError, SendError, WaitError};
pub use deploy::DeployError;
pub use gateway::GatewayError;
pub use lost::{GatewayLost, TerminateError};
pub use remote::RemoteError;
pub use run::{CallError, CommandError, ExecError};
