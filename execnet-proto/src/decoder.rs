//! Bytes in, frames out.

use bytes::{Buf, Bytes, BytesMut};

use crate::frame::{Frame, HEADER_LEN, Header};
use crate::preamble::{MAGIC, NOISE_LIMIT, Search, may_begin, search};
use crate::{FrameError, Limits};

/// How much room [`Decoder::read_buf`] offers at least: 64 KiB, enough for one read to bring
/// about 1,600 small frames.
const READ_ROOM: usize = 64 << 10;

/// An incremental decoder: bytes arrive in any cutting, frames leave one by one.
///
/// "Not enough yet" is `Ok(None)`, never an error. Lengths are checked when the header is there,
/// before memory is taken for the payload. After an error the decoder gives no more frames.
///
/// ```
/// use bytes::BytesMut;
/// use execnet_proto::{ChannelId, Decoder, Frame, Limits, MAGIC};
///
/// let mut wire = BytesMut::from(&MAGIC[..]);
/// Frame::Open(ChannelId::new(1).unwrap()).encode(&mut wire);
///
/// let mut decoder = Decoder::new(Limits::LEAST.max_frame);
/// let (a, b) = wire.split_at(11); // in the middle of the header
/// decoder.extend(a);
/// assert!(decoder.next_frame()?.is_none());
/// decoder.extend(b);
/// let frame = decoder.next_frame()?.unwrap().parse()?;
/// assert_eq!(frame, Frame::Open(ChannelId::new(1).unwrap()));
/// # Ok::<(), execnet_proto::FrameError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    buf: BytesMut,
    /// Bytes at the front of `buf` that belong to the frame handed out last.
    consumed: usize,
    max_frame: u32,
    /// `Some` until the preamble has been found.
    noise: Option<Vec<u8>>,
    noise_limit: usize,
    failed: Option<FrameError>,
}

impl Decoder {
    /// A decoder that expects the preamble at once and payloads up to `max_frame` bytes, or up to
    /// the 16 KiB that every side accepts, if that is more.
    #[must_use]
    pub fn new(max_frame: u32) -> Self {
        Self {
            buf: BytesMut::new(),
            consumed: 0,
            max_frame: max_frame.max(Limits::LEAST.max_frame),
            noise: Some(Vec::new()),
            noise_limit: 0,
            failed: None,
        }
    }

    /// Accepts up to [`NOISE_LIMIT`] bytes in front of the preamble, as a login shell may send.
    #[must_use]
    pub fn skip_noise(mut self) -> Self {
        self.noise_limit = NOISE_LIMIT;
        self
    }

    /// What came in front of the preamble so far, for an error message.
    ///
    /// Empty once the preamble has been found.
    #[must_use]
    pub fn noise(&self) -> Vec<u8> {
        match &self.noise {
            Some(noise) => [noise, &self.buf[..]].concat(),
            None => Vec::new(),
        }
    }

    /// Whether the preamble has been found.
    #[must_use]
    pub fn started(&self) -> bool {
        self.noise.is_none()
    }

