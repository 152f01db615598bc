//! Integers of variable length: seven bits a byte, the lowest first; signed ones zig-zag.
//!
//! Lengths and tags of flexible messages are unsigned; the fields of a record are signed.
#![expect(
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::cast_possible_truncation,
    reason = "zig-zag and base 128 are about bits, not about numbers"
)]

use bytes::BufMut;

use crate::error::WireErrorKind;

/// The most bytes a 32-bit integer takes.
pub const MAX_LEN_32: usize = 5;
/// The most bytes a 64-bit integer takes.
pub const MAX_LEN_64: usize = 10;

/// Small magnitudes to small numbers: 0, -1, 1, -2, ... to 0, 1, 2, 3, ...
#[inline]
#[must_use]
pub const fn zigzag_i32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

/// Small magnitudes to small numbers: 0, -1, 1, -2, ... to 0, 1, 2, 3, ...
#[inline]
#[must_use]
pub const fn zigzag_i64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag_i32`].
#[inline]
#[must_use]
pub const fn unzigzag_i32(value: u32) -> i32 {
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

/// The inverse of [`zigzag_i64`].
#[inline]
#[must_use]
pub const fn unzigzag_i64(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// How many bytes [`put_u32`] appends.
#[inline]
#[must_use]
pub const fn size_u32(value: u32) -> usize {
    // ceil(bits / 7) without a branch or a division, for 1 to 32 bits: zero has one bit here.
    let bits = 32 - (value | 1).leading_zeros();
    ((bits * 9 + 64) >> 6) as usize
}

/// How many bytes [`put_u64`] appends.
#[inline]
#[must_use]
pub const fn size_u64(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros();
    ((bits * 9 + 64) >> 6) as usize
}

/// How many bytes [`put_i32`] appends.
#[inline]
#[must_use]
pub const fn size_i32(value: i32) -> usize {
    size_u32(zigzag_i32(value))
}

/// How many bytes [`put_i64`] appends.
#[inline]
#[must_use]
pub const fn size_i64(value: i64) -> usize {
    size_u64(zigzag_i64(value))
}

/// Appends an unsigned integer.
#[inline]
pub fn put_u32(out: &mut impl BufMut, mut value: u32) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Appends an unsigned integer.
#[inline]
pub fn put_u64(out: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Appends a signed integer.
#[inline]
pub fn put_i32(out: &mut impl BufMut, value: i32) {
    put_u32(out, zigzag_i32(value));
}

/// Appends a signed integer.
#[inline]
pub fn put_i64(out: &mut impl BufMut, value: i64) {
    put_u64(out, zigzag_i64(value));
}

/// An integer, and the bytes after it.
pub type Taken<'a, T> = Result<(T, &'a [u8]), WireErrorKind>;

/// Reads an unsigned integer from the front of `bytes`.
///
/// # Errors
/// [`Truncated`](WireErrorKind::Truncated), or [`BadVarint`](WireErrorKind::BadVarint) for more than 32 bits.
#[inline]
pub fn take_u32(bytes: &[u8]) -> Taken<'_, u32> {
    match bytes.split_first() {
        Some((&byte, rest)) if byte < 0x80 => Ok((u32::from(byte), rest)),
        _ => {
            let (value, rest) = take_long(bytes, MAX_LEN_32, 0x0f)?;
            Ok((value as u32, rest))
        }
    }
}

/// Reads an unsigned integer from the front of `bytes`.
///
/// # Errors
/// [`Truncated`](WireErrorKind::Truncated), or [`BadVarint`](WireErrorKind::BadVarint) for more than 64 bits.
#[inline]
pub fn take_u64(bytes: &[u8]) -> Taken<'_, u64> {
    match bytes.split_first() {
        Some((&byte, rest)) if byte < 0x80 => Ok((u64::from(byte), rest)),
        _ => take_long(bytes, MAX_LEN_64, 0x01),
    }
}

/// Reads a signed integer from the front of `bytes`.
///
/// # Errors
/// As [`take_u32`].
#[inline]
pub fn take_i32(bytes: &[u8]) -> Taken<'_, i32> {
    let (value, rest) = take_u32(bytes)?;
    Ok((unzigzag_i32(value), rest))
}

/// Reads a signed integer from the front of `bytes`.
///
/// # Errors
/// As [`take_u64`].
#[inline]
pub fn take_i64(bytes: &[u8]) -> Taken<'_, i64> {
    let (value, rest) = take_u64(bytes)?;
    Ok((unzigzag_i64(value), rest))
}

/// At most `max_len` bytes, of which the last may hold at most `last`.
fn take_long(bytes: &[u8], max_len: usize, last: u8) -> Taken<'_, u64> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(max_len).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            let fits = index + 1 < max_len || byte <= last;
            let rest = bytes.get(index + 1..).unwrap_or_default();
            return if fits { Ok((value, rest)) } else { Err(WireErrorKind::BadVarint) };
        }
    }
    Err(if bytes.len() < max_len { WireErrorKind::Truncated } else { WireErrorKind::BadVarint })
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// Value and bytes, from Kafka's `ByteUtils`.
    const GOLDEN: [(i32, &[u8]); 16] = [
        (0, &[0x00]),
        (-1, &[0x01]),
        (1, &[0x02]),
        (63, &[0x7e]),
        (-64, &[0x7f]),
        (64, &[0x80, 0x01]),
        (-65, &[0x81, 0x01]),
        (300, &[0xd8, 0x04]),
        (8191, &[0xfe, 0x7f]),
        (-8192, &[0xff, 0x7f]),
        (8192, &[0x80, 0x80, 0x01]),
        (-8193, &[0x81, 0x80, 0x01]),
        (1_048_575, &[0xfe, 0xff, 0x7f]),
        (1_048_576, &[0x80, 0x80, 0x80, 0x01]),
        (i32::MAX, &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
        (i32::MIN, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
    ];

    #[test]
    fn integers_have_kafkas_bytes() {
        for (value, bytes) in GOLDEN {
            let mut out = Vec::new();
            put_i32(&mut out, value);
            assert_eq!(out, bytes, "{value}");
            put_i64(&mut out, i64::from(value));
            assert_eq!(&out[bytes.len()..], bytes, "{value}");
            assert_eq!((size_i32(value), size_i64(i64::from(value))), (bytes.len(), bytes.len()), "{value}");
            assert_eq!(take_i32(&out), Ok((value, bytes)));
            assert_eq!(take_i64(bytes), Ok((i64::from(value), &[][..])));
        }
        let mut out = Vec::new();
        put_i64(&mut out, i64::MIN);
        assert_eq!(out, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
        assert_eq!(take_i64(&out), Ok((i64::MIN, &[][..])));
    }

    #[test]
    fn sizes_are_exact_at_every_width() {
        for bits in 0..64 {
            for value in [1_u64 << bits, (1 << bits) - 1, u64::MAX >> bits] {
                let mut out = Vec::new();
                put_u64(&mut out, value);
                assert_eq!(size_u64(value), out.len(), "{value:#x}");
                assert_eq!(take_u64(&out), Ok((value, &[][..])));
                if let Ok(value) = u32::try_from(value) {
                    assert_eq!(size_u32(value), out.len(), "{value:#x}");
                    assert_eq!(take_u32(&out), Ok((value, &[][..])));
                }
            }
        }
    }

    #[test]
    fn too_few_and_too_many_bits_are_told_apart() {
        assert_eq!(take_u32(&[]), Err(WireErrorKind::Truncated));
        assert_eq!(take_u32(&[0x80, 0x80]), Err(WireErrorKind::Truncated));
        assert_eq!(take_u32(&[0xff, 0xff, 0xff, 0xff, 0x10]), Err(WireErrorKind::BadVarint));
        assert_eq!(take_u32(&[0xff, 0xff, 0xff, 0xff, 0xff]), Err(WireErrorKind::BadVarint));
        assert_eq!(take_u64(&[0xff; 9]), Err(WireErrorKind::Truncated));
        assert_eq!(take_u64(&[0xff; 10]), Err(WireErrorKind::BadVarint));
        assert_eq!(
            take_u64(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]),
            Err(WireErrorKind::BadVarint)
        );
        // Longer than it need be, but within its type.
        assert_eq!(take_u32(&[0x81, 0x80, 0x00, 9]), Ok((1, &[9][..])));
    }
}
