//! The lz4 frame that Kafka writes and the ones that it reads.
//!
//! Written by hand around the block compressor, so that the frame's bytes are those of the Java client: version 1, blocks
//! independent and of at most 64 KiB, no checksums, no content size.

use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size};

use super::{LZ4_FAST, for_each_block};
use crate::error::ReadError;

pub(super) struct Encoder {
    level: i32,
    table: CompressTable,
    gather: Vec<u8>,
}

impl Encoder {
    pub(super) fn new(level: i32) -> Self {
        Self { level, table: CompressTable::default(), gather: Vec::new() }
    }

    pub(super) fn compress<'p>(
        &mut self,
        pieces: impl Iterator<Item = &'p [u8]>,
        out: &mut Vec<u8>,
        max: usize,
    ) -> Option<()> {
        let Self { level, table, gather } = self;
        out.extend_from_slice(&HEADER);
        for_each_block(pieces, BLOCK_SIZE, gather, |block| {
            let at = out.len();
            out.resize(at + 4 + get_maximum_output_size(block.len()), 0);
            let (length, room) = out.get_mut(at..)?.split_first_chunk_mut::<4>()?;
            let mut written = compress_block(block, room, *level, table)?;
            let mut mark = 0;
            if written >= block.len() {
                room.get_mut(..block.len())?.copy_from_slice(block);
                written = block.len();
                mark = STORED;
            }
            *length = (u32::try_from(written).ok()? | mark).to_le_bytes();
            out.truncate(at + 4 + written);
            (out.len() <= max).then_some(())
        })?;
        out.extend_from_slice(&END);
        Some(())
    }
}

#[cfg(feature = "lz4-hc")]
fn compress_block(block: &[u8], room: &mut [u8], level: i32, table: &mut CompressTable) -> Option<usize> {
    if level == LZ4_FAST {
        return compress_into_with_table(block, room, table).ok();
    }
    let mode = ::lz4::block::CompressionMode::HIGHCOMPRESSION(level);
    ::lz4::block::compress_to_buffer(block, Some(mode), false, room).ok()
}

#[cfg(not(feature = "lz4-hc"))]
fn compress_block(block: &[u8], room: &mut [u8], level: i32, table: &mut CompressTable) -> Option<usize> {
    debug_assert_eq!(level, LZ4_FAST, "other levels are refused where the compressor is made");
    compress_into_with_table(block, room, table).ok()
}

/// Reads any sequence of frames with independent blocks. The header's checksum and those of blocks are checked; a checksum of
/// the content is skipped, as in Kafka: the batch has a CRC.
pub(super) fn decompress(input: &[u8], limit: usize) -> Result<Vec<u8>, ReadError> {
    let mut output = Vec::new();
    let mut rest = input;
    while !rest.is_empty() {
        rest = frame(rest, &mut output, limit)?;
    }
    Ok(output)
}

fn frame<'a>(input: &'a [u8], output: &mut Vec<u8>, limit: usize) -> Result<&'a [u8], ReadError> {
    let after_magic = input.strip_prefix(MAGIC.as_slice()).ok_or(CORRUPT)?;
    let (&[flags, sizes], _) = after_magic.split_first_chunk::<2>().ok_or(CORRUPT)?;
    let has = |bit: u8| flags & bit != 0;
    let known = flags & VERSION_MASK == VERSION_1 && has(INDEPENDENT) && !has(DICTIONARY | RESERVED);
    let max_block = match sizes >> 4 {
        4 => 64 * 1024,
        5 => 256 * 1024,
        6 => 1024 * 1024,
        7 => 4 * 1024 * 1024,
        _ => 0,
    };
    if !known || max_block == 0 {
        return Err(CORRUPT);
    }
    let described = 2 + if has(CONTENT_SIZE) { 8 } else { 0 };
    let (description, rest) = after_magic.split_at_checked(described).ok_or(CORRUPT)?;
    let (&check, mut rest) = rest.split_first().ok_or(CORRUPT)?;
    let [_, expected, ..] = xxh32(description).to_le_bytes();
    if check != expected {
        return Err(CORRUPT);
    }
    loop {
        let (length, tail) = rest.split_first_chunk::<4>().ok_or(CORRUPT)?;
        let length = u32::from_le_bytes(*length);
        if length == 0 {
            let trailer = if has(CONTENT_CHECKSUM) { 4 } else { 0 };
            return tail.get(trailer..).ok_or(CORRUPT);
        }
        let size = usize::try_from(length & !STORED).map_err(|_| CORRUPT)?;
        let (block, tail) = tail.split_at_checked(size).ok_or(CORRUPT)?;
        rest = tail;
        if has(BLOCK_CHECKSUM) {
            let (checksum, tail) = rest.split_first_chunk::<4>().ok_or(CORRUPT)?;
            if u32::from_le_bytes(*checksum) != xxh32(block) {
                return Err(CORRUPT);
            }
            rest = tail;
        }
        if size > max_block {
            return Err(CORRUPT);
        }
        put_block(block, length & STORED != 0, max_block, output, limit)?;
    }
}

