//! Frames: [`FrameBuf`] to write one, [`Segments`] to hand it to a socket, [`split`] to find one in what was read.

use alloc::vec::Vec;

use bytes::{Buf, Bytes, BytesMut};

use crate::error::{WireError, WireErrorKind};
use crate::varint;

/// What encoders write into: a small head of inline bytes, with shared chunks spliced in.
///
/// Record batches go into a frame as chunks, without a copy; everything around them is written to the head.
#[derive(Clone, Debug, Default)]
pub struct FrameBuf {
    head: Vec<u8>,
    splices: Vec<Splice>,
    /// The sizes of the chunks, summed up.
    spliced: usize,
    failure: Option<WireError>,
}

/// A chunk between two bytes of the head.
#[derive(Clone, Debug)]
struct Splice {
    /// How many bytes of the head go before it.
    at: usize,
    /// Never empty, until it has been consumed.
    chunk: Bytes,
}

/// Where a frame starts in a [`FrameBuf`], to be given to [`FrameBuf::finish_frame`].
#[derive(Debug)]
#[must_use = "the length in front of the frame is written by `finish_frame`"]
pub struct FrameStart {
    /// Of the length field, in the head.
    head: usize,
    spliced: usize,
}

impl FrameBuf {
    /// An empty buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self { head: Vec::new(), splices: Vec::new(), spliced: 0, failure: None }
    }

    /// An empty buffer with room for `capacity` inline bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { head: Vec::with_capacity(capacity), ..Self::new() }
    }

    /// How many bytes were written, shared ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.head.len() + self.spliced
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a byte.
    #[inline]
    pub fn put_u8(&mut self, value: u8) {
        self.head.push(value);
    }

    /// Appends a byte.
    #[inline]
    pub fn put_i8(&mut self, value: i8) {
        self.put_slice(&value.to_be_bytes());
    }

    /// Appends two bytes, big-endian.
    #[inline]
    pub fn put_i16(&mut self, value: i16) {
        self.put_slice(&value.to_be_bytes());
    }

    /// Appends two bytes, big-endian.
    #[inline]
    pub fn put_u16(&mut self, value: u16) {
        self.put_slice(&value.to_be_bytes());
    }

    /// Appends four bytes, big-endian.
    #[inline]
    pub fn put_i32(&mut self, value: i32) {
        self.put_slice(&value.to_be_bytes());
    }

    /// Appends four bytes, big-endian.
    #[inline]
    pub fn put_u32(&mut self, value: u32) {
        self.put_slice(&value.to_be_bytes());
    }

    /// Appends eight bytes, big-endian.
    #[inline]
    pub fn put_i64(&mut self, value: i64) {
        self.put_slice(&value.to_be_bytes());
    }

    /// Appends eight bytes, big-endian.
    #[inline]
    pub fn put_f64(&mut self, value: f64) {
        self.put_slice(&value.to_be_bytes());
    }

    /// Appends an unsigned integer of variable length.
    #[inline]
    pub fn put_uvarint(&mut self, value: u32) {
        varint::put_u32(&mut self.head, value);
    }

    /// Appends a copy of bytes.
    #[inline]
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.head.extend_from_slice(bytes);
    }

    /// Appends bytes without a copy, unless they are so few that a copy is cheaper.
    pub fn put_shared(&mut self, chunk: Bytes) {
        if chunk.len() <= MAX_COPIED {
            self.put_slice(&chunk);
        } else {
            self.spliced += chunk.len();
            self.splices.push(Splice { at: self.head.len(), chunk });
        }
    }

    /// Notes that a value has no bytes. The first failure is the one that is reported.
    #[cold]
    pub fn fail(&mut self, kind: WireErrorKind) {
        let offset = u32::try_from(self.len()).unwrap_or(u32::MAX);
        if self.failure.is_none() {
            self.failure = Some(WireError::new(kind, offset));
        }
    }

    /// The field of the failure, if there is one that has none yet.
    #[inline]
    pub(crate) fn fail_in(&mut self, field: &'static str) {
        if let Some(failure) = self.failure {
            self.failure = Some(failure.in_field(field));
        }
    }

    /// Leaves room for the length of a frame.
    pub fn begin_frame(&mut self) -> FrameStart {
        let start = FrameStart { head: self.head.len(), spliced: self.spliced };
        self.put_i32(0);
        start
    }

    /// Writes the length of the frame that was begun at `start`: of everything appended since.
    ///
    /// # Errors
    /// If a value had no bytes, or the frame is longer than its length field can say. What was written is of no
    /// use then.
    pub fn finish_frame(&mut self, start: FrameStart) -> Result<(), WireError> {
        let FrameStart { head, spliced } = start;
        let len = (self.head.len() - head - LEN_SIZE) + (self.spliced - spliced);
        let Ok(len) = i32::try_from(len) else {
            self.fail(WireErrorKind::TooLong);
            return self.finish();
        };
        if let Some(field) = self.head.get_mut(head..head + LEN_SIZE) {
            field.copy_from_slice(&len.to_be_bytes());
        }
        self.finish()
    }

    /// Whether everything that was put had bytes.
    ///
    /// # Errors
    /// The first failure.
    pub const fn finish(&self) -> Result<(), WireError> {
        match self.failure {
            None => Ok(()),
            Some(failure) => Err(failure),
        }
    }

    /// What was written, to be read in order.
    #[must_use]
    pub fn into_segments(self) -> Segments {
        let remaining = self.len();
        Segments { head: self.head, at: 0, splices: self.splices, next: 0, remaining }
    }

    /// What was written, in one piece: copies unless there are no shared chunks.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        if self.splices.is_empty() {
            return Bytes::from(self.head);
        }
        let mut segments = self.into_segments();
        segments.copy_to_bytes(segments.remaining())
    }
}

