//! Numbers of a fixed width, big-endian.

use nom::IResult;

use crate::error::WireError;
use crate::frame::FrameBuf;
use crate::input::Input;
use crate::schema::Type;
use crate::wire::{Cx, Wire};

macro_rules! fixed {
    ($($ty:ident, $name:literal, $put:ident;)*) => {$(
        impl Wire for $ty {
            const TYPE: Type = Type::plain($name);

            #[inline]
            fn decode<'a>(input: Input<'a>, _: Cx) -> IResult<Input<'a>, Self, WireError> {
                let (input, bytes) = input.take_array()?;
                Ok((input, Self::from_be_bytes(*bytes)))
            }

            #[inline]
            fn encode(&self, buf: &mut FrameBuf, _: Cx) {
                buf.$put(*self);
            }

            #[inline]
            fn size(&self, _: Cx) -> usize {
                size_of::<Self>()
            }

            #[inline]
            fn min_size(_: Cx) -> usize {
                size_of::<Self>()
            }
        }
    )*};
}

fixed! {
    i8,  "int8",    put_i8;
    i16, "int16",   put_i16;
    i32, "int32",   put_i32;
    i64, "int64",   put_i64;
    u16, "uint16",  put_u16;
    u32, "uint32",  put_u32;
    f64, "float64", put_f64;
}

/// A byte: anything but zero is true, as Kafka reads it.
impl Wire for bool {
    const TYPE: Type = Type::plain("bool");

    #[inline]
    fn decode<'a>(input: Input<'a>, _: Cx) -> IResult<Input<'a>, Self, WireError> {
        let (input, [byte]) = input.take_array()?;
        Ok((input, *byte != 0))
    }

    #[inline]
    fn encode(&self, buf: &mut FrameBuf, _: Cx) {
        buf.put_i8(i8::from(*self));
    }

    #[inline]
    fn size(&self, _: Cx) -> usize {
        1
    }

    #[inline]
    fn min_size(_: Cx) -> usize {
        1
    }
}
