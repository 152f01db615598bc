//! The hash that ties a key to a partition, the same as in Kafka's own clients for the JVM.
//!
//! librdkafka and the clients built on it choose by CRC-32 unless told otherwise
//! (`partitioner=murmur2_random`): a topic written by both kinds has each key in two places.

/// Hashes `key` with the 32-bit `MurmurHash2` that Kafka's Java clients use.
///
/// ```
/// # use kafka_producer::partitioner::murmur2;
/// assert_eq!(murmur2(b"kafka"), 0xd067_cf64);
/// ```
#[must_use]
pub fn murmur2(key: &[u8]) -> u32 {
    // Java takes the length as a 32-bit number; a key of 4 GiB does not fit into a record anyway.
    #[expect(clippy::cast_possible_truncation, reason = "the hash is defined over 32 bits of the length")]
    let len = key.len() as u32;
    let mut hash = SEED ^ len;

    let mut blocks = key.chunks_exact(4);
    for block in &mut blocks {
        let mut k = block.iter().rev().fold(0_u32, |k, &byte| (k << 8) | u32::from(byte));
        k = k.wrapping_mul(MULTIPLIER);
        k ^= k >> 24;
        k = k.wrapping_mul(MULTIPLIER);
        hash = hash.wrapping_mul(MULTIPLIER) ^ k;
    }

    let tail = blocks.remainder();
    if !tail.is_empty() {
        hash ^= tail.iter().rev().fold(0_u32, |k, &byte| (k << 8) | u32::from(byte));
        hash = hash.wrapping_mul(MULTIPLIER);
    }

    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 15)
}

/// The partition of a keyed record: `murmur2` modulo the number of all partitions, led or not.
///
/// The sign bit is masked away, as in Java: an absolute value would choose other partitions for half of the keys.
/// Adding partitions to a topic moves keys.
///
/// # Panics
///
/// If `partition_count` is zero, which no topic has.
///
/// ```
/// # use kafka_producer::partitioner::partition_for_key;
/// assert_eq!(partition_for_key(b"user-42", 12), 4);
/// ```
#[must_use]
pub fn partition_for_key(key: &[u8], partition_count: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partition_count
}

const SEED: u32 = 0x9747_b28c;
const MULTIPLIER: u32 = 0x5bd1_e995;

#[cfg(test)]
mod tests {
    use super::*;

    /// Key, hash, and the partition among 3, 6, 10, 12, 50 and 100.
    ///
    /// From an implementation independent of this one; those marked `*` are also in Kafka's unit tests.
    #[rustfmt::skip]
    const VECTORS: [(&[u8], u32, [u32; 6]); 22] = [
        (b"",                            0x106e_08d9, [0, 3, 1, 9, 31, 81]),
        (b"\x00",                        0x1661_97bc, [2, 2, 8, 8, 38, 88]),
        (b"a",                           0xa2d0_b27c, [1, 4, 4, 4, 24, 24]),
        (b"ab",                          0x12d8_262a, [2, 2, 4, 2, 34, 34]),
        (b"abc" /* * */,                 0x1c94_221b, [0, 3, 7, 3, 7, 7]),
        (b"abcd",                        0xb11a_b5f4, [2, 2, 0, 8, 0, 0]),
        (b"21" /* * */,                  0xc5f2_f8ec, [0, 0, 0, 0, 40, 40]),
        (b"foobar" /* * */,              0xd0e4_7bbe, [0, 0, 6, 6, 16, 66]),
        (b"key",                         0xbfa1_76a9, [1, 1, 1, 1, 31, 81]),
        (b"kafka",                       0xd067_cf64, [1, 4, 0, 4, 30, 80]),
        (b"test-key-1",                  0xc4c5_b60e, [2, 2, 6, 2, 36, 86]),
        (b"user-42",                     0x5700_682c, [1, 4, 0, 4, 10, 60]),
        (b"\xff\xff\xff\xff",            0x2665_46a5, [2, 5, 9, 5, 29, 29]),
        (b"\x80",                        0x331f_517c, [2, 2, 2, 8, 42, 92]),
        (b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f",
                                         0xc220_d729, [0, 3, 9, 9, 39, 89]),
        ("ключ".as_bytes(),              0x7e80_6270, [2, 2, 4, 8, 24, 24]),
        ("日本".as_bytes(),              0xd63a_78f3, [0, 3, 7, 3, 27, 27]),
        (&1_i64.to_be_bytes(),           0x7d32_dfac, [0, 0, 0, 0, 10, 60]),
        (&42_i64.to_be_bytes(),          0x1e36_1fc0, [1, 4, 2, 4, 2, 52]),
        (b"a-little-bit-long-string" /* * */,   0xc53b_1da0, [2, 2, 2, 8, 12, 12]),
        (b"a-little-bit-longer-string" /* * */, 0xa768_c9c3, [2, 5, 9, 11, 19, 19]),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8" /* * */,
                                         0xfc7d_49cd, [2, 5, 7, 5, 27, 77]),
    ];

    #[test]
    fn hashes_as_java_does() {
        for (key, hash, _) in VECTORS {
            assert_eq!(murmur2(key), hash, "{}", key.escape_ascii());
        }
    }

    #[test]
    fn chooses_the_partition_java_chooses() {
        for (key, _, partitions) in VECTORS {
            let chosen = [3, 6, 10, 12, 50, 100].map(|count| partition_for_key(key, count));
            assert_eq!(chosen, partitions, "{}", key.escape_ascii());
        }
    }
}
