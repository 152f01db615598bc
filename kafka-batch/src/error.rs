//! Why a record was not appended.

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
