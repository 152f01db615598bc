//! CRC-32C (Castagnoli), over pieces.

/// The CRC of the pieces as if they were one.
#[must_use]
pub fn crc32c<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    pieces.into_iter().fold(0, crc32c::crc32c_append)
}

/// Goes on with a CRC.
pub(crate) fn append(crc: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc, bytes)
}

/// The CRC of two pieces in a row, of which each has its own: `len` is the second one's.
///
/// Zeros appended to the first piece multiply its CRC, as a polynomial, by x to the power of eight times their number.
pub(crate) fn join(first: u32, second: u32, len: usize) -> u32 {
    let mut power = ONE;
    let mut rest = len;
    for table in &POWERS {
        let [byte, ..] = rest.to_le_bytes();
        if byte != 0 {
            let factor = table.get(usize::from(byte)).copied().unwrap_or(ONE);
            power = if power == ONE { factor } else { multiply(power, factor) };
        }
        rest >>= 8;
    }
    debug_assert!(rest == 0, "a batch's length is 32 bits");
    multiply(first, power) ^ second
}

/// The product of two polynomials by the one of CRC-32C. The lowest power is the highest bit.
#[expect(clippy::indexing_slicing, reason = "by four bits, in lists of sixteen")]
const fn multiply(a: u32, b: u32) -> u32 {
    // `b` by each polynomial of four terms.
    let mut products = [0; 16];
    let (b1, b2, b3) = (by_x(b), by_x(by_x(b)), by_x(by_x(by_x(b))));
    let mut at = 0_u32;
    while at < 16 {
        let mut product = 0;
        if at & 8 != 0 {
            product ^= b;
        }
        if at & 4 != 0 {
            product ^= b1;
        }
        if at & 2 != 0 {
            product ^= b2;
        }
        if at & 1 != 0 {
            product ^= b3;
        }
        products[at as usize] = product;
        at += 1;
    }
    // The highest powers first.
    let (mut product, mut a, mut step) = (0_u32, a, 0);
    while step < 8 {
        product = (product >> 4) ^ CARRIES[(product & 15) as usize] ^ products[(a & 15) as usize];
        a >>= 4;
        step += 1;
    }
    product
}

/// The next higher power of each term.
const fn by_x(a: u32) -> u32 {
    (a >> 1) ^ if a & 1 == 1 { POLYNOMIAL } else { 0 }
}

/// What becomes of the four highest terms when they are multiplied by x to the fourth.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const CARRIES: [u32; 16] = {
    let mut carries = [0; 16];
    let mut at = 0_u32;
    while at < 16 {
        carries[at as usize] = by_x(by_x(by_x(by_x(at))));
        at += 1;
    }
    carries
};

/// x to the power of `8 * 256^i * j`, for the bytes of a length.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
static POWERS: [[u32; 256]; 4] = {
    let mut powers = [[ONE; 256]; 4];
    // x to the eighth: a byte.
    let mut base = ONE >> 8;
    let mut i = 0;
    while i < 4 {
        let mut j = 1;
        while j < 256 {
            powers[i][j] = multiply(powers[i][j - 1], base);
            j += 1;
        }
        base = multiply(powers[i][255], base);
        i += 1;
    }
    powers
};

/// The polynomial 1.
const ONE: u32 = 1 << 31;

/// Castagnoli's, without its highest term.
const POLYNOMIAL: u32 = 0x82f6_3b78;

#[cfg(test)]
mod tests {
    use super::{crc32c, join};

    #[test]
    fn known_values() {
        assert_eq!(crc32c([&b"123456789"[..]]), 0xe306_9283);
        assert_eq!(crc32c([&b"1234"[..], b"", b"56789"]), 0xe306_9283);
        assert_eq!(crc32c([&[0; 32][..]]), 0x8a91_36aa);
    }

    #[test]
    fn two_crcs_are_joined_as_their_pieces_would_be() {
        let bytes: Vec<u8> =
            (0..200_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for len in [0, 1, 7, 255, 256, 257, 16_323, 16_384, 65_535, 65_536, 65_793, 199_960] {
            let (first, second) = (&bytes[..40], &bytes[40..40 + len]);
            let joined = join(crc32c([first]), crc32c([second]), len);
            assert_eq!(joined, crc32c([first, second]), "{len}");
        }
    }
}
