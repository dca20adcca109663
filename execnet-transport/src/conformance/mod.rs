//! What every link must pass, to be run from the tests of a transport: [`Transport`]'s contract as cases.
//!
//! Make your transport reach a [`Peer`], hand it to a [`Suite`], and say what its links lack:
//!
//! ```
//! use execnet_transport::conformance::{Capability, Peer, Suite};
//! use execnet_transport::{Link, Memory};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let peer = Peer::new()?;
//! let far_end = peer.clone();
//! let transport = Memory::new(move |far| {
//!     let far_end = far_end.clone();
//!     tokio::spawn(async move {
//!         let Link { reader, writer, guard: _guard, .. } = far;
//!         far_end.serve(reader, writer).await
//!     });
//! });
//! let within = "the far end is in this process";
//! Suite::new(&peer, transport)
//!     .lacks(Capability::ExitStatus, within)
//!     .lacks(Capability::Kill, within)
//!     .lacks(Capability::Interrupt, within)
//!     .lacks(Capability::Stderr, within)
//!     .lacks(Capability::ConnectErrors, "there is nothing that could fail")
//!     .run()
//!     .await
//!     .assert_passed();
//! # Ok(())
//! # }
//! ```
//!
//! Where the far end is a process, [`Peer::python`] is the program for it; `tests/conformance.rs` of this crate shows
//! that, and what a broken link is told.
//!
//! The suite needs Python 3.6 or later for such far ends, an unpaused clock, and some seconds.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test's code: what panics here is told as a failure of the test"
)]

mod cases;
mod peer;
mod report;

pub use peer::Peer;
pub use report::{Outcome, Report, Verdict};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use self::cases::{CASES, Case};
use crate::{Fault, Link, Stage, Transport};

/// What the contract lets a link be without. Prints as what it is: `exit status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// The far end is a process, and [`Guard::wait`](crate::Guard::wait) tells its exit status.
    ExitStatus,
    /// It tells the signal too that ended the process. Lacking where the exit status is.
    Signal,
    /// A kill ends a far end that does not look at its link. Without, it closes the link, and the far end
    /// is expected to end at end-of-file.
    Kill,
    /// [`Guard::interrupt`](crate::Guard::interrupt) reaches the far end.
    Interrupt,
    /// The far end has a standard error of its own, in [`Link::stderr`].
    Stderr,
    /// Connecting can fail. Unless declared as lacking, [`Suite::fails`] is to show one way at least.
    ConnectErrors,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExitStatus => "exit status",
            Self::Signal => "signal",
            Self::Kill => "kill",
            Self::Interrupt => "interrupt",
            Self::Stderr => "standard error",
            Self::ConnectErrors => "connect errors",
        })
    }
}

/// The cases, and the transport that is to pass them. See the [module](self).
#[derive(Debug)]
#[must_use = "a suite does nothing before `run`"]
pub struct Suite {
    peer: Peer,
    transport: Arc<dyn Transport>,
    lacking: Vec<(Capability, String)>,
    failing: Vec<(Arc<dyn Transport>, Stage, Fault)>,
    only: Option<&'static str>,
    patience: Duration,
}

impl Suite {
    /// For a transport each of whose links leads to a far end of `peer`'s.
    pub fn new(peer: &Peer, transport: impl Transport + 'static) -> Self {
        Self {
            peer: peer.clone(),
            transport: Arc::new(transport),
            lacking: Vec::new(),
            failing: Vec::new(),
            only: None,
            patience: Duration::from_secs(60),
        }
    }

    /// Declares what the links are without, and why. Cases that need it are not run, and the report says so.
    ///
    /// A standard error, exit status or interrupt that is there all the same is a failure.
    pub fn lacks(mut self, capability: Capability, reason: impl Into<String>) -> Self {
        self.lacking.push((capability, reason.into()));
        self
    }

    /// Adds a transport that cannot connect, and what its error is to say. Call it for each stage that can fail.
    pub fn fails(
        mut self,
        transport: impl Transport + 'static,
        stage: Stage,
        fault: Fault,
    ) -> Self {
        self.failing.push((Arc::new(transport), stage, fault));
        self
    }

    /// Runs this case alone, such as `half-close`; unknown ones give an empty report.
    pub fn only(mut self, case: &'static str) -> Self {
        self.only = Some(case);
        self
    }

    /// How long a case may take before it counts as standing still, and four times what may take what should come
    /// at once; 60 s by default.
    pub fn patience(mut self, limit: Duration) -> Self {
        self.patience = limit;
        self
    }

    /// Runs the cases one after another.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time enabled.
    pub async fn run(&self) -> Report {
        let mut outcomes = Vec::new();
        for case in CASES.iter().filter(|case| self.only.is_none_or(|only| only == case.name)) {
            let verdict = match case.needs.and_then(|capability| self.lacking(capability)) {
                Some(lacking) => lacking,
                None => match self.try_case(case).await {
                    Ok(()) => Verdict::Passed,
                    Err(why) => Verdict::Failed(why),
                },
            };
            outcomes.push(Outcome { case: case.name, clause: case.clause, verdict });
        }
        Report { address: self.transport.address(), outcomes }
    }

    /// How long what should come at once may take, so that its absence is told by its name.
    fn step(&self) -> Duration {
        self.patience / 4
    }

    async fn try_case(&self, case: &Case) -> Result<(), String> {
        let limit = self.patience;
        match tokio::time::timeout(limit, (case.run)(self)).await {
            Ok(result) => result?,
            Err(_) => return Err(format!("it stood still: not done after {limit:?}")),
        }
        tokio::time::timeout(limit, self.peer.all_gone()).await.map_err(|_| {
            self.peer.forget();
            format!("the link is gone, and a far end of it is still there after {limit:?}")
        })
    }

    fn lacking(&self, wanted: Capability) -> Option<Verdict> {
        let includes = |lacking: Capability| {
            lacking == wanted || (lacking, wanted) == (Capability::ExitStatus, Capability::Signal)
        };
        let (capability, reason) = self.lacking.iter().find(|(lacking, _)| includes(*lacking))?;
        Some(Verdict::Lacking { capability: *capability, reason: reason.clone() })
    }

    fn has(&self, capability: Capability) -> bool {
        self.lacking(capability).is_none()
    }

    async fn connect(&self) -> Result<Link, String> {
        self.transport.connect().await.map_err(|error| format!("cannot connect: {error}"))
    }

    /// A link to a far end that was told what to do.
    async fn start(&self, command: &str) -> Result<Link, String> {
        let mut link = self.connect().await?;
        let sent = async {
            link.writer.write_all(format!("{command}\n").as_bytes()).await?;
            link.writer.flush().await
        };
        sent.await.map_err(|error| format!("cannot send `{command}`: {error}"))?;
        Ok(link)
    }
}
