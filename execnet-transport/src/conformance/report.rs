//! What the suite has found.

use std::fmt;

use super::Capability;

/// What the suite has found: each case and what came of it. Prints as one line for each.
#[derive(Clone, Debug)]
#[must_use = "look at it, or call `assert_passed`"]
pub struct Report {
    pub(super) address: String,
    pub(super) outcomes: Vec<Outcome>,
}

/// What came of one case.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The case, as [`Suite::only`](super::Suite::only) takes it.
    pub case: &'static str,
    /// The clause of the contract that it is about.
    pub clause: &'static str,
    /// What came of it.
    pub verdict: Verdict,
}

/// Whether a link does as a clause says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It does.
    Passed,
    /// It does not: what was found, and what was expected.
    Failed(String),
    /// Its transport was declared to lack what the case needs.
    Lacking {
        /// What it lacks.
        capability: Capability,
        /// Why, in the words of the declaration.
        reason: String,
    },
}

impl Report {
    /// Every case that was run or that could not be, in order.
    #[must_use]
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// The cases that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| matches!(outcome.verdict, Verdict::Failed(_)))
    }

    /// Prints the report to standard error, and panics unless all cases passed.
    ///
    /// # Panics
    ///
    /// A case failed. The message is the whole report.
    #[track_caller]
    pub fn assert_passed(&self) {
        assert!(self.failures().next().is_none(), "{self}");
        eprintln!("{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "links of {}:", self.address)?;
        self.outcomes.iter().try_for_each(|outcome| write!(f, "\n  {outcome}"))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.case)?;
        match &self.verdict {
            Verdict::Passed => f.write_str("passed"),
            Verdict::Failed(why) => write!(f, "FAILED: {why}\n    the contract: {}", self.clause),
            Verdict::Lacking { capability, reason } => {
                write!(f, "not run: no {capability}: {reason}")
            }
        }
    }
}
