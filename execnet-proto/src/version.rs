//! Protocol versions, and what two sides settle on.

use serde::{Deserialize, Serialize};

use crate::FrameError;

/// The versions that this crate speaks.
pub const VERSIONS: Versions = Versions(1, 1);

/// A range of protocol versions: lowest and highest, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "a range")]
pub struct Versions(pub u32, pub u32);

impl Versions {
    /// The version in force between two sides: the lower of the two highest.
    ///
    /// # Errors
    /// [`FrameError::VersionMismatch`] when one side does not speak that version.
    pub fn settle(self, theirs: Self) -> Result<u32, FrameError> {
        let version = self.1.min(theirs.1);
        if version < self.0 || version < theirs.0 {
            return Err(FrameError::VersionMismatch { ours: self, theirs });
        }
        Ok(version)
    }
}

impl std::fmt::Display for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}–{}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_of_the_two_highest_is_in_force() {
        assert_eq!(Versions(1, 3).settle(Versions(2, 5)), Ok(3));
        assert_eq!(Versions(2, 5).settle(Versions(1, 3)), Ok(3));
        assert_eq!(VERSIONS.settle(VERSIONS), Ok(1));
    }

    #[test]
    fn ranges_that_do_not_meet_are_refused_from_both_sides() {
        for (a, b) in [(Versions(1, 1), Versions(2, 3)), (Versions(2, 3), Versions(1, 1))] {
            assert!(matches!(a.settle(b), Err(FrameError::VersionMismatch { .. })));
        }
        // An empty range speaks nothing.
        assert!(VERSIONS.settle(Versions(3, 1)).is_err());
    }
}
