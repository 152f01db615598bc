//! Snappy in the framing of xerial's Java library: a magic, two versions, then blocks behind their lengths.
//!
//! Readers also take a bare snappy block, which some clients write.

use snap::raw::{Decoder, Encoder as RawEncoder, decompress_len, max_compress_len};

use super::for_each_block;
use crate::error::ReadError;

pub(super) struct Encoder {
    raw: RawEncoder,
    gather: Vec<u8>,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self { raw: RawEncoder::new(), gather: Vec::new() }
    }

    pub(super) fn compress<'p>(
        &mut self,
        pieces: impl Iterator<Item = &'p [u8]>,
        out: &mut Vec<u8>,
        max: usize,
    ) -> Option<()> {
        let Self { raw, gather } = self;
        out.extend_from_slice(&HEADER);
        for_each_block(pieces, BLOCK_SIZE, gather, |block| {
            let at = out.len();
            out.resize(at + 4 + max_compress_len(block.len()), 0);
            let (length, room) = out.get_mut(at..)?.split_first_chunk_mut::<4>()?;
            let written = raw.compress(block, room).ok()?;
            *length = u32::try_from(written).ok()?.to_be_bytes();
            out.truncate(at + 4 + written);
            (out.len() <= max).then_some(())
        })
    }
}

pub(super) fn decompress(input: &[u8], limit: usize) -> Result<Vec<u8>, ReadError> {
    let mut output = Vec::new();
    let Some(mut rest) = input.strip_prefix(MAGIC.as_slice()) else {
        block(input, &mut output, limit)?;
        return Ok(output);
    };
    // Version and oldest compatible version; Kafka's readers look at neither.
    rest = rest.get(8..).ok_or(CORRUPT)?;
    while !rest.is_empty() {
        let (length, tail) = rest.split_first_chunk::<4>().ok_or(CORRUPT)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| CORRUPT)?;
        let (compressed, tail) = tail.split_at_checked(length).ok_or(CORRUPT)?;
        block(compressed, &mut output, limit)?;
        rest = tail;
    }
    Ok(output)
}

fn block(input: &[u8], output: &mut Vec<u8>, limit: usize) -> Result<(), ReadError> {
    let size = decompress_len(input).map_err(|_| CORRUPT)?;
    // A copy of two bytes makes at most 64: a claim beyond that is a lie that must not become an allocation.
    if size > input.len().saturating_mul(MAX_EXPANSION) {
        return Err(CORRUPT);
    }
    let at = output.len();
    if size > limit.saturating_sub(at) {
        return Err(ReadError::TooLarge { limit });
    }
    output.resize(at + size, 0);
    let room = output.get_mut(at..).ok_or(CORRUPT)?;
    let written = Decoder::new().decompress(input, room).map_err(|_| CORRUPT)?;
    if written == size { Ok(()) } else { Err(CORRUPT) }
}

const CORRUPT: ReadError = ReadError::Corrupt("snappy");

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";

/// The magic, version 1, compatible with version 1 on.
const HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";

/// What the Java library compresses at a time.
const BLOCK_SIZE: usize = 32 * 1024;

const MAX_EXPANSION: usize = 64;