    /// Whether the bytes so far end between two frames: the only place where a stream may end.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.started() && self.buf.len() == self.consumed
    }

    /// Appends received bytes.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.release_consumed();
        self.buf.extend_from_slice(bytes);
    }

    /// The buffer to read into, with room for the frame that is expected, or for 64 KiB.
    ///
    /// Saves the copy of [`extend`](Self::extend); append only. It may be taken out while a read is under way
    /// and [put back](Self::put_read_buf).
    pub fn read_buf(&mut self) -> &mut BytesMut {
        self.release_consumed();
        let room = match self.peek() {
            Ok(Some((_, total))) if self.started() => total.saturating_sub(self.buf.len()),
            _ => 0,
        };
        if self.buf.capacity() - self.buf.len() < room.max(READ_ROOM / 4) {
            self.buf.reserve(room.max(READ_ROOM));
        }
        &mut self.buf
    }

    /// Puts the buffer of [`read_buf`](Self::read_buf) back, with what was appended to it.
    pub fn put_read_buf(&mut self, buf: BytesMut) {
        debug_assert!(self.buf.is_empty() && self.consumed == 0, "it was not taken out");
        self.buf = buf;
    }

    /// The next complete frame. Frames of unknown kinds that may be ignored are skipped.
    ///
    /// # Errors
    /// The peer's bytes are not this protocol; the same error again ever after.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<RawFrame<'_>>, FrameError> {
        Ok(self.next_header()?.map(|header| RawFrame { decoder: self, header }))
    }

    /// [`next_frame`](Self::next_frame) for those who keep the decoder beside what its frames change, and so cannot lend
    /// it out: the header. Its payload is [`payload`](Self::payload) until the next call.
    ///
    /// # Errors
    /// The peer's bytes are not this protocol; the same error again ever after.
    #[inline]
    pub fn next_header(&mut self) -> Result<Option<Header>, FrameError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.release_consumed();
        match self.advance() {
            Ok(header) => Ok(header),
            Err(error) => {
                self.failed = Some((*error).clone());
                Err(*error)
            }
        }
    }

    /// The payload of the frame that was given last, where it lies; empty when that was taken.
    #[must_use]
    #[inline]
    pub fn payload(&self) -> &[u8] {
        self.buf.get(HEADER_LEN..self.consumed).unwrap_or_default()
    }

    /// Takes the payload of the frame that was given last, without copying it. It keeps the whole read buffer alive,
    /// which may be many times its size: copy short payloads that stay long.
    #[must_use]
    pub fn take_payload(&mut self) -> Bytes {
        let len = self.payload().len();
        if len == 0 {
            // Most frames that only say something: no share of the buffer, which would have to be counted.
            return Bytes::new();
        }
        self.consumed = 0;
        self.buf.advance(HEADER_LEN);
        self.buf.split_to(len).freeze()
    }

    /// Moves to the next complete frame that is not to be skipped. The error is boxed: room for one, moved along with each
    /// header, shows in what a short frame costs.
    #[inline]
    fn advance(&mut self) -> Result<Option<Header>, Box<FrameError>> {
        if self.noise.is_some() && !self.find_preamble()? {
            return Ok(None);
        }
        loop {
            let Some((header, total)) = self.peek()? else { return Ok(None) };
            if self.buf.len() < total {
                return Ok(None);
            }
            match header {
                Some(header) => {
                    self.consumed = total;
                    return Ok(Some(header));
                }
                None => self.buf.advance(total),
            }
        }
    }

    /// The header at the front, `None` for a frame to be skipped, and the whole frame's length.
    #[inline]
    fn peek(&self) -> Result<Option<(Option<Header>, usize)>, Box<FrameError>> {
        let Some(bytes) = self.buf.first_chunk::<HEADER_LEN>() else { return Ok(None) };
        let (header, len) = match Header::from_bytes(*bytes)? {
            Ok(header) => (Some(header), header.len),
            // Of a kind that we do not know; it keeps within our limit all the same.
            Err(len) => (None, len),
        };
        if len > self.max_frame {
            return Err(Box::new(match header {
                Some(header) => {
                    FrameError::TooLong { kind: header.kind, found: len, most: self.max_frame }
                }
                None => FrameError::UnknownTooLong { found: len, most: self.max_frame },
            }));
        }
        Ok(Some((header, HEADER_LEN + len as usize)))
    }

    #[inline]
    fn release_consumed(&mut self) {
        if self.consumed > 0 {
            self.buf.advance(self.consumed);
            self.consumed = 0;
        }
    }

    fn find_preamble(&mut self) -> Result<bool, Box<FrameError>> {
        let Some(noise) = &mut self.noise else { return Ok(true) };
        let (skip, found) = match search(&self.buf)? {
            Search::Found(at) => (at, true),
            Search::NotBefore(at) => (at, false),
        };
        noise.extend_from_slice(&self.buf.split_to(skip));
        // What is left in the buffer may be the preamble's beginning; with no noise allowed it
        // must be.
        let fits = noise.len() <= self.noise_limit
            && (self.noise_limit > 0 || found || may_begin(&self.buf));
        if !fits {
            return Err(Box::new(FrameError::NoPreamble { skipped: noise.len() + self.buf.len() }));
        }
        if found {
            self.buf.advance(MAGIC.len());
            self.noise = None;
        }
        Ok(found)
    }
}

/// A complete frame inside the decoder's buffer.
///
/// Dropping it moves on to the next one. It lends the decoder's bytes, so there is one at a time; what is to stay is
/// taken out, by [`into_payload`](Self::into_payload) or [`parse`](Self::parse).
///
/// ```compile_fail,E0499
/// # fn example(mut decoder: execnet_proto::Decoder) -> Result<(), execnet_proto::FrameError> {
/// let first = decoder.next_frame()?;
/// let second = decoder.next_frame()?;
/// drop(first);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct RawFrame<'a> {
    decoder: &'a mut Decoder,
    header: Header,
}

