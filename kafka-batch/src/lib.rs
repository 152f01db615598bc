//! Kafka record batches: format v2, exact size accounting, compression, an accumulator.
//!
//! For whoever produces to Kafka and wants to say where its batches begin and end; for whoever reads batches, or stores them,
//! or checks them. No sockets, no tasks, no clock: time is an argument. `T` below is whatever a batch carries for its caller.
//!
//! # A batch's life
//!
//! ```text
//!                  Record<'_>  borrowed, encoded once, by one of three routines
//!                       |
//!   append_fast / append_slow
//!                       v
//!  PartitionQueue  [ open ] ----- full, linger, flush ...---> [ ready ] [ ready ]
//!                  BatchBuilder: a chain of 16 KiB chunks          |
//!                  out of a Pool                                   | drain / take
//!                                                                  v
//!                                                            DrainedBatch
//!                                                                  | seal: compress, header, CRC; not under a lock
//!                                                                  v
//!                                                              SealedBatch: 61 bytes of header, which a stamp
//!                                                              rewrites, over a payload that clones share
//!        split: smaller batches of      <------------------------  |
//!        the same records                                          | records() -> kafka_wire::Records, as often
//!                                                                  |              as it has to be sent
//!                                                                  v
//!                                                               a request
//!                                                                  :
//!                                          the last clone is gone: chunks go home, Memory is credited
//! ```
//!
//! # What holds
//!
//! 1. `batch_size` bounds the header plus the uncompressed records of one batch.
//! 2. A batch over it holds exactly one record, and is full at once.
//! 3. The limit in force is the lower of `batch_size` and `max_request_size`.
//! 4. The predicted size is the encoded size without a codec, and never less with one: what does not shrink goes out as it is.
//! 5. A request's predicted batch sizes sum up to at most `max_request_size`; a record that alone is over it is refused.
//! 6. `buffer_memory` bounds the chunks that records occupy, compressed or not, and they all come back. A split may take more
//!    for a moment (its parent is still there), and everybody else waits until that is paid.
//!
//! `tests/limits.rs` has a property for each, and `tests/fuzzing/model.rs` compares whole lives with a model.
//!
//! # The parts
//!
//! | part | is | behind, in a program with threads |
//! |---|---|---|
//! | [`PartitionQueue`] | the batches of a partition | a lock of its own |
//! | [`Pool`] ([`Memory`]) | chunks, and who waits for them | its own lock, once a chunk |
//! | [`ReadyIndex`] | which partitions have something for one leader, and when | a lock a leader, told on [`Edges`] |
//! | [`Accumulator`] | the three composed, for one owner | |
//! | [`Compressor`] | a codec's tables | one a thread that seals |
//! | [`BatchReader`] | the way back, for bytes from anybody | |
//!
//! Per record there is [`append_fast`](PartitionQueue::append_fast) and nothing else: one limit check, one copy, no allocation.
//!
//! # Features
//!
//! `gzip`, `snappy`, `lz4` (default) are Rust all the way down. `zstd` and `lz4-hc` (lz4 at levels other than 9) compile C. A
//! codec or level that is not compiled in is an error that names its feature.
#![allow(
    single_use_lifetimes,
    reason = "lifetimes in `impl Iterator<Item = &[u8]>` must have a name in the oldest supported Rust, and the newest \
              does not warn of it any more"
)]
#![warn(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::indexing_slicing
)]

mod accumulator;
mod arena;
mod batch;
mod builder;
mod chunk;
#[cfg(test)]
#[path = "chunk/tests.rs"]
mod chunk_tests;
mod compress;
mod crc;
mod encode;
mod error;
#[cfg(test)]
#[path = "../tests/fuzzing/mod.rs"]
mod fuzzed;
#[cfg(any(test, fuzzing))]
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
mod sync;

pub use accumulator::Accumulator;
pub use arena::Arena;
pub use batch::{DrainedBatch, SendReason, Slot};
pub use builder::BatchBuilder;
pub use chunk::{Chunk, ChunkSource, Pool, wake_all};
pub use compress::{Compression, CompressionError, Compressor};
pub use crc::crc32c;
pub use error::{AppendError, ReadError};
pub use layout::{BatchHeader, HEADER_SIZE, LENGTH_OVERHEAD, Stamp};
pub use limits::{CHUNK_SIZE, Limits, LimitsError, QueueSettings};
pub use memory::{Memory, Ticket};
pub use queue::{Appended, Edges, PartitionQueue};
pub use reader::{Batch, BatchReader, DEFAULT_RECORDS_LIMIT, ReadRecord, RecordReader};
pub use ready::{Readiness, ReadyIndex, Round, Wait};
pub use record::{Header, OwnedHeader, OwnedRecord, Record};
pub use seal::{SealedBatch, SplitError};
pub use size::{MIN_RECORD_SIZE, record_size, single_record_batch_size};
