//! A [`Value`] from marshal, without a detour through serde.

use super::Result;
use super::read::{Head, Reader};
use crate::Value;
use crate::value::Sequence;

impl<'de> Reader<'de> {
    /// The next item as a value.
    pub(super) fn value(&mut self) -> Result<Value> {
        // Containers call this again: what the others need stays off the stack.
        match self.head()? {
            Head::Sequence(kind, len) => self.sequence(kind, len),
            Head::Dict => self.dict(),
            head => self.scalar(head),
        }
    }

    /// The bytes of the next item, which [`value`](Self::value) would read.
    pub(super) fn skipped(&mut self) -> Result<&'de [u8]> {
        let start = self.at();
        self.skip()?;
        Ok(self.since(start))
    }

    fn scalar(&mut self, head: Head) -> Result<Value> {
        Ok(match head {
            Head::None => Value::None,
            Head::Bool(value) => Value::Bool(value),
            Head::Int(value) => Value::Int(value.into()),
            Head::Long { negative, digits } => {
                let digits = self.digits(digits)?;
                match digits.small(negative) {
                    Some(value) => value.into(),
                    None => digits.big(negative).into(),
                }
            }
            Head::Float(value) => Value::Float(value),
            Head::Complex(real, imaginary) => Value::Complex(real, imaginary),
            Head::Bytes(len) => Value::Bytes(self.shared_bytes(len)?),
            Head::Text(len) => Value::Str(self.text(len)?.to_owned()),
            Head::Sequence(..) | Head::Dict | Head::End => return Err(self.misplaced_end()),
        })
    }

    fn sequence(&mut self, kind: Sequence, len: usize) -> Result<Value> {
        let mut entered = self.enter(kind, len)?;
        let mut items = Vec::with_capacity(len);
        while self.next(&mut entered)? {
            items.push(self.value()?);
        }
        self.leave(&entered);
        Ok(match kind {
            Sequence::List => Value::List(items),
            Sequence::Tuple => Value::Tuple(items),
            Sequence::Set => Value::Set(items),
            Sequence::FrozenSet => Value::FrozenSet(items),
        })
    }

    fn dict(&mut self) -> Result<Value> {
        let mut entered = self.enter_dict()?;
        let mut entries = Vec::new();
        while self.next(&mut entered)? {
            let key = self.key(Self::value)?;
            entries.push((key, self.value()?));
        }
        self.leave(&entered);
        entries.shrink_to_fit();
        Ok(Value::Dict(entries))
    }

    /// Passes over an item: held to the same rules as one that is read, but not kept.
    fn skip(&mut self) -> Result<()> {
        match self.head()? {
            Head::None | Head::Bool(_) | Head::Int(_) => Ok(()),
            Head::Float(_) | Head::Complex(..) => Ok(()),
            Head::Long { digits, .. } => self.digits(digits).map(drop),
            Head::Bytes(len) => self.bytes(len).map(drop),
            Head::Text(len) => self.text(len).map(drop),
            Head::Sequence(kind, len) => {
                let mut entered = self.enter(kind, len)?;
                while self.next(&mut entered)? {
                    self.skip()?;
                }
                self.leave(&entered);
                Ok(())
            }
            Head::Dict => {
                let mut entered = self.enter_dict()?;
                while self.next(&mut entered)? {
                    self.key(Self::skip)?;
                    self.skip()?;
                }
                self.leave(&entered);
                Ok(())
            }
            Head::End => Err(self.misplaced_end()),
        }
    }
}
