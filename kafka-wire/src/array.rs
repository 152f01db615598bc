//! Arrays.

use alloc::vec::Vec;

use nom::IResult;

use crate::error::{WireError, WireErrorKind};
use crate::frame::FrameBuf;
use crate::input::Input;
use crate::schema::Type;
use crate::text::{Width, not_null, put_len, size_len, take_len};
use crate::wire::{Cx, Nullable, Wire};

impl<T: Wire> Wire for Vec<T> {
    const TYPE: Type = Type::Array(&T::TYPE);

    #[inline]
    fn decode<'a>(input: Input<'a>, cx: Cx) -> IResult<Input<'a>, Self, WireError> {
        not_null(input, cx)
    }

    #[inline]
    fn encode(&self, buf: &mut FrameBuf, cx: Cx) {
        Self::encode_nullable(Some(self), buf, cx);
    }

    #[inline]
    fn size(&self, cx: Cx) -> usize {
        Self::size_nullable(Some(self), cx)
    }

    fn min_size(cx: Cx) -> usize {
        size_len(None, cx, Width::Four)
    }
}

impl<T: Wire> Nullable for Vec<T> {
    fn decode_nullable<'a>(input: Input<'a>, cx: Cx) -> IResult<Input<'a>, Option<Self>, WireError> {
        let (mut rest, count) = take_len(input, cx, Width::Four)?;
        let Some(count) = count else {
            return Ok((rest, None));
        };
        // An element without bytes would let four bytes of input ask for any number of elements.
        let min_size = T::min_size(cx).max(1);
        if count.checked_mul(min_size).is_none_or(|least| least > rest.len()) {
            return Err(input.error(WireErrorKind::BadLength));
        }
        let mut items = Self::with_capacity(count);
        for _ in 0..count {
            let (after, item) = T::decode(rest, cx)?;
            rest = after;
            items.push(item);
        }
        Ok((rest, Some(items)))
    }

    fn encode_nullable(value: Option<&Self>, buf: &mut FrameBuf, cx: Cx) {
        put_len(buf, value.map(Self::len), cx, Width::Four);
        for item in value.into_iter().flatten() {
            item.encode(buf, cx);
        }
    }

    fn size_nullable(value: Option<&Self>, cx: Cx) -> usize {
        let items = value.into_iter().flatten();
        size_len(value.map(Self::len), cx, Width::Four) + items.map(|item| item.size(cx)).sum::<usize>()
    }
}