fn put_block(
    block: &[u8],
    stored: bool,
    max_block: usize,
    output: &mut Vec<u8>,
    limit: usize,
) -> Result<(), ReadError> {
    let at = output.len();
    let left = limit.saturating_sub(at);
    if stored {
        if block.len() > left {
            return Err(ReadError::TooLarge { limit });
        }
        output.extend_from_slice(block);
        return Ok(());
    }
    // One byte of a match length stands for at most 255: no room is made for more than the block can fill.
    let most = block.len().saturating_mul(MAX_EXPANSION).min(max_block);
    output.resize(at + most.min(left), 0);
    let room = output.get_mut(at..).ok_or(CORRUPT)?;
    let written = match decompress_into(block, room) {
        Ok(written) => written,
        Err(lz4_flex::block::DecompressError::OutputTooSmall { .. }) if left < most => {
            return Err(ReadError::TooLarge { limit });
        }
        Err(_) => return Err(CORRUPT),
    };
    output.truncate(at + written);
    Ok(())
}

/// xxHash, 32 bits, seed 0: what lz4 frames are checked with.
fn xxh32(input: &[u8]) -> u32 {
    let [p1, p2, p3, p4, p5] = PRIMES;
    let round = |lane: u32, word: [u8; 4]| {
        lane.wrapping_add(u32::from_le_bytes(word).wrapping_mul(p2)).rotate_left(13).wrapping_mul(p1)
    };
    let mut rest = input;
    let mut hash = p5;
    if input.len() >= 16 {
        let mut lanes = [p1.wrapping_add(p2), p2, 0, 0_u32.wrapping_sub(p1)];
        while let Some((stripe, tail)) = rest.split_first_chunk::<16>() {
            let mut words = stripe.as_slice();
            for lane in &mut lanes {
                let Some((word, more)) = words.split_first_chunk::<4>() else { break };
                *lane = round(*lane, *word);
                words = more;
            }
            rest = tail;
        }
        hash = lanes
            .into_iter()
            .zip([1, 7, 12, 18])
            .fold(0, |hash: u32, (lane, turn)| hash.wrapping_add(lane.rotate_left(turn)));
    }
    #[expect(clippy::cast_possible_truncation, reason = "the length counts modulo 2^32")]
    let length = input.len() as u32;
    hash = hash.wrapping_add(length);
    while let Some((word, tail)) = rest.split_first_chunk::<4>() {
        let word = u32::from_le_bytes(*word);
        hash = hash.wrapping_add(word.wrapping_mul(p3)).rotate_left(17).wrapping_mul(p4);
        rest = tail;
    }
    for &byte in rest {
        hash = hash.wrapping_add(u32::from(byte).wrapping_mul(p5)).rotate_left(11).wrapping_mul(p1);
    }
    hash = (hash ^ (hash >> 15)).wrapping_mul(p2);
    hash = (hash ^ (hash >> 13)).wrapping_mul(p3);
    hash ^ (hash >> 16)
}

const PRIMES: [u32; 5] = [0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d, 0x27d4_eb2f, 0x1656_67b1];

const CORRUPT: ReadError = ReadError::Corrupt("lz4");

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// The magic, version 1 with independent blocks, blocks of 64 KiB, and the checksum of those two bytes.
const HEADER: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];

const END: [u8; 4] = [0; 4];

const BLOCK_SIZE: usize = 64 * 1024;

/// In a block's length: its bytes are stored as they are.
const STORED: u32 = 1 << 31;

const VERSION_MASK: u8 = 0b1100_0000;
const VERSION_1: u8 = 0b0100_0000;
const INDEPENDENT: u8 = 1 << 5;
const BLOCK_CHECKSUM: u8 = 1 << 4;
const CONTENT_SIZE: u8 = 1 << 3;
const CONTENT_CHECKSUM: u8 = 1 << 2;
const RESERVED: u8 = 1 << 1;
const DICTIONARY: u8 = 1;

const MAX_EXPANSION: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xxh32_known_values() {
        assert_eq!(xxh32(b""), 0x02cc_5d05);
        assert_eq!(xxh32(b"abc"), 0x32d1_53ff);
        assert_eq!(xxh32(b"Nobody inspects the spammish repetition"), 0xe229_3b2f);
        for (sizes, check) in [(0x40, 0x82), (0x50, 0xfb), (0x60, 0x51), (0x70, 0x73)] {
            assert_eq!(xxh32(&[0x60, sizes]).to_le_bytes()[1], check);
        }
    }
}
