//! The three size limits and the relations between them.

use std::fmt;
use std::time::Duration;

use crate::error::AppendError;
use crate::layout::HEADER_SIZE;
use crate::record::Record;
use crate::size::single_record_batch_size;

/// `batch.size`, `max.request.size` and `buffer.memory`, checked against each other once, when they are made.
///
/// * `batch_size` bounds the 61-byte header plus the uncompressed records of one batch. It is a target, not a ceiling for a
///   record: one that is larger gets a batch of its own. Zero means "one record a batch".
/// * `max_request_size` bounds the sum of the predicted sizes of the batches in one request, and so the largest record.
/// * `buffer_memory` bounds what is allocated for records, in whole [chunks](CHUNK_SIZE).
///
/// ```
/// let limits = kafka_batch::Limits::new(16 * 1024, 1024 * 1024, 32 * 1024 * 1024)?;
/// assert_eq!(limits.batch_limit(), 16 * 1024);
/// # Ok::<(), kafka_batch::LimitsError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    batch_size: usize,
    max_request_size: usize,
    buffer_memory: usize,
}

/// Two limits that contradict each other, or one that no batch can obey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsError {
    setting: &'static str,
    value: usize,
    bound: Bound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    AtLeast(usize, &'static str),
    AtMost(usize, &'static str),
}

impl Limits {
    /// Kafka's defaults: 16 KiB, 1 MiB, 32 MiB.
    pub const DEFAULT: Self =
        Self { batch_size: 16 * 1024, max_request_size: 1024 * 1024, buffer_memory: 32 * 1024 * 1024 };

    /// Checks the three limits.
    ///
    /// # Errors
    /// When `max_request_size` has no room for the smallest batch or does not fit the protocol's 32-bit lengths, or when
    /// `buffer_memory` is less than one chunk. The error names the setting and a value that works.
    pub fn new(
        batch_size: usize,
        max_request_size: usize,
        buffer_memory: usize,
    ) -> Result<Self, LimitsError> {
        if max_request_size < MIN_REQUEST_SIZE {
            let bound = Bound::AtLeast(MIN_REQUEST_SIZE, "the smallest batch of one record");
            return Err(LimitsError { setting: "max.request.size", value: max_request_size, bound });
        }
        if max_request_size > MAX_REQUEST_SIZE {
            let bound = Bound::AtMost(MAX_REQUEST_SIZE, "the protocol's lengths have 32 bits");
            return Err(LimitsError { setting: "max.request.size", value: max_request_size, bound });
        }
        if buffer_memory < CHUNK_SIZE {
            let bound = Bound::AtLeast(CHUNK_SIZE, "memory is taken in chunks of 16 KiB");
            return Err(LimitsError { setting: "buffer.memory", value: buffer_memory, bound });
        }
        Ok(Self { batch_size, max_request_size, buffer_memory })
    }

    /// `batch.size` as it was set.
    #[must_use]
    pub const fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// `max.request.size`.
    #[must_use]
    pub const fn max_request_size(&self) -> usize {
        self.max_request_size
    }

    /// `buffer.memory` as it was set.
    #[must_use]
    pub const fn buffer_memory(&self) -> usize {
        self.buffer_memory
    }

    /// The limit in force for a batch of more than one record: `min(batch_size, max_request_size)`.
    #[must_use]
    pub const fn batch_limit(&self) -> usize {
        if self.batch_size < self.max_request_size { self.batch_size } else { self.max_request_size }
    }

    /// Whether `max_request_size` lowers `batch_size`, which a configuration should warn about.
    #[must_use]
    pub const fn lowers_batch_size(&self) -> bool {
        self.max_request_size < self.batch_size
    }

    /// How many chunks `buffer_memory` pays for. The remainder of a chunk is never allocated.
    #[must_use]
    pub const fn chunks(&self) -> usize {
        self.buffer_memory / CHUNK_SIZE
    }

    /// The largest batch of a single record, header included, and the name of the setting that says so.
    #[must_use]
    pub const fn single_record_limit(&self) -> (usize, &'static str) {
        let memory = self.chunks().saturating_mul(CHUNK_SIZE).saturating_add(HEADER_SIZE);
        if memory < self.max_request_size {
            (memory, "buffer.memory")
        } else {
            (self.max_request_size, "max.request.size")
        }
    }
}

impl Limits {
    /// Refuses a record that can never be sent.
    pub(crate) fn check(&self, record: &Record<'_>) -> Result<(), AppendError> {
        let size = single_record_batch_size(record);
        let (max, setting) = self.single_record_limit();
        if size > max { Err(AppendError::TooLarge { size, max, setting }) } else { Ok(()) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl LimitsError {
    /// The setting at fault, by its name in Kafka.
    #[must_use]
    pub const fn setting(&self) -> &'static str {
        self.setting
    }
}

impl fmt::Display for LimitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, value, .. } = self;
        match self.bound {
            Bound::AtLeast(least, why) => write!(f, "{setting} is {value}, must be at least {least}: {why}"),
            Bound::AtMost(most, why) => write!(f, "{setting} is {value}, must be at most {most}: {why}"),
        }
    }
}

