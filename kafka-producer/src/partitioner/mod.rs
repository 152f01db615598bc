//! Which partition a record goes to.
//!
//! A record that names its partition goes there. Otherwise a [`Partitioner`] is asked, if one was given; then records
//! with a key go where its hash says ([`partition_for_key`], as in all of Kafka's clients); and records without one
//! stay together, batch by batch, and spread evenly in the long run.

mod murmur2;
mod sticky;

use std::fmt;

pub(crate) use self::sticky::{Spread, Sticky};
pub use murmur2::{murmur2, partition_for_key};

/// Chooses partitions instead of the built-in rules.
///
/// It is called for each record, on the thread that sends it, outside every lock: it should be quick, and need not be
/// anything else.
pub trait Partitioner: Send + Sync + 'static {
    /// The partition for a record, below `partition_count`. None leaves the choice to the built-in rules. A choice that
    /// is not below makes `send` wait for a partition of that number, and fail if there is none in time.
    fn partition(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        partition_count: u32,
    ) -> Option<u32>;
}

impl<F> Partitioner for F
where
    F: Fn(&str, Option<&[u8]>, Option<&[u8]>, u32) -> Option<u32> + Send + Sync + 'static,
{
    fn partition(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        partition_count: u32,
    ) -> Option<u32> {
        self(topic, key, value, partition_count)
    }
}

impl fmt::Debug for dyn Partitioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Partitioner")
    }
}
