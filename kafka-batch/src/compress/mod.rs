//! Codecs: which there are, with which levels, and one state for many batches.
//!
//! Only a batch's records are compressed, as one stream. A batch that does not get smaller stays as it is; every broker takes
//! a batch without a codec.

#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(feature = "snappy")]
mod snappy;
#[cfg(feature = "zstd")]
mod zstd;

use std::fmt;
use std::str::FromStr;

use crate::error::ReadError;

/// What batches are compressed with.
///
/// [`check`](Self::check) says whether this build has the codec and the level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "the codecs of format v2 are a closed list")]
pub enum Compression {
    /// Nothing.
    #[default]
    None,
    /// gzip; level 1 (fast) to 9 (small), or −1 for its default, 6.
    Gzip(i32),
    /// Snappy, in the framing of Kafka's Java client.
    Snappy,
    /// An lz4 frame; levels 1 to 17. Level 9, Kafka's default, means the fast compressor, as in Kafka; the others mean the
    /// high-compression one and need the feature `lz4-hc`.
    Lz4(i32),
    /// Zstandard; levels −131072 (fast) to 22 (small), 3 by default. Needs the feature `zstd`.
    Zstd(i32),
}

/// A codec that is not compiled in, or a level that it does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompressionError(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Feature { what: &'static str, feature: &'static str },
    Level { codec: &'static str, level: i32, levels: &'static str },
    Unknown(String),
}

impl Compression {
    /// gzip at its default level.
    pub const GZIP: Self = Self::Gzip(-1);
    /// lz4 at Kafka's default level, which is the fast compressor.
    pub const LZ4: Self = Self::Lz4(LZ4_FAST);
    /// Zstandard at its default level.
    pub const ZSTD: Self = Self::Zstd(3);

    /// The name, as Kafka's `compression.type` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip(_) => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4(_) => "lz4",
            Self::Zstd(_) => "zstd",
        }
    }

    /// The number in a batch's attributes.
    #[must_use]
    pub const fn codec(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip(_) => 1,
            Self::Snappy => 2,
            Self::Lz4(_) => 3,
            Self::Zstd(_) => 4,
        }
    }

    /// The same codec at another level. Those without levels ignore it.
    #[must_use]
    pub const fn with_level(self, level: i32) -> Self {
        match self {
            Self::None | Self::Snappy => self,
            Self::Gzip(_) => Self::Gzip(level),
            Self::Lz4(_) => Self::Lz4(level),
            Self::Zstd(_) => Self::Zstd(level),
        }
    }

    /// Whether this build can do it.
    ///
    /// # Errors
    /// Names the feature to turn on, or the levels that there are.
    pub fn check(self) -> Result<(), CompressionError> {
        let (level, allowed, levels) = match self {
            Self::None | Self::Snappy => (0, true, ""),
            Self::Gzip(level) => (level, level == -1 || (1..=9).contains(&level), "-1 or 1 to 9"),
            Self::Lz4(level) => (level, (1..=17).contains(&level), "1 to 17"),
            Self::Zstd(level) => (level, (-131_072..=22).contains(&level), "-131072 to 22"),
        };
        if !allowed {
            return Err(CompressionError(Kind::Level { codec: self.name(), level, levels }));
        }
        let (compiled, what, feature) = match self {
            Self::None => (true, "none", ""),
            Self::Gzip(_) => (cfg!(feature = "gzip"), "gzip", "gzip"),
            Self::Snappy => (cfg!(feature = "snappy"), "snappy", "snappy"),
            Self::Lz4(LZ4_FAST) => (cfg!(feature = "lz4"), "lz4", "lz4"),
            Self::Lz4(_) => (cfg!(feature = "lz4-hc"), "lz4 at a level other than 9", "lz4-hc"),
            Self::Zstd(_) => (cfg!(feature = "zstd"), "zstd", "zstd"),
        };
        if compiled { Ok(()) } else { Err(CompressionError(Kind::Feature { what, feature })) }
    }

    /// Every codec of this build, at its default level, `None` first.
    #[must_use]
    pub fn compiled() -> Vec<Self> {
        [Self::None, Self::GZIP, Self::Snappy, Self::LZ4, Self::ZSTD]
            .into_iter()
            .filter(|codec| codec.check().is_ok())
            .collect()
    }
}

/// Kafka's names: `none`, `gzip`, `snappy`, `lz4`, `zstd`, each at its default level.
impl FromStr for Compression {
    type Err = CompressionError;

    fn from_str(name: &str) -> Result<Self, CompressionError> {
        [Self::None, Self::GZIP, Self::Snappy, Self::LZ4, Self::ZSTD]
            .into_iter()
            .find(|codec| codec.name() == name)
            .ok_or_else(|| CompressionError(Kind::Unknown(name.to_owned())))
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for CompressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Feature { what, feature } => {
                write!(f, "{what} is not compiled in: turn on the feature `{feature}`")
            }
            Kind::Level { codec, level, levels } => {
                write!(f, "{codec} has no level {level}: the levels are {levels}")
            }
            Kind::Unknown(name) => {
                write!(f, "no codec {name:?}: there are none, gzip, snappy, lz4 and zstd")
            }
        }
    }
}

impl std::error::Error for CompressionError {}