impl From<FrameBuf> for Segments {
    fn from(buf: FrameBuf) -> Self {
        buf.into_segments()
    }
}

/// Written bytes on their way to a socket: a [`Buf`] over the pieces of a [`FrameBuf`].
///
/// A shared chunk is let go as soon as it has been consumed.
#[derive(Clone, Debug, Default)]
pub struct Segments {
    head: Vec<u8>,
    /// How much of the head has been consumed.
    at: usize,
    splices: Vec<Splice>,
    /// The first splice that has not been consumed.
    next: usize,
    remaining: usize,
}

impl Segments {
    /// The pieces that are left, in order, none of them empty.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let splices = self.splices.get(self.next..).unwrap_or_default();
        let starts = core::iter::once(self.at).chain(splices.iter().map(|splice| splice.at));
        let ends = splices.iter().map(|splice| splice.at).chain(core::iter::once(self.head.len()));
        let inline = starts.zip(ends).map(|(start, end)| self.head.get(start..end).unwrap_or_default());
        let shared = splices.iter().map(|splice| &*splice.chunk).chain(core::iter::once(&[][..]));
        inline.zip(shared).flat_map(|(inline, shared)| [inline, shared]).filter(|slice| !slice.is_empty())
    }
}

impl Buf for Segments {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        match self.splices.get(self.next) {
            Some(splice) if splice.at == self.at => &splice.chunk,
            Some(splice) => self.head.get(self.at..splice.at).unwrap_or_default(),
            None => self.head.get(self.at..).unwrap_or_default(),
        }
    }

    #[cfg(feature = "std")]
    fn chunks_vectored<'a>(&'a self, into: &mut [std::io::IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (io, slice) in into.iter_mut().zip(self.slices()) {
            *io = std::io::IoSlice::new(slice);
            count += 1;
        }
        count
    }

    /// # Panics
    /// If `count` is more than what remains, as [`Buf`] demands.
    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.remaining, "cannot advance by {count}, {} bytes remain", self.remaining);
        self.remaining -= count;
        while count > 0 {
            let step = count.min(self.chunk().len());
            count -= step;
            match self.splices.get_mut(self.next) {
                Some(splice) if splice.at == self.at => {
                    splice.chunk.advance(step);
                    if splice.chunk.is_empty() {
                        splice.chunk = Bytes::new();
                        self.next += 1;
                    }
                }
                _ => self.at += step,
            }
        }
    }
}

/// Takes a whole frame off the front of what was read, without its length.
///
/// `Ok(None)` until it is complete: read more and ask again.
///
/// # Errors
/// A negative length, or one above `max`: [`BadLength`](WireErrorKind::BadLength) and
/// [`TooLong`](WireErrorKind::TooLong). Both mean that this is not Kafka's protocol, or no longer.
pub fn split(buf: &mut BytesMut, max: usize) -> Result<Option<Bytes>, WireError> {
    let Some((len, rest)) = buf.split_first_chunk::<LEN_SIZE>() else {
        return Ok(None);
    };
    let Ok(len) = usize::try_from(i32::from_be_bytes(*len)) else {
        return Err(WireError::new(WireErrorKind::BadLength, 0));
    };
    if len > max {
        return Err(WireError::new(WireErrorKind::TooLong, 0));
    }
    if rest.len() < len {
        return Ok(None);
    }
    buf.advance(LEN_SIZE);
    Ok(Some(buf.split_to(len).freeze()))
}

/// The length field in front of a frame.
pub const LEN_SIZE: usize = 4;

