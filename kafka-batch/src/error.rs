//! Why a record was not appended; why bytes are no batch.

use std::fmt;

/// Why a record was not appended. The caller still has it: it was borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendError {
    /// The batch of this record alone is over the limit: it can never be sent.
    TooLarge {
        /// Size of the batch with this record alone, header included.
        size: usize,
        /// What it may be.
        max: usize,
        /// The setting that says so: `max.request.size` or `buffer.memory`.
        setting: &'static str,
    },
    /// Not enough memory now: wait for this many chunks, then append again.
    NoRoom {
        /// How many chunks the record needs.
        chunks: usize,
    },
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { size, max, setting } => {
                write!(
                    f,
                    "record of {size} bytes with its batch header is over {setting}, which allows {max}"
                )
            }
            Self::NoRoom { chunks } => {
                write!(f, "buffer.memory is used up: the record needs {chunks} chunks of 16 KiB")
            }
        }
    }
}

impl std::error::Error for AppendError {}

/// Why bytes are not a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// They end before the batch does.
    Truncated {
        /// Bytes that there are.
        len: usize,
    },
    /// Not format version 2.
    Magic(i8),
    /// A length that no batch has.
    Length(i32),
    /// The bytes are not those that the CRC was made of.
    Crc {
        /// In the header.
        stored: u32,
        /// Of the bytes.
        computed: u32,
    },
    /// No codec has this number.
    UnknownCodec(i16),
    /// This build does not have the codec; the feature that brings it.
    NotCompiled(&'static str),
    /// The codec cannot make sense of the bytes.
    Corrupt(&'static str),
    /// The records are larger than the reader allows.
    TooLarge {
        /// What it allows.
        limit: usize,
    },
    /// The number of records is not what the header says.
    Count {
        /// In the header.
        stored: i32,
        /// Records found, as far as it was looked.
        found: i32,
    },
    /// A record that is not well-formed: its number in the batch, and the field.
    Record {
        /// Number in the batch.
        index: i32,
        /// Name of the field.
        field: &'static str,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { len } => write!(f, "record batch is cut off after {len} bytes"),
            Self::Magic(magic) => write!(f, "record batch has format version {magic}, only 2 is known"),
            Self::Length(length) => write!(f, "record batch claims a length of {length}"),
            Self::Crc { stored, computed } => {
                write!(f, "record batch has CRC {computed:08x}, its header says {stored:08x}")
            }
            Self::UnknownCodec(codec) => write!(f, "record batch has codec {codec}, which does not exist"),
            Self::NotCompiled(feature) => {
                write!(
                    f,
                    "record batch is compressed with {feature}, which is not compiled in: turn on the feature `{feature}`"
                )
            }
            Self::Corrupt(codec) => write!(f, "record batch is not what {codec} writes"),
            Self::TooLarge { limit } => {
                write!(f, "record batch has more than {limit} bytes when decompressed")
            }
            Self::Count { stored, found } => {
                write!(f, "record batch says it has {stored} records, {found} were found")
            }
            Self::Record { index, field } => write!(f, "record {index} of the batch has a bad {field}"),
        }
    }
}

impl std::error::Error for ReadError {}
