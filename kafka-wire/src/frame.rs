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
