//! Topic ids.

use core::fmt;

use nom::IResult;

use crate::error::WireError;
use crate::frame::FrameBuf;
use crate::input::Input;
use crate::schema::Type;
use crate::wire::{Cx, Wire};

/// The id of a topic (KIP-516): 16 bytes that survive nothing but the topic. Zero means no id.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "16 bytes, and never anything else")]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// No id.
    pub const ZERO: Self = Self([0; 16]);

    /// Whether this is no id.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

/// As Kafka's tools print it: base 64 with the letters of URLs, without padding.
impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        // 21 letters of six bits, then one with the last two bits on its left.
        for index in 0..21 {
            f.write_str(letter(bits >> (122 - 6 * index)))?;
        }
        f.write_str(letter(bits << 4))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicId({self})")
    }
}

/// The letter of the lowest six bits.
fn letter(bits: u128) -> &'static str {
    let index = usize::try_from(bits & 63).unwrap_or_default();
    LETTERS.get(index..=index).unwrap_or_default()
}

impl Wire for TopicId {
    const TYPE: Type = Type::plain("uuid");

    #[inline]
    fn decode<'a>(input: Input<'a>, _: Cx) -> IResult<Input<'a>, Self, WireError> {
        let (input, bytes) = input.take_array()?;
        Ok((input, Self(*bytes)))
    }

    #[inline]
    fn encode(&self, buf: &mut FrameBuf, _: Cx) {
        buf.put_slice(&self.0);
    }

    #[inline]
    fn size(&self, _: Cx) -> usize {
        16
    }

    #[inline]
    fn min_size(_: Cx) -> usize {
        16
    }
}

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn ids_are_shown_as_kafka_shows_them() {
        // By `Uuid.toString()` of kafka-clients 4.3.1.
        assert_eq!(TopicId::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(TopicId([0xff; 16]).to_string(), "_____________________w");
        let bytes = core::array::from_fn(|index| 0x11 * u8::try_from(index).expect("one of 16"));
        assert_eq!(TopicId(bytes).to_string(), "ABEiM0RVZneImaq7zN3u_w");
    }
}