/// Chunks up to this size are copied: an own slice in a vectored write, and a reference count, cost more. The header
/// of a record batch (61 bytes) is below it.
const MAX_COPIED: usize = 512;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    const SHARED: usize = MAX_COPIED + 1;

    /// Inline, shared, shared, inline, shared.
    fn mixed() -> (FrameBuf, Vec<u8>) {
        let (a, b) = (Bytes::from(vec![7; SHARED]), Bytes::from(vec![8; SHARED + 5]));
        let mut buf = FrameBuf::new();
        buf.put_i16(0x0102);
        buf.put_shared(a.clone());
        buf.put_shared(b.clone());
        buf.put_shared(Bytes::new());
        buf.put_u8(3);
        buf.put_shared(a.clone());
        let expected = [&[1, 2][..], &a, &b, &[3], &a].concat();
        assert_eq!(buf.len(), expected.len());
        (buf, expected)
    }

    #[test]
    fn pieces_come_in_the_order_they_were_put() {
        let (buf, expected) = mixed();
        assert_eq!(buf.clone().into_bytes(), expected);
        let segments = buf.into_segments();
        let slices: Vec<&[u8]> = segments.slices().collect();
        assert_eq!(
            slices.iter().map(|slice| slice.len()).collect::<Vec<_>>(),
            [2, SHARED, SHARED + 5, 1, SHARED]
        );
        assert_eq!(slices.concat(), expected);
    }

    #[test]
    fn segments_are_consumed_in_any_steps() {
        for step in [1, 2, 3, SHARED - 1, SHARED, SHARED + 1, 5000] {
            let (buf, expected) = mixed();
            let mut segments = buf.into_segments();
            let mut seen = Vec::new();
            while segments.has_remaining() {
                let rest: Vec<u8> = segments.slices().flatten().copied().collect();
                assert_eq!(rest.len(), segments.remaining());
                let step = step.min(rest.len());
                assert!(!segments.chunk().is_empty() && rest.starts_with(segments.chunk()));
                seen.extend_from_slice(&rest[..step]);
                segments.advance(step);
            }
            assert_eq!(seen, expected, "in steps of {step}");
            assert_eq!(segments.chunk(), [0_u8; 0]);
        }
    }

    #[test]
    fn chunks_are_shared_if_they_are_large_and_let_go_once_consumed() {
        let (small, large) = (Bytes::from(vec![1; MAX_COPIED]), Bytes::from(vec![2; SHARED]));
        let mut buf = FrameBuf::new();
        buf.put_shared(small.clone());
        buf.put_shared(large.clone());
        assert!(small.is_unique());
        assert!(!large.is_unique());
        let mut segments = buf.into_segments();
        segments.advance(MAX_COPIED + SHARED - 1);
        assert!(!large.is_unique());
        segments.advance(1);
        assert!(large.is_unique());
    }

    #[cfg(feature = "std")]
    #[test]
    fn a_vectored_write_gets_as_many_pieces_as_it_has_room_for() {
        let (buf, expected) = mixed();
        let segments = buf.into_segments();
        let mut into = [std::io::IoSlice::new(&[]); 8];
        assert_eq!(segments.chunks_vectored(&mut into[..3]), 3);
        assert_eq!(segments.chunks_vectored(&mut into), 5);
        assert_eq!(into.iter().flat_map(|slice| slice.iter()).copied().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn each_frame_has_its_own_length() {
        let mut buf = FrameBuf::new();
        for chunk in [SHARED, 10] {
            let start = buf.begin_frame();
            buf.put_u8(1);
            buf.put_shared(Bytes::from(vec![0; chunk]));
            buf.finish_frame(start).expect("it has bytes");
        }
        let mut read = BytesMut::from(&buf.into_bytes()[..]);
        for chunk in [SHARED, 10] {
            let frame = split(&mut read, 1000).expect("a length").expect("a frame");
            assert_eq!(frame.len(), 1 + chunk);
        }
        assert!(read.is_empty());
    }

    #[test]
    fn the_first_failure_is_reported() {
        let mut buf = FrameBuf::new();
        let start = buf.begin_frame();
        buf.put_u8(1);
        buf.fail(WireErrorKind::TooLong);
        buf.fail_in("name");
        buf.fail(WireErrorKind::UnexpectedNull);
        buf.fail_in("other");
        assert_eq!(buf.finish_frame(start), Err(WireError::new(WireErrorKind::TooLong, 5).in_field("name")));
    }

    #[test]
    fn frames_are_split_when_they_are_whole() {
        let mut read = BytesMut::from(&[0, 0, 0, 2, 7][..]);
        assert_eq!(split(&mut read, 2), Ok(None));
        assert_eq!(read.len(), 5);
        read.extend_from_slice(&[8, 0, 0, 0, 0, 9]);
        assert_eq!(split(&mut read, 2), Ok(Some(Bytes::from_static(&[7, 8]))));
        assert_eq!(split(&mut read, 2), Ok(Some(Bytes::new())));
        assert_eq!(split(&mut read, 2), Ok(None));
        assert_eq!(read, [9][..]);
    }

    #[test]
    fn lengths_that_are_none_are_refused() {
        let kind = |bytes: &[u8]| split(&mut BytesMut::from(bytes), 100).map_err(|error| error.kind());
        assert_eq!(kind(&[0xff, 0xff, 0xff, 0xff]), Err(WireErrorKind::BadLength));
        assert_eq!(kind(&[0, 0, 0, 101]), Err(WireErrorKind::TooLong));
        // What a web server answers.
        assert_eq!(kind(b"HTTP/1.1 400 Bad Request"), Err(WireErrorKind::TooLong));
        assert_eq!(kind(&[0, 0, 0, 100]), Ok(None));
    }
}