impl std::error::Error for LimitsError {}

/// What a [`PartitionQueue`](crate::PartitionQueue) obeys: the size limits, and how long records may wait.
#[expect(clippy::exhaustive_structs, reason = "built with a literal, once a producer")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// The size limits.
    pub limits: Limits,
    /// How long an open batch waits for more records, counted from its first. Zero: it is ready at once.
    pub linger: Duration,
    /// How long after its first record a batch is given up.
    pub delivery_timeout: Duration,
}

impl Default for QueueSettings {
    /// Kafka's defaults: a linger of 5 ms, a delivery time-out of two minutes.
    fn default() -> Self {
        Self {
            limits: Limits::DEFAULT,
            linger: Duration::from_millis(5),
            delivery_timeout: Duration::from_secs(120),
        }
    }
}

/// Size of a chunk, the unit in which memory is counted.
///
/// Smaller ones cost more turnover per record, larger ones pin more memory per partition and gain nothing at Kafka's batch
/// size of 16 KiB.
pub const CHUNK_SIZE: usize = 16 * 1024;

/// A header and the smallest record.
const MIN_REQUEST_SIZE: usize = HEADER_SIZE + crate::size::MIN_RECORD_SIZE;

/// Half of what a signed 32-bit length can say: the request's own header and names come on top of its batches, and sums of
/// a few sizes stay far from overflow on every platform.
const MAX_REQUEST_SIZE: usize = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_checked_and_named() {
        let text = |l: Result<Limits, LimitsError>| l.unwrap_err().to_string();
        assert_eq!(
            text(Limits::new(1, 67, 1 << 20)),
            "max.request.size is 67, must be at least 68: the smallest batch of one record"
        );
        assert!(text(Limits::new(1, (1 << 30) + 1, 1 << 20)).starts_with("max.request.size is 1073741825"));
        assert!(
            text(Limits::new(1, 68, 16_383)).starts_with("buffer.memory is 16383, must be at least 16384")
        );
        assert!(Limits::new(0, 68, 16_384).is_ok());
    }

    #[test]
    fn the_lower_limit_is_in_force() {
        let limits = Limits::new(1_000_000, 1000, 40_000).unwrap();
        assert_eq!(limits.batch_limit(), 1000);
        assert!(limits.lowers_batch_size());
        assert_eq!(limits.chunks(), 2);
        assert_eq!(limits.single_record_limit(), (1000, "max.request.size"));
        let limits = Limits::new(1000, 1_000_000, 40_000).unwrap();
        assert_eq!(limits.single_record_limit(), (2 * 16_384 + 61, "buffer.memory"));
    }
}
