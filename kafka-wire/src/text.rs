//! Lengths and strings.

use alloc::borrow::ToOwned;
use alloc::string::String;

use nom::IResult;

use crate::error::{WireError, WireErrorKind};
use crate::frame::FrameBuf;
use crate::input::Input;
use crate::schema::Type;
use crate::varint;
use crate::wire::{Cx, Nullable, Wire};

/// How wide a length is where it is not compact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// Strings.
    Two,
    /// Bytes, arrays, records.
    Four,
}

/// An unsigned integer of variable length.
#[inline]
pub(crate) fn take_uvarint(input: Input<'_>) -> IResult<Input<'_>, u32, WireError> {
    match varint::take_u32(input.as_slice()) {
        Ok((value, rest)) => Ok((input.at(rest), value)),
        Err(kind) => Err(input.error(kind)),
    }
}

/// A length, `None` for null. Compact ones are one more than the length, so that zero is null.
#[inline]
pub(crate) fn take_len(
    input: Input<'_>,
    cx: Cx,
    width: Width,
) -> IResult<Input<'_>, Option<usize>, WireError> {
    if cx.flexible {
        let (rest, len) = take_uvarint(input)?;
        return match len.checked_sub(1) {
            None => Ok((rest, None)),
            Some(len) => match usize::try_from(len) {
                Ok(len) => Ok((rest, Some(len))),
                Err(_) => Err(input.error(WireErrorKind::BadLength)),
            },
        };
    }
    let (rest, len) = match width {
        Width::Two => {
            let (rest, len) = i16::decode(input, cx)?;
            (rest, i32::from(len))
        }
        Width::Four => i32::decode(input, cx)?,
    };
    match usize::try_from(len) {
        Ok(len) => Ok((rest, Some(len))),
        Err(_) if len == NULL => Ok((rest, None)),
        Err(_) => Err(input.error(WireErrorKind::BadLength)),
    }
}

/// Appends a length, or null.
#[inline]
pub(crate) fn put_len(buf: &mut FrameBuf, len: Option<usize>, cx: Cx, width: Width) {
    let number = len.map_or(Ok(NULL), i32::try_from).unwrap_or_else(|_| too_long(buf));
    if cx.flexible {
        buf.put_uvarint(number.wrapping_add(1).unsigned_abs());
    } else if width == Width::Two {
        let number = i16::try_from(number).unwrap_or_else(|_| too_long(buf));
        buf.put_i16(number);
    } else {
        buf.put_i32(number);
    }
}

/// The size of a length, or of null.
#[inline]
pub(crate) fn size_len(len: Option<usize>, cx: Cx, width: Width) -> usize {
    match width {
        _ if cx.flexible => {
            varint::size_u32(len.map_or(0, |len| u32::try_from(len).unwrap_or(u32::MAX).saturating_add(1)))
        }
        Width::Two => 2,
        Width::Four => 4,
    }
}

#[cold]
fn too_long<T: Default>(buf: &mut FrameBuf) -> T {
    buf.fail(WireErrorKind::TooLong);
    T::default()
}

/// Null as a length of fixed width.
const NULL: i32 = -1;

/// A string lent from the frame, or null.
#[inline]
pub(crate) fn take_text<'a>(input: Input<'a>, cx: Cx) -> IResult<Input<'a>, Option<&'a str>, WireError> {
    let (rest, len) = take_len(input, cx, Width::Two)?;
    let Some(len) = len else {
        return Ok((rest, None));
    };
    if len > MAX_TEXT_LEN {
        return Err(input.error(WireErrorKind::BadLength));
    }
    let (rest, text) = rest.take_input(len)?;
    match core::str::from_utf8(text.as_slice()) {
        Ok(text) => Ok((rest, Some(text))),
        Err(_) => Err(input.error(WireErrorKind::BadUtf8)),
    }
}

/// Appends a string or null.
#[inline]
pub(crate) fn put_text(buf: &mut FrameBuf, text: Option<&str>, cx: Cx) {
    if text.is_some_and(|text| text.len() > MAX_TEXT_LEN) {
        return buf.fail(WireErrorKind::TooLong);
    }
    put_len(buf, text.map(str::len), cx, Width::Two);
    buf.put_slice(text.unwrap_or_default().as_bytes());
}

/// The size of a string or null.
#[inline]
pub(crate) fn size_text(text: Option<&str>, cx: Cx) -> usize {
    size_len(text.map(str::len), cx, Width::Two) + text.map_or(0, str::len)
}

/// Kafka holds flexible versions, too, to the length that fits the others.
pub const MAX_TEXT_LEN: usize = 0x7fff;

/// A value where null is no value.
pub(crate) fn not_null<T: Nullable>(input: Input<'_>, cx: Cx) -> IResult<Input<'_>, T, WireError> {
    match T::decode_nullable(input, cx)? {
        (rest, Some(value)) => Ok((rest, value)),
        (_, None) => Err(input.error(WireErrorKind::UnexpectedNull)),
    }
}

/// `Wire` and `Nullable` for a type that is made from a `&str` and lends one.
macro_rules! text {
    ($ty:ty, $schema:expr, $from:expr, $as_str:expr) => {
        impl $crate::wire::Wire for $ty {
            const TYPE: $crate::schema::Type = $schema;

            #[inline]
            fn decode<'a>(
                input: $crate::input::Input<'a>,
                cx: $crate::wire::Cx,
            ) -> nom::IResult<$crate::input::Input<'a>, Self, $crate::error::WireError> {
                $crate::text::not_null(input, cx)
            }

            #[inline]
            fn encode(&self, buf: &mut $crate::frame::FrameBuf, cx: $crate::wire::Cx) {
                $crate::text::put_text(buf, Some($as_str(self)), cx);
            }

            #[inline]
            fn size(&self, cx: $crate::wire::Cx) -> usize {
                $crate::text::size_text(Some($as_str(self)), cx)
            }

            #[inline]
            fn min_size(cx: $crate::wire::Cx) -> usize {
                $crate::text::size_text(None, cx)
            }
        }

        impl $crate::wire::Nullable for $ty {
            #[inline]
            fn decode_nullable<'a>(
                input: $crate::input::Input<'a>,
                cx: $crate::wire::Cx,
            ) -> nom::IResult<$crate::input::Input<'a>, Option<Self>, $crate::error::WireError> {
                let (input, text) = $crate::text::take_text(input, cx)?;
                Ok((input, text.map($from)))
            }

            #[inline]
            fn encode_nullable(
                value: Option<&Self>,
                buf: &mut $crate::frame::FrameBuf,
                cx: $crate::wire::Cx,
            ) {
                $crate::text::put_text(buf, value.map($as_str), cx);
            }

            #[inline]
            fn size_nullable(value: Option<&Self>, cx: $crate::wire::Cx) -> usize {
                $crate::text::size_text(value.map($as_str), cx)
            }
        }
    };
}
pub(crate) use text;

text!(String, Type::plain("string"), str::to_owned, String::as_str);
