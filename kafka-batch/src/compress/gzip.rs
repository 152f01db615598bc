//! gzip (RFC 1952): one member, written by hand around a deflate stream whose state is kept.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use flate2::{Compress, Crc, FlushCompress, Status};

use crate::error::ReadError;

pub(super) struct Encoder {
    deflate: Compress,
}

impl Encoder {
    pub(super) fn new(level: i32) -> Self {
        let level =
            u32::try_from(level).map_or_else(|_| flate2::Compression::default(), flate2::Compression::new);
        Self { deflate: Compress::new(level, false) }
    }

    pub(super) fn compress<'p>(
        &mut self,
        pieces: impl Iterator<Item = &'p [u8]>,
        out: &mut Vec<u8>,
        max: usize,
    ) -> Option<()> {
        self.deflate.reset();
        // The buffer's end is the limit: a compressor that fills it is stopped.
        out.reserve(max.max(HEADER.len()));
        out.extend_from_slice(&HEADER);
        let mut crc = Crc::new();
        let mut pieces = pieces.peekable();
        while let Some(mut piece) = pieces.next() {
            crc.update(piece);
            let flush = if pieces.peek().is_none() { FlushCompress::Finish } else { FlushCompress::None };
            loop {
                let before = self.deflate.total_in();
                let status = self.deflate.compress_vec(piece, out, flush).ok()?;
                let read = usize::try_from(self.deflate.total_in() - before).ok()?;
                piece = piece.get(read..)?;
                if status == Status::StreamEnd || (piece.is_empty() && flush == FlushCompress::None) {
                    break;
                }
                if out.len() >= max || out.len() == out.capacity() {
                    return None;
                }
            }
        }
        out.extend_from_slice(&crc.sum().to_le_bytes());
        out.extend_from_slice(&crc.amount().to_le_bytes());
        Some(())
    }
}

pub(super) fn decompress(input: &[u8], limit: usize) -> Result<Vec<u8>, ReadError> {
    let mut output = Vec::new();
    let mut decoder = MultiGzDecoder::new(input).take((limit as u64).saturating_add(1));
    decoder.read_to_end(&mut output).map_err(|_| ReadError::Corrupt("gzip"))?;
    if output.len() > limit { Err(ReadError::TooLarge { limit }) } else { Ok(output) }
}

/// Deflate, no flags, no time, no hint, operating system unknown: what Java writes.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
