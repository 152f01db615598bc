//! Kafka record batches: format v2, exact size accounting, compression, an accumulator.
#![expect(
    single_use_lifetimes,
    reason = "lifetimes in `impl Iterator<Item = &[u8]>` must have a name in the oldest supported Rust"
)]
#![warn(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::indexing_slicing
)]

mod accumulator;
mod batch;
mod builder;
mod chunk;
mod compress;
mod crc;
mod encode;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod layout;
mod limits;
mod memory;
mod queue;
mod reader;
mod ready;
mod record;
mod seal;
mod size;

pub use accumulator::Accumulator;
pub use batch::{DrainedBatch, SendReason, Slot};
pub use builder::{Arena, BatchBuilder};
pub use chunk::{CHUNK_SIZE, Chunk, ChunkSource, Pool};
pub use compress::{Compression, CompressionError, Compressor};
pub use crc::crc32c;
pub use error::AppendError;
pub use layout::{BatchHeader, HEADER_SIZE, LENGTH_OVERHEAD, Stamp};
pub use limits::{Limits, LimitsError, QueueSettings};
pub use memory::{Memory, Ticket};
pub use queue::{Appended, Edges, PartitionQueue};
pub use reader::{Batch, BatchReader, DEFAULT_RECORDS_LIMIT, ReadError, ReadRecord, RecordReader};
pub use ready::{Readiness, ReadyIndex, Round, Wait};
pub use record::{Header, OwnedHeader, OwnedRecord, Record};
pub use seal::{SealedBatch, Split, SplitError, SplitMap};
pub use size::{MIN_RECORD_SIZE, record_size, single_record_batch_size};
