//! Where in a value a writer is: what may stand there, whatever the format.

use super::{EncodeError, EncodeFault, MAX_DEPTH, Sequence};

type Result<T = ()> = std::result::Result<T, EncodeError>;

/// The containers around the next item.
#[derive(Default)]
pub(crate) struct Nesting {
    depth: usize,
    /// Whether we are in a key or a member, where only what is hashable may stand.
    in_key: bool,
    /// What the next sequence is to be, when it was asked for.
    kind: Option<Sequence>,
}

/// A container that has been entered.
#[derive(Clone, Copy)]
#[must_use]
pub(crate) struct Level {
    /// Its items must be hashable.
    members: bool,
    /// To be set again when it is left.
    in_key: bool,
}

impl Nesting {
    /// Asks that the next sequence be of this kind, unless whoever is around it wants another.
    pub(super) fn ask(&mut self, kind: Sequence) {
        self.kind.get_or_insert(kind);
    }

    /// A sequence must have taken the kind that was asked for.
    pub(super) fn asked(&mut self) -> Result {
        match self.kind.take() {
            None => Ok(()),
            Some(kind) => Err(EncodeFault::NotSequence { kind: kind.name() }.into()),
        }
    }

    /// Enters a sequence: a list, unless another kind was asked for or only a tuple is possible here.
    pub(super) fn enter_sequence(&mut self) -> Result<(Sequence, Level)> {
        let kind = match self.kind.take() {
            Some(kind) => kind,
            None if self.in_key => Sequence::Tuple,
            None => Sequence::List,
        };
        if self.in_key && !kind.is_hashable() {
            return Err(EncodeFault::NotHashable { what: kind.name() }.into());
        }
        let members = kind.has_members();
        let level = Level { members, ..self.enter()? };
        self.in_key |= members;
        Ok((kind, level))
    }

    /// Enters a dict.
    pub(super) fn enter_dict(&mut self) -> Result<Level> {
        self.asked()?;
        if self.in_key {
            return Err(EncodeFault::NotHashable { what: "dict" }.into());
        }
        self.enter()
    }

    pub(super) const fn leave(&mut self, level: Level) {
        self.depth -= 1;
        self.in_key = level.in_key;
    }

    /// Where a key begins: only what is hashable from here on. Gives what to set behind it.
    pub(super) const fn begin_key(&mut self) -> bool {
        std::mem::replace(&mut self.in_key, true)
    }

    pub(super) const fn end_key(&mut self, before: bool) {
        self.in_key = before;
    }

    fn enter(&mut self) -> Result<Level> {
        if self.depth == MAX_DEPTH {
            return Err(EncodeFault::TooDeep.into());
        }
        self.depth += 1;
        Ok(Level { members: false, in_key: self.in_key })
    }
}

impl Level {
    /// Whether its items can be named: those of a key and the members of a set cannot.
    pub(super) const fn has_paths(self) -> bool {
        !self.members && !self.in_key
    }
}
