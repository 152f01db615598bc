#![expect(clippy::cast_possible_truncation, reason = "bytes made up from numbers")]

use super::*;

/// Text-like, and long enough for several blocks of each codec.
fn text(len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| b"kafka batches of records "[(i % 25) as usize] ^ ((i / 997) as u8 % 4)).collect()
}

/// Bytes that no codec makes smaller.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(next).collect()
}

fn codecs() -> Vec<Compression> {
    Compression::compiled().into_iter().skip(1).collect()
}

#[test]
fn what_goes_in_comes_out_however_it_is_cut() {
    for codec in codecs() {
        let mut compressor = Compressor::new(codec).unwrap();
        for len in [100, 1000, 16_384, 32_768, 40_000, 65_536, 65_537, 300_000] {
            let data = text(len);
            for piece in [len, 16_384, 1000] {
                let compressed =
                    compressor.compress(data.chunks(piece), len).unwrap_or_else(|| panic!("{codec} {len}"));
                assert!(compressed.len() < len);
                let output = decompress(codec.codec(), compressed, len).unwrap();
                assert_eq!(output, data, "{codec} {len} {piece}");
                assert_eq!(
                    decompress(codec.codec(), compressed, len - 1),
                    Err(ReadError::TooLarge { limit: len - 1 }),
                    "{codec} {len}"
                );
            }
        }
    }
}

#[test]
fn what_does_not_shrink_is_left_alone() {
    for codec in codecs() {
        let mut compressor = Compressor::new(codec).unwrap();
        for len in [0, 1, 7, 20, 1000, 16_384, 100_000] {
            assert_eq!(compressor.compress(noise(len).chunks(16_384), len), None, "{codec} {len}");
        }
        let data = text(5000);
        assert!(compressor.compress([&data[..]].into_iter(), 5000).is_some(), "the state recovers");
    }
}

#[test]
fn every_level_works() {
    let levels: &[(Compression, &[i32])] = &[
        (Compression::GZIP, &[-1, 1, 5, 9]),
        (Compression::LZ4, &[1, 9, 17]),
        (Compression::ZSTD, &[-131_072, -1, 0, 1, 3, 19, 22]),
    ];
    let data = text(20_000);
    for &(codec, levels) in levels {
        for &level in levels {
            let Ok(mut compressor) = Compressor::new(codec.with_level(level)) else { continue };
            let Some(compressed) = compressor.compress([&data[..]].into_iter(), data.len()) else {
                assert_eq!(level, -131_072, "only this level is too fast to find anything");
                continue;
            };
            assert_eq!(decompress(codec.codec(), compressed, data.len()).unwrap(), data, "{codec} {level}");
        }
    }
}

#[test]
fn cut_short_or_garbled_is_an_error_and_not_a_panic() {
    for codec in codecs() {
        let mut compressor = Compressor::new(codec).unwrap();
        let data = text(3000);
        let compressed = compressor.compress([&data[..]].into_iter(), 3000).unwrap().to_vec();
        for len in 1..compressed.len() {
            if let Ok(output) = decompress(codec.codec(), &compressed[..len], 3000) {
                assert_ne!(output, data, "{codec} {len}");
            }
        }
        for at in 0..compressed.len() {
            let mut garbled = compressed.clone();
            garbled[at] ^= 0x41;
            let _ = decompress(codec.codec(), &garbled, 10_000);
        }
    }
}

#[test]
fn refusals_name_the_feature_or_the_levels() {
    let text = |codec: Compression| codec.check().unwrap_err().to_string();
    assert_eq!(text(Compression::Gzip(0)), "gzip has no level 0: the levels are -1 or 1 to 9");
    assert_eq!(text(Compression::Lz4(18)), "lz4 has no level 18: the levels are 1 to 17");
    assert_eq!(text(Compression::Zstd(23)), "zstd has no level 23: the levels are -131072 to 22");
    if cfg!(not(feature = "zstd")) {
        assert_eq!(text(Compression::ZSTD), "zstd is not compiled in: turn on the feature `zstd`");
        assert_eq!(decompress(4, &[], 0), Err(ReadError::NotCompiled("zstd")));
    }
    if cfg!(not(feature = "lz4-hc")) {
        let expected = "lz4 at a level other than 9 is not compiled in: turn on the feature `lz4-hc`";
        assert_eq!(text(Compression::Lz4(1)), expected);
    }
    assert_eq!(
        "brotli".parse::<Compression>().unwrap_err().to_string(),
        "no codec \"brotli\": there are none, gzip, snappy, lz4 and zstd"
    );
    assert_eq!("lz4".parse(), Ok(Compression::LZ4));
    assert_eq!(decompress(5, &[], 0), Err(ReadError::UnknownCodec(5)));
}
