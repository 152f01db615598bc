//! CRC-32C (Castagnoli), over pieces.

/// The CRC of the pieces as if they were one.
#[must_use]
pub fn crc32c<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    pieces.into_iter().fold(0, crc32c::crc32c_append)
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    #[test]
    fn known_values() {
        assert_eq!(crc32c([&b"123456789"[..]]), 0xe306_9283);
        assert_eq!(crc32c([&b"1234"[..], b"", b"56789"]), 0xe306_9283);
        assert_eq!(crc32c([&[0; 32][..]]), 0x8a91_36aa);
    }
}
