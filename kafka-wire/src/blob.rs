//! Bytes, and the record batches of produce and fetch.

use alloc::vec::Vec;
use core::fmt;

use bytes::{Bytes, BytesMut};
use nom::IResult;

use crate::error::WireError;
use crate::frame::FrameBuf;
use crate::input::Input;
use crate::schema::Type;
use crate::text::{Width, not_null, put_len, size_len, take_len};
use crate::wire::{Cx, Nullable, Wire};

/// Record batches on their way: shared chunks of bytes that nobody copies.
///
/// What is read is one chunk, lent from its frame. What is written goes into the frame chunk by chunk. Two values are
/// equal if their bytes are, however they are cut.
#[derive(Clone)]
pub struct Records {
    /// Bytes in front of the chunks.
    head: [u8; HEAD_MAX],
    head_len: u8,
    /// Apart from the rest, so that one chunk needs no list.
    first: Bytes,
    rest: Vec<Bytes>,
}

impl Records {
    /// No bytes.
    #[must_use]
    pub const fn new() -> Self {
        Self { head: [0; HEAD_MAX], head_len: 0, first: Bytes::new(), rest: Vec::new() }
    }

    /// Chunks, in order.
    pub fn from_chunks(chunks: impl IntoIterator<Item = Bytes>) -> Self {
        let mut chunks = chunks.into_iter();
        let first = chunks.next().unwrap_or_default();
        Self { first, rest: chunks.collect(), ..Self::new() }
    }

    /// A few bytes that are kept without an allocation, and the chunks behind them: the header of a batch, which is
    /// written anew for each attempt, and its records, which are shared.
    pub fn with_head<const N: usize>(head: &[u8; N], chunks: impl IntoIterator<Item = Bytes>) -> Self {
        const { assert!(N <= HEAD_MAX, "a head is as long as a batch's header at the most") };
        let mut records = Self::from_chunks(chunks);
        if let Some(room) = records.head.first_chunk_mut() {
            *room = *head;
            #[expect(clippy::cast_possible_truncation, reason = "at most HEAD_MAX")]
            (records.head_len = N as u8);
        }
        records
    }

    /// The pieces, in order, none of them empty.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let chunks = core::iter::once(&self.first).chain(&self.rest);
        core::iter::once(self.head()).chain(chunks.map(|chunk| &**chunk)).filter(|slice| !slice.is_empty())
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.head_len) + self.first.len() + self.rest.iter().map(Bytes::len).sum::<usize>()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes in one piece: copies if there is more than one.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        if self.rest.is_empty() && self.head_len == 0 {
            return self.first.clone();
        }
        let mut bytes = BytesMut::with_capacity(self.len());
        for slice in self.slices() {
            bytes.extend_from_slice(slice);
        }
        bytes.freeze()
    }

    fn head(&self) -> &[u8] {
        self.head.get(..usize::from(self.head_len)).unwrap_or_default()
    }

    fn put(&self, buf: &mut FrameBuf) {
        buf.put_slice(self.head());
        buf.put_shared(self.first.clone());
        for chunk in &self.rest {
            buf.put_shared(chunk.clone());
        }
    }
}

impl Default for Records {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Bytes> for Records {
    fn from(chunk: Bytes) -> Self {
        Self { first: chunk, ..Self::new() }
    }
}

impl FromIterator<Bytes> for Records {
    fn from_iter<I: IntoIterator<Item = Bytes>>(chunks: I) -> Self {
        Self::from_chunks(chunks)
    }
}

impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.slices().flatten().eq(other.slices().flatten())
    }
}

impl Eq for Records {}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Records({} bytes)", self.len())
    }
}

/// A type that is a length and that many bytes.
macro_rules! blob {
    ($ty:ident, $name:literal, $put:expr) => {
        impl Wire for $ty {
            const TYPE: Type = Type::plain($name);

            fn decode<'a>(input: Input<'a>, cx: Cx) -> IResult<Input<'a>, Self, WireError> {
                not_null(input, cx)
            }

            fn encode(&self, buf: &mut FrameBuf, cx: Cx) {
                Self::encode_nullable(Some(self), buf, cx);
            }

            fn size(&self, cx: Cx) -> usize {
                Self::size_nullable(Some(self), cx)
            }

            fn min_size(cx: Cx) -> usize {
                Self::size_nullable(None, cx)
            }
        }

        impl Nullable for $ty {
            fn decode_nullable<'a>(input: Input<'a>, cx: Cx) -> IResult<Input<'a>, Option<Self>, WireError> {
                let (rest, len) = take_len(input, cx, Width::Four)?;
                let Some(len) = len else {
                    return Ok((rest, None));
                };
                let (rest, bytes) = rest.take_input(len)?;
                Ok((rest, Some(Self::from(bytes.lend()))))
            }

            fn encode_nullable(value: Option<&Self>, buf: &mut FrameBuf, cx: Cx) {
                put_len(buf, value.map(Self::len), cx, Width::Four);
                if let Some(value) = value {
                    $put(value, buf);
                }
            }

            fn size_nullable(value: Option<&Self>, cx: Cx) -> usize {
                let len = value.map(Self::len);
                size_len(len, cx, Width::Four) + len.unwrap_or_default()
            }
        }
    };
}

blob!(Bytes, "bytes", |bytes: &Bytes, buf: &mut FrameBuf| buf.put_shared(bytes.clone()));
blob!(Records, "records", |records: &Records, buf: &mut FrameBuf| records.put(buf));

/// The longest head: the header of a record batch.
const HEAD_MAX: usize = 61;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn records_are_equal_however_they_are_cut() {
        let cut = Records::from_chunks([&b"ab"[..], b"", b"c"].map(Bytes::from_static));
        let whole = Records::from(Bytes::from_static(b"abc"));
        assert_eq!(cut, whole);
        assert_eq!((cut.len(), cut.slices().count()), (3, 2));
        assert_eq!(cut.to_bytes(), "abc");
        assert_ne!(cut, Records::from(Bytes::from_static(b"abd")));
        assert_ne!(cut, Records::new());
        assert!(Records::from_chunks([Bytes::new(), Bytes::new()]).is_empty());
        let headed = Records::with_head(b"a", [&b"b"[..], b"c"].map(Bytes::from_static));
        assert_eq!((headed.len(), headed.slices().count()), (3, 3));
        assert_eq!((&headed, headed.to_bytes()), (&whole, whole.to_bytes()));
        let mut buf = FrameBuf::new();
        headed.encode(&mut buf, Cx { version: 0, flexible: false });
        assert_eq!(buf.into_bytes(), [0, 0, 0, 3, b'a', b'b', b'c'][..]);
    }

    /// One chunk, in the memory of the frame; and back into a frame without a copy.
    #[test]
    fn records_share_memory_both_ways() {
        let cx = Cx { version: 0, flexible: false };
        let frame = Bytes::from([&1000_i32.to_be_bytes()[..], &vec![7; 1000]].concat());
        let (rest, records) = Records::decode(Input::new(&frame), cx).expect("records");
        assert!(rest.is_empty());
        let address = frame.as_ptr().addr() + 4;
        assert_eq!(records.slices().map(|slice| slice.as_ptr().addr()).collect::<Vec<_>>(), [address]);
        let mut buf = FrameBuf::new();
        records.encode(&mut buf, cx);
        let segments = buf.into_segments();
        assert_eq!(segments.slices().map(|slice| slice.as_ptr().addr()).last(), Some(address));
    }
}
