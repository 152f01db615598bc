//! The trait [`Wire`], for whatever has bytes.

use nom::IResult;

use crate::error::WireError;
use crate::frame::FrameBuf;
use crate::input::Input;
use crate::schema::Type;

/// The version a value is read or written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cx {
    /// The version of the API.
    pub version: i16,
    /// Whether that version has compact lengths and tagged fields (KIP-482).
    pub flexible: bool,
}

/// A value with bytes in Kafka's protocol.
///
/// `size` is exact: `encode` appends that many bytes, unless the value has no bytes in this version (a string that
/// is too long, null where there is none). Then it marks the [`FrameBuf`] as failed, which [`FrameBuf::finish`]
/// reports.
pub trait Wire: Sized {
    /// The type in the words of Kafka's definitions.
    const TYPE: Type;

    /// Reads a value.
    ///
    /// # Errors
    /// When the input is no such value. Input from a stranger costs no more memory than a constant times its length.
    fn decode<'a>(input: Input<'a>, cx: Cx) -> IResult<Input<'a>, Self, WireError>;

    /// Appends the value.
    fn encode(&self, buf: &mut FrameBuf, cx: Cx);

    /// How many bytes `encode` appends.
    fn size(&self, cx: Cx) -> usize;

    /// The least that any value takes: what an array's count is checked with before anything is allocated.
    fn min_size(cx: Cx) -> usize;
}

/// A value that can be null; `Option` of it has bytes.
pub trait Nullable: Wire {
    /// Reads a value or null.
    ///
    /// # Errors
    /// As [`Wire::decode`].
    fn decode_nullable<'a>(input: Input<'a>, cx: Cx) -> IResult<Input<'a>, Option<Self>, WireError>;

    /// Appends a value or null.
    fn encode_nullable(value: Option<&Self>, buf: &mut FrameBuf, cx: Cx);

    /// How many bytes `encode_nullable` appends.
    fn size_nullable(value: Option<&Self>, cx: Cx) -> usize;

    /// The size of null.
    fn min_size_nullable(cx: Cx) -> usize {
        Self::size_nullable(None, cx)
    }
}

impl<T: Nullable> Wire for Option<T> {
    const TYPE: Type = Type::Nullable(&T::TYPE);

    #[inline]
    fn decode<'a>(input: Input<'a>, cx: Cx) -> IResult<Input<'a>, Self, WireError> {
        T::decode_nullable(input, cx)
    }

    #[inline]
    fn encode(&self, buf: &mut FrameBuf, cx: Cx) {
        T::encode_nullable(self.as_ref(), buf, cx);
    }

    #[inline]
    fn size(&self, cx: Cx) -> usize {
        T::size_nullable(self.as_ref(), cx)
    }

    fn min_size(cx: Cx) -> usize {
        T::min_size_nullable(cx)
    }
}