impl RawFrame<'_> {
    /// The header, where it lies: whoever looks at one field of it in a loop does not copy the others.
    #[must_use]
    #[inline]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The payload, where it lies.
    #[must_use]
    #[inline]
    pub fn payload(&self) -> &[u8] {
        self.decoder.payload()
    }

    /// The payload, without copying it. It keeps the whole read buffer alive, which may be many
    /// times its size: copy short payloads that stay long.
    #[must_use]
    pub fn into_payload(self) -> Bytes {
        self.decoder.take_payload()
    }

    /// The frame with its payload understood.
    ///
    /// # Errors
    /// See [`Frame::parse`].
    pub fn parse(self) -> Result<Frame, FrameError> {
        let header = self.header;
        Frame::parse(header, self.into_payload())
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;
    use crate::{ChannelId, Format};

    fn started() -> Decoder {
        let mut decoder = Decoder::new(0);
        decoder.extend(&MAGIC);
        assert!(decoder.next_frame().is_ok_and(|frame| frame.is_none()));
        decoder
    }

    fn data(len: usize) -> BytesMut {
        let channel = ChannelId::new(1).unwrap();
        let payload = Bytes::from(vec![7; len]);
        let mut bytes = BytesMut::new();
        Frame::Data { channel, more: false, format: Format::Bytes, payload }.encode(&mut bytes);
        bytes
    }

    #[test]
    fn a_long_stream_does_not_make_the_buffer_grow() {
        for len in [0, 100, 10_000] {
            let mut decoder = started();
            let bytes = data(len);
            for part in bytes.repeat(100).chunks(777) {
                decoder.read_buf().put_slice(part);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    assert_eq!(frame.payload().len(), len);
                }
            }
            assert!(decoder.at_boundary());
            assert!(decoder.buf.capacity() <= 2 * READ_ROOM, "{}", decoder.buf.capacity());
        }
    }

    #[test]
    fn a_frame_is_gone_once_it_was_handed_out_however_it_was_used() {
        let mut decoder = started();
        for len in [1, 0, 2, 3] {
            decoder.extend(&data(len));
        }
        drop(decoder.next_frame());
        assert!(decoder.next_frame().unwrap().unwrap().into_payload().is_empty());
        assert_eq!(decoder.next_frame().unwrap().unwrap().into_payload().len(), 2);
        assert_eq!(decoder.next_frame().unwrap().unwrap().payload().len(), 3);
        assert!(decoder.at_boundary() && decoder.next_frame().unwrap().is_none());
    }

    #[test]
    fn a_payload_is_there_until_it_is_taken_or_the_next_header_is_asked_for() {
        let mut decoder = started();
        for len in [1, 2, 0] {
            decoder.extend(&data(len));
        }
        decoder.extend(&[0x7f; HEADER_LEN]);
        assert_eq!(decoder.next_header().unwrap().unwrap().len, 1);
        assert_eq!((decoder.payload(), decoder.payload()), (&[7][..], &[7][..]));
        assert_eq!(decoder.next_header().unwrap().unwrap().len, 2);
        assert_eq!(decoder.take_payload(), [7, 7][..]);
        assert!(decoder.payload().is_empty() && decoder.take_payload().is_empty());
        assert_eq!(decoder.next_header().unwrap().unwrap().len, 0);
        assert!(decoder.take_payload().is_empty());
        let error = decoder.next_header().unwrap_err();
        for _ in 0..2 {
            assert!(decoder.payload().is_empty() && decoder.take_payload().is_empty());
            assert_eq!(decoder.next_header().unwrap_err(), error);
        }
    }

    #[test]
    fn noise_is_forgotten_when_the_preamble_has_come() {
        let mut decoder = Decoder::new(0).skip_noise();
        decoder.extend(b"motd");
        assert!(decoder.next_frame().unwrap().is_none());
        assert_eq!((decoder.noise(), decoder.started()), (b"motd".to_vec(), false));
        decoder.extend(&MAGIC);
        assert!(decoder.next_frame().unwrap().is_none());
        assert_eq!((decoder.noise(), decoder.started()), (Vec::new(), true));
        assert!(decoder.at_boundary());
    }
}
