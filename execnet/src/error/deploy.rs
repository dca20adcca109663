//! Why an agent could not be carried to another host.

use std::io;
use std::path::PathBuf;

/// An agent's program could not be carried to another host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// The host is another kind of machine.
    #[error(
        "that host is {found:?}, and the program is for {ours:?}; install an agent there, or name one with `agent=PROGRAM`"
    )]
    Machine {
        /// What `uname -sm` says there.
        found: String,
        /// What the program is for.
        ours: String,
    },
    /// There is no folder in which a program may be written and run.
    #[error(
        "no folder there lets a program be written and run: neither the user's cache nor /tmp, /var/tmp or /dev/shm"
    )]
    Nowhere,
    /// What arrived is not what was sent.
    #[error("{arrived} of {size} bytes arrived, or others than were sent")]
    Corrupt {
        /// Bytes that arrived.
        arrived: u64,
        /// Bytes of the program.
        size: u64,
    },
    /// The program cannot be read here.
    #[error("cannot read {}", .program.display())]
    Read {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The link broke while it was sent.
    #[error("the link broke during the upload")]
    Send(#[source] io::Error),
    /// Whatever was reached there said nothing of what was asked.
    #[error("no shell answered that could start it")]
    Silent,
}
