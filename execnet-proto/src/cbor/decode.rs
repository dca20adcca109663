//! A [`Value`] from CBOR, without a detour through serde.

use ciborium_ll::{Header, simple};
use num_bigint::{BigInt, BigUint};

use super::Result;
use super::read::{Entered, Reader};
use super::tag;
use crate::Value;
use crate::value::{DecodeFault, Sequence};

impl Reader<'_> {
    /// The next item as a value.
    pub(super) fn value(&mut self) -> Result<Value> {
        // Containers call this again: what the others need stays off the stack.
        match self.head()? {
            Header::Array(len) => self.sequence(Sequence::List, len),
            Header::Map(len) => self.dict(len),
            Header::Tag(tag) => match Sequence::from_tag(tag) {
                Some(kind) => {
                    let len = self.tagged_array(tag)?;
                    self.sequence(kind, len)
                }
                None => self.tagged_scalar(tag),
            },
            header => self.scalar(header),
        }
    }

    fn scalar(&mut self, header: Header) -> Result<Value> {
        Ok(match header {
            Header::Positive(magnitude) => magnitude.into(),
            Header::Negative(magnitude) => match i64::try_from(magnitude) {
                Ok(magnitude) => Value::Int(!magnitude),
                Err(_) => Value::negative(magnitude),
            },
            Header::Float(value) => Value::Float(value),
            Header::Simple(simple::NULL) => Value::None,
            Header::Simple(simple::FALSE) => Value::Bool(false),
            Header::Simple(simple::TRUE) => Value::Bool(true),
            Header::Bytes(len) => Value::Bytes(self.shared_bytes(len)?),
            Header::Text(len) => Value::Str(self.text(len)?.into_owned()),
            header => return Err(self.not_an_item(header)),
        })
    }

    fn tagged_scalar(&mut self, tag: u64) -> Result<Value> {
        Ok(match tag {
            tag::BIG_POSITIVE => BigInt::from(BigUint::from_bytes_be(&self.magnitude(tag)?)).into(),
            tag::BIG_NEGATIVE => Value::negative(BigUint::from_bytes_be(&self.magnitude(tag)?)),
            tag::COMPLEX => {
                let [real, imaginary] = self.complex()?;
                Value::Complex(real, imaginary)
            }
            tag::CHANNEL => Value::Channel(self.channel()?),
            _ => return Err(self.fault(DecodeFault::BadTag(tag))),
        })
    }

    fn sequence(&mut self, kind: Sequence, len: Option<usize>) -> Result<Value> {
        let mut entered = self.enter(kind, len)?;
        let mut items = Vec::with_capacity(reserve(&entered));
        while self.next(&mut entered)? {
            items.push(self.value()?);
        }
        self.leave(&entered);
        items.shrink_to_fit();
        Ok(match kind {
            Sequence::List => Value::List(items),
            Sequence::Tuple => Value::Tuple(items),
            Sequence::Set => Value::Set(items),
            Sequence::FrozenSet => Value::FrozenSet(items),
        })
    }

    fn dict(&mut self, len: Option<usize>) -> Result<Value> {
        let mut entered = self.enter_map(len)?;
        let mut entries = Vec::with_capacity(reserve(&entered) / 2);
        while self.next(&mut entered)? {
            let key = self.key(Self::value)?;
            self.next_value(&mut entered)?;
            entries.push((key, self.value()?));
        }
        self.leave(&entered);
        entries.shrink_to_fit();
        Ok(Value::Dict(entries))
    }
}

/// How many items to make room for: as many as announced, which the reader has held against the
/// bytes at hand. Without an announcement the room is made as they come, and given back at the end.
const fn reserve(entered: &Entered) -> usize {
    match entered.left {
        Some(left) => left,
        None => 0,
    }
}
