//! [`Input`]: a cursor over a frame.

use bytes::Bytes;
use nom::error::{ErrorKind, ParseError};
use nom::{IResult, Needed};

use crate::error::{WireError, WireErrorKind};

/// What is left to read of a frame: the input of every parser in this crate.
///
/// It remembers the frame, so that a part of it can be lent out as [`Bytes`] without a copy, and so that an error
/// can say where it is.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Always a part of `frame`.
    bytes: &'a [u8],
    frame: &'a Bytes,
}

impl<'a> Input<'a> {
    /// All of a frame.
    #[must_use]
    pub fn new(frame: &'a Bytes) -> Self {
        Self { bytes: frame, frame }
    }

    /// How many bytes are left.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing is left.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes that are left.
    #[inline]
    #[must_use]
    pub const fn as_slice(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many bytes of the frame lie before this one.
    #[must_use]
    pub fn offset(&self) -> u32 {
        let offset = self.bytes.as_ptr().addr().wrapping_sub(self.frame.as_ptr().addr());
        u32::try_from(offset).unwrap_or(u32::MAX)
    }

    /// The bytes that are left, sharing the frame's memory.
    #[must_use]
    pub fn lend(&self) -> Bytes {
        self.frame.slice_ref(self.bytes)
    }

    /// An error here.
    #[cold]
    #[must_use]
    pub fn error(&self, kind: WireErrorKind) -> nom::Err<WireError> {
        nom::Err::Error(WireError::new(kind, self.offset()))
    }

    /// The next `N` bytes.
    #[inline]
    pub fn take_array<const N: usize>(self) -> IResult<Self, &'a [u8; N], WireError> {
        match self.bytes.split_first_chunk::<N>() {
            Some((array, rest)) => Ok((self.at(rest), array)),
            None => Err(self.error(WireErrorKind::Truncated)),
        }
    }

    /// The next `len` bytes, as an input of their own.
    #[inline]
    pub fn take_input(self, len: usize) -> IResult<Self, Self, WireError> {
        match self.bytes.split_at_checked(len) {
            Some((taken, rest)) => Ok((self.at(rest), self.at(taken))),
            None => Err(self.error(WireErrorKind::BadLength)),
        }
    }

    /// Fails unless everything was read.
    pub fn finish(self) -> Result<(), nom::Err<WireError>> {
        if self.is_empty() { Ok(()) } else { Err(self.error(WireErrorKind::TrailingBytes)) }
    }

    /// `bytes` is a part of the same frame.
    #[inline]
    pub(crate) const fn at(self, bytes: &'a [u8]) -> Self {
        Self { bytes, frame: self.frame }
    }
}

/// Lets nom's combinators run over a frame.
impl<'a> nom::Input for Input<'a> {
    type Item = u8;
    type Iter = core::iter::Copied<core::slice::Iter<'a, u8>>;
    type IterIndices = core::iter::Enumerate<Self::Iter>;

    fn input_len(&self) -> usize {
        self.bytes.len()
    }

    fn take(&self, index: usize) -> Self {
        self.at(self.bytes.get(..index).unwrap_or(self.bytes))
    }

    fn take_from(&self, index: usize) -> Self {
        self.at(self.bytes.split_at(index.min(self.bytes.len())).1)
    }

    fn take_split(&self, index: usize) -> (Self, Self) {
        (self.take_from(index), self.take(index))
    }

    fn position<P: Fn(Self::Item) -> bool>(&self, predicate: P) -> Option<usize> {
        self.bytes.iter().position(|byte| predicate(*byte))
    }

    fn iter_elements(&self) -> Self::Iter {
        self.bytes.iter().copied()
    }

    fn iter_indices(&self) -> Self::IterIndices {
        self.iter_elements().enumerate()
    }

    fn slice_index(&self, count: usize) -> Result<usize, Needed> {
        match count.checked_sub(self.bytes.len()) {
            None | Some(0) => Ok(count),
            Some(missing) => Err(Needed::new(missing)),
        }
    }
}

/// nom's combinators make an error only where they run out of input.
impl ParseError<Input<'_>> for WireError {
    fn from_error_kind(input: Input<'_>, _: ErrorKind) -> Self {
        Self::new(WireErrorKind::Truncated, input.offset())
    }

    fn append(_: Input<'_>, _: ErrorKind, other: Self) -> Self {
        other
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use nom::Parser as _;
    use nom::bytes::complete::{take, take_while};
    use nom::multi::many_m_n;
    use nom::number::complete::be_u8;

    use super::*;

    type Parsed<'a, T> = IResult<Input<'a>, T, WireError>;

    #[test]
    fn nom_runs_over_a_frame() {
        let frame = Bytes::from_static(b"\x02ab\x00\x03cdeXX!");
        let parsed: Parsed<'_, Vec<Input<'_>>> =
            many_m_n(3, 3, be_u8.flat_map(take)).parse(Input::new(&frame));
        let (rest, parts) = parsed.expect("three parts");
        assert_eq!(parts.iter().map(Input::lend).collect::<Vec<_>>(), [&b"ab"[..], b"", b"cde"]);
        assert_eq!((rest.offset(), rest.len()), (8, 3));
        let parsed: Parsed<'_, Input<'_>> = take_while(|byte| byte == b'X').parse(rest);
        let (rest, letters) = parsed.expect("letters");
        assert_eq!((letters.as_slice(), rest.offset()), (&b"XX"[..], 10));
        let parsed: Parsed<'_, Input<'_>> = take(2_usize).parse(rest);
        assert_eq!(parsed.map(drop), Err(rest.error(WireErrorKind::Truncated)));
    }

    #[test]
    fn what_is_lent_shares_the_frame() {
        let frame = Bytes::from_static(b"abcdef");
        let (rest, taken) = Input::new(&frame).take_input(4).expect("four bytes");
        assert_eq!(taken.lend().as_ptr(), frame.as_ptr());
        assert_eq!((rest.lend(), rest.offset()), (Bytes::from_static(b"ef"), 4));
        let error = rest.take_input(3).map(drop);
        assert_eq!(error, Err(nom::Err::Error(WireError::new(WireErrorKind::BadLength, 4))));
        let error = rest.take_array::<3>().map(drop);
        assert_eq!(error, Err(nom::Err::Error(WireError::new(WireErrorKind::Truncated, 4))));
    }
}
