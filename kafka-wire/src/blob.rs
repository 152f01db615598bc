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
#[derive(Clone, Default)]
pub struct Records {
    /// Apart from the rest, so that one chunk needs no list.
    first: Bytes,
    rest: Vec<Bytes>,
}

impl Records {
    /// No bytes.
    #[must_use]
    pub const fn new() -> Self {
        Self { first: Bytes::new(), rest: Vec::new() }
    }

    /// Chunks, in order.
    pub fn from_chunks(chunks: impl IntoIterator<Item = Bytes>) -> Self {
        let mut chunks = chunks.into_iter();
        Self { first: chunks.next().unwrap_or_default(), rest: chunks.collect() }
    }

    /// The chunks, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        core::iter::once(&self.first).chain(&self.rest)
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunks().map(Bytes::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks().all(Bytes::is_empty)
    }

    /// The bytes in one piece: copies if there is more than one chunk.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        if self.rest.is_empty() {
            return self.first.clone();
        }
        let mut bytes = BytesMut::with_capacity(self.len());
        for chunk in self.chunks() {
            bytes.extend_from_slice(chunk);
        }
        bytes.freeze()
    }
}

impl From<Bytes> for Records {
    fn from(chunk: Bytes) -> Self {
        Self { first: chunk, rest: Vec::new() }
    }
}

impl FromIterator<Bytes> for Records {
    fn from_iter<I: IntoIterator<Item = Bytes>>(chunks: I) -> Self {
        Self::from_chunks(chunks)
    }
}

impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        let mine = self.chunks().flatten();
        self.len() == other.len() && mine.eq(other.chunks().flatten())
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
blob!(Records, "records", |records: &Records, buf: &mut FrameBuf| {
    for chunk in records.chunks() {
        buf.put_shared(chunk.clone());
    }
});

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn records_are_equal_however_they_are_cut() {
        let cut = Records::from_chunks([&b"ab"[..], b"", b"c"].map(Bytes::from_static));
        let whole = Records::from(Bytes::from_static(b"abc"));
        assert_eq!(cut, whole);
        assert_eq!((cut.len(), cut.chunks().count()), (3, 3));
        assert_eq!(cut.to_bytes(), "abc");
        assert_ne!(cut, Records::from(Bytes::from_static(b"abd")));
        assert_ne!(cut, Records::new());
        assert!(Records::from_chunks([Bytes::new(), Bytes::new()]).is_empty());
    }

    /// One chunk, in the memory of the frame; and back into a frame without a copy.
    #[test]
    fn records_share_memory_both_ways() {
        let cx = Cx { version: 0, flexible: false };
        let frame = Bytes::from([&1000_i32.to_be_bytes()[..], &vec![7; 1000]].concat());
        let (rest, records) = Records::decode(Input::new(&frame), cx).expect("records");
        assert!(rest.is_empty());
        let address = frame.as_ptr().addr() + 4;
        assert_eq!(records.chunks().map(|chunk| chunk.as_ptr().addr()).collect::<Vec<_>>(), [address]);
        let mut buf = FrameBuf::new();
        records.encode(&mut buf, cx);
        let segments = buf.into_segments();
        assert_eq!(segments.slices().map(|slice| slice.as_ptr().addr()).last(), Some(address));
    }
}
