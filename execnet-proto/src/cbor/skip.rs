//! An item that is passed over: held to the same rules as one that is read, but not kept.

use ciborium_ll::{Header, simple};

use super::Result;
use super::read::Reader;
use super::tag;
use crate::value::{DecodeFault, Sequence};

impl<'de> Reader<'de> {
    /// The bytes of the next item, which [`value`](Self::value) would read.
    pub(super) fn skipped(&mut self) -> Result<&'de [u8]> {
        let start = self.at();
        self.skip()?;
        Ok(self.since(start))
    }

    fn skip(&mut self) -> Result<()> {
        match self.head()? {
            Header::Array(len) => self.skip_sequence(Sequence::List, len),
            Header::Map(len) => self.skip_dict(len),
            Header::Tag(tag) => match Sequence::from_tag(tag) {
                Some(kind) => {
                    let len = self.tagged_array(tag)?;
                    self.skip_sequence(kind, len)
                }
                None => self.skip_tagged_scalar(tag),
            },
            header => self.skip_scalar(header),
        }
    }

    fn skip_scalar(&mut self, header: Header) -> Result<()> {
        match header {
            Header::Positive(_) | Header::Negative(_) | Header::Float(_) => Ok(()),
            Header::Simple(simple::NULL | simple::FALSE | simple::TRUE) => Ok(()),
            Header::Bytes(len) => self.bytes(len).map(drop),
            Header::Text(len) => self.text(len).map(drop),
            header => Err(self.not_an_item(header)),
        }
    }

    fn skip_tagged_scalar(&mut self, tag: u64) -> Result<()> {
        match tag {
            tag::BIG_POSITIVE | tag::BIG_NEGATIVE => self.magnitude(tag).map(drop),
            tag::COMPLEX => self.complex().map(drop),
            tag::CHANNEL => self.channel().map(drop),
            _ => Err(self.fault(DecodeFault::BadTag(tag))),
        }
    }

    fn skip_sequence(&mut self, kind: Sequence, len: Option<usize>) -> Result<()> {
        let mut entered = self.enter(kind, len)?;
        while self.next(&mut entered)? {
            self.skip()?;
        }
        self.leave(&entered);
        Ok(())
    }

    fn skip_dict(&mut self, len: Option<usize>) -> Result<()> {
        let mut entered = self.enter_map(len)?;
        while self.next(&mut entered)? {
            self.key(Self::skip)?;
            self.next_value(&mut entered)?;
            self.skip()?;
        }
        self.leave(&entered);
        Ok(())
    }
}
