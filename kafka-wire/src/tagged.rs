//! Tagged fields (KIP-482): the optional end of every structure in a flexible version.

use nom::IResult;

use crate::error::{WireError, WireErrorKind};
use crate::frame::FrameBuf;
use crate::input::Input;
use crate::text::take_uvarint;
use crate::varint;
use crate::wire::{Cx, Wire};

/// A tagged section: calls `known` with each tag and its bytes.
///
/// `known` says whether it took the field. Others are skipped: a newer peer may send them in any version.
pub(crate) fn take_tagged<'a>(
    input: Input<'a>,
    mut known: impl FnMut(u32, Input<'a>) -> Result<(), nom::Err<WireError>>,
) -> IResult<Input<'a>, (), WireError> {
    let (mut rest, count) = take_uvarint(input)?;
    // A tag and a size are a byte each at least.
    if usize::try_from(count).is_ok_and(|count| count > rest.len() / 2) {
        return Err(input.error(WireErrorKind::BadLength));
    }
    for _ in 0..count {
        let (after, tag) = take_uvarint(rest)?;
        let (after, size) = take_uvarint(after)?;
        let (after, value) = after.take_input(usize::try_from(size).unwrap_or(usize::MAX))?;
        known(tag, value)?;
        rest = after;
    }
    Ok((rest, ()))
}

/// A value that fills its input.
pub(crate) fn take_whole<T: Wire>(input: Input<'_>, cx: Cx) -> Result<T, nom::Err<WireError>> {
    let (rest, value) = T::decode(input, cx)?;
    rest.finish()?;
    Ok(value)
}

/// Skips a tagged section of which no field is known.
pub(crate) fn skip_tagged(input: Input<'_>) -> IResult<Input<'_>, (), WireError> {
    take_tagged(input, |_, _| Ok(()))
}

/// Appends a tagged field.
pub(crate) fn put_tagged<T: Wire>(buf: &mut FrameBuf, tag: u32, value: &T, cx: Cx) {
    let size = value.size(cx);
    buf.put_uvarint(tag);
    match u32::try_from(size) {
        Ok(size) => buf.put_uvarint(size),
        Err(_) => buf.fail(WireErrorKind::TooLong),
    }
    value.encode(buf, cx);
}

/// How many bytes [`put_tagged`] appends.
pub(crate) fn size_tagged<T: Wire>(tag: u32, value: &T, cx: Cx) -> usize {
    let size = value.size(cx);
    varint::size_u32(tag) + varint::size_u32(u32::try_from(size).unwrap_or(u32::MAX)) + size
}