/// A codec with its tables and a buffer for its output, used for one batch after another.
///
/// The buffer grows to the size of the largest batch compressed, which the batch limits bound; it is not part of
/// `buffer.memory`, which the compressed bytes never exceed because they take the place of the others.
pub struct Compressor {
    compression: Compression,
    codec: Codec,
    output: Vec<u8>,
}

#[expect(clippy::allow_attributes, reason = "depends on the features")]
#[allow(clippy::large_enum_variant, reason = "there are a few of them in a process")]
enum Codec {
    None,
    #[cfg(feature = "gzip")]
    Gzip(gzip::Encoder),
    #[cfg(feature = "snappy")]
    Snappy(snappy::Encoder),
    #[cfg(feature = "lz4")]
    Lz4(lz4::Encoder),
    #[cfg(feature = "zstd")]
    Zstd(zstd::Encoder),
}

impl Compressor {
    /// A compressor for this codec and level.
    ///
    /// # Errors
    /// As [`Compression::check`].
    pub fn new(compression: Compression) -> Result<Self, CompressionError> {
        compression.check()?;
        let codec = match compression {
            #[cfg(feature = "gzip")]
            Compression::Gzip(level) => Codec::Gzip(gzip::Encoder::new(level)),
            #[cfg(feature = "snappy")]
            Compression::Snappy => Codec::Snappy(snappy::Encoder::new()),
            #[cfg(feature = "lz4")]
            Compression::Lz4(level) => Codec::Lz4(lz4::Encoder::new(level)),
            #[cfg(feature = "zstd")]
            Compression::Zstd(level) => Codec::Zstd(zstd::Encoder::new(level)),
            // No codec: `check` refused those that are not compiled in.
            _ => Codec::None,
        };
        Ok(Self { compression, codec, output: Vec::new() })
    }

    /// A compressor that leaves batches as they are.
    #[must_use]
    pub const fn none() -> Self {
        Self { compression: Compression::None, codec: Codec::None, output: Vec::new() }
    }

    /// What it does.
    #[must_use]
    pub const fn compression(&self) -> Compression {
        self.compression
    }

    /// The bytes of `pieces`, `size` in all, compressed as one stream; `None` if that would not be smaller.
    pub(crate) fn compress<'p>(
        &mut self,
        pieces: impl Iterator<Item = &'p [u8]>,
        size: usize,
    ) -> Option<&[u8]> {
        self.output.clear();
        // Whoever writes more than this gives up.
        let max = size.checked_sub(1)?;
        let out = &mut self.output;
        match &mut self.codec {
            Codec::None => {
                let _ = (pieces, out);
                None
            }
            #[cfg(feature = "gzip")]
            Codec::Gzip(encoder) => encoder.compress(pieces, out, max),
            #[cfg(feature = "snappy")]
            Codec::Snappy(encoder) => encoder.compress(pieces, out, max),
            #[cfg(feature = "lz4")]
            Codec::Lz4(encoder) => encoder.compress(pieces, out, max),
            #[cfg(feature = "zstd")]
            Codec::Zstd(encoder) => encoder.compress(pieces, out, max),
        }?;
        (self.output.len() <= max).then_some(&self.output)
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").field("compression", &self.compression).finish_non_exhaustive()
    }
}

/// Decompresses at most `limit` bytes.
pub(crate) fn decompress(codec: i16, input: &[u8], limit: usize) -> Result<Vec<u8>, ReadError> {
    let _ = (input, limit);
    match codec {
        #[cfg(feature = "gzip")]
        1 => gzip::decompress(input, limit),
        #[cfg(not(feature = "gzip"))]
        1 => Err(ReadError::NotCompiled("gzip")),
        #[cfg(feature = "snappy")]
        2 => snappy::decompress(input, limit),
        #[cfg(not(feature = "snappy"))]
        2 => Err(ReadError::NotCompiled("snappy")),
        #[cfg(feature = "lz4")]
        3 => lz4::decompress(input, limit),
        #[cfg(not(feature = "lz4"))]
        3 => Err(ReadError::NotCompiled("lz4")),
        #[cfg(feature = "zstd")]
        4 => zstd::decompress(input, limit),
        #[cfg(not(feature = "zstd"))]
        4 => Err(ReadError::NotCompiled("zstd")),
        _ => Err(ReadError::UnknownCodec(codec)),
    }
}

/// Cuts pieces into blocks of one size, the last one shorter. A block that lies within one piece is lent, others are put
/// together.
#[cfg(any(feature = "snappy", feature = "lz4"))]
fn for_each_block<'p>(
    pieces: impl Iterator<Item = &'p [u8]>,
    size: usize,
    gather: &mut Vec<u8>,
    mut f: impl FnMut(&[u8]) -> Option<()>,
) -> Option<()> {
    gather.clear();
    let mut pieces = pieces.peekable();
    while let Some(mut piece) = pieces.next() {
        let last = pieces.peek().is_none();
        while !piece.is_empty() {
            let room = size - gather.len();
            let (head, rest) = piece.split_at(room.min(piece.len()));
            piece = rest;
            let complete = head.len() == room || (last && piece.is_empty());
            if gather.is_empty() && complete {
                f(head)?;
                continue;
            }
            gather.extend_from_slice(head);
            if complete {
                f(gather)?;
                gather.clear();
            }
        }
    }
    // What is left if the last piece was empty.
    if gather.is_empty() { Some(()) } else { f(gather) }
}

/// The level that means lz4's fast compressor.
const LZ4_FAST: i32 = 9;

#[cfg(test)]
mod tests;
