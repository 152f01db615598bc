//! Zstandard, through the C library.

use ::zstd::bulk::Decompressor;
use ::zstd::stream::raw::{Encoder as RawEncoder, InBuffer, Operation, OutBuffer};

use crate::error::ReadError;

pub(super) struct Encoder {
    level: i32,
    raw: Option<RawEncoder<'static>>,
}

impl Encoder {
    pub(super) fn new(level: i32) -> Self {
        Self { level, raw: None }
    }

    /// `None` also where the library fails, which is when it gets no memory: the batch goes out as it is.
    pub(super) fn compress<'p>(
        &mut self,
        pieces: impl Iterator<Item = &'p [u8]>,
        out: &mut Vec<u8>,
        max: usize,
    ) -> Option<()> {
        if self.raw.is_none() {
            self.raw = RawEncoder::new(self.level).ok();
        }
        let raw = self.raw.as_mut()?;
        raw.reinit().ok()?;
        out.resize(max, 0);
        let mut room = OutBuffer::around(out.as_mut_slice());
        for piece in pieces {
            let mut input = InBuffer::around(piece);
            while input.pos() < piece.len() {
                if room.pos() == max {
                    return None;
                }
                raw.run(&mut input, &mut room).ok()?;
            }
        }
        let left = raw.finish(&mut room, true).ok()?;
        let written = room.pos();
        out.truncate(written);
        (left == 0).then_some(())
    }
}

/// Into one buffer, which needs no window: a frame's claim of a large window costs nothing.
pub(super) fn decompress(input: &[u8], limit: usize) -> Result<Vec<u8>, ReadError> {
    let mut decompressor = Decompressor::new().map_err(|_| CORRUPT)?;
    let mut capacity = input.len().saturating_mul(FIRST_GUESS).max(SMALLEST_GUESS).min(limit);
    loop {
        let mut output = Vec::with_capacity(capacity);
        match decompressor.decompress_to_buffer(input, &mut output) {
            Ok(_) if output.len() > limit => return Err(ReadError::TooLarge { limit }),
            Ok(_) => return Ok(output),
            Err(error) if !is_too_small(&error) => return Err(CORRUPT),
            Err(_) if capacity >= limit => return Err(ReadError::TooLarge { limit }),
            Err(_) => capacity = capacity.saturating_mul(2).min(limit),
        }
    }
}

/// The library's number for this error is not passed on, its text is.
fn is_too_small(error: &std::io::Error) -> bool {
    error.to_string().contains("too small")
}

const CORRUPT: ReadError = ReadError::Corrupt("zstd");

const FIRST_GUESS: usize = 4;

const SMALLEST_GUESS: usize = 64 * 1024;
