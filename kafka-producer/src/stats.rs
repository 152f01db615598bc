//! [`Stats`]: what the producer has done so far, in plain numbers.

use std::{fmt, sync::Arc, time::Duration};

use kafka_batch::SendReason;
use kafka_net::NetError;
use kafka_wire::NodeId;

/// A snapshot of what a producer has done since it was made.
///
/// Plain numbers: take two snapshots and subtract for a rate.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Records accepted.
    pub records: u64,
    /// Records acknowledged.
    pub delivered: u64,
    /// Records given up.
    pub failed: u64,
    /// Batches that left their partition's queue, first attempts only.
    pub batches: u64,
    /// Their sizes before compression, headers included.
    pub batch_bytes: u64,
    /// Their sizes as sent.
    pub sealed_bytes: u64,
    /// How full a batch was on average when it left, as a part of `batch.size`. Above one only by large records.
    pub mean_fill: f64,
    /// Produce requests.
    pub requests: u64,
    /// Batches in them, repeated attempts included.
    pub requested_batches: u64,
    /// Batches sent again.
    pub retries: u64,
    /// Batches that were too large for their broker and went on as several.
    pub splits: u64,
    /// How often a partition's leader turned out to lack records that had been acknowledged: brokers lost them, by an unclean
    /// election for one. An event (`tracing`) says of which partition. Not every loss can be seen from here.
    pub losses: u64,
    /// How often another cluster took the place of the one that was produced to. Batches that may be in the old one's log were
    /// given up then, and nothing else. An event (`tracing`) names both.
    pub cluster_changes: u64,
    /// Why batches left.
    pub send_reasons: SendReasons,
    /// From a batch's first record to its acknowledgement, counted once for each record of it.
    pub delivery_latency: Latency,
    /// Bytes of `buffer.memory` in use now.
    pub buffer_used: u64,
    /// `buffer.memory`, in whole chunks.
    pub buffer_limit: u64,
    /// Who waits for room in it now.
    pub buffer_waiting: u64,
    /// By broker.
    pub brokers: Vec<BrokerStats>,
}

/// The part of [`Stats`] that concerns one broker.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct BrokerStats {
    /// The broker's id.
    pub node: i32,
    /// Produce requests without answer now.
    pub in_flight: u64,
    /// The most there ever were at once.
    pub max_in_flight: u64,
    /// Whether there is a connection.
    pub connected: bool,
    /// Partitions that have a sealed batch for it now, and wait for their turn or for a back-off to end.
    pub waiting_partitions: u64,
    /// Produce requests.
    pub requests: u64,
    /// Batches in them, repeated attempts included.
    pub batches: u64,
    /// Bytes of these batches, as sent.
    pub bytes: u64,
    /// Produce requests that came back without answer: their connection broke, or they took too long.
    pub unanswered: u64,
    /// How long the answers took.
    pub round_trip: Latency,
    /// The pauses it asked for (quotas), summed up.
    pub throttled: Duration,
    /// How often a connection was dialled.
    pub dials: u64,
    /// How often a connection broke or did not come about.
    pub failures: u64,
    /// The last such failure, in words.
    pub last_failure: Option<Arc<str>>,
    /// How often its address led to another broker: one of another cluster, or another one of the same.
    pub misled: u64,
}

/// What is counted of a broker.
#[derive(Debug, Default)]
pub(crate) struct NodeStats {
    max_in_flight: u64,
    requests: u64,
    batches: u64,
    bytes: u64,
    unanswered: u64,
    round_trip: Latency,
    throttled: Duration,
    dials: u64,
    failures: u64,
    last_failure: Option<Arc<str>>,
    misled: u64,
}

impl NodeStats {
    pub(crate) fn requested(&mut self, batches: u64, bytes: u64, in_flight: u64) {
        self.requests += 1;
        self.batches += batches;
        self.bytes += bytes;
        self.max_in_flight = self.max_in_flight.max(in_flight);
    }

    pub(crate) fn answered(&mut self, is_answer: bool, time: Duration) {
        if is_answer {
            self.round_trip.record(time, 1);
        } else {
            self.unanswered += 1;
        }
    }

    pub(crate) fn throttled(&mut self, time: Duration) {
        self.throttled = self.throttled.saturating_add(time);
    }

    pub(crate) fn dialled(&mut self) {
        self.dials += 1;
    }

    /// A connection is down; for a reason that is no fault, that is no failure.
    pub(crate) fn down(&mut self, error: &NetError) {
        if !error.is_idle() && !error.is_aborted() {
            self.failures += 1;
            self.last_failure = Some(error.to_string().into());
        }
        self.misled += u64::from(error.is_other_broker());
    }

    /// Another broker answered in its place.
    pub(crate) fn misled(&mut self) {
        self.misled += 1;
    }

    pub(crate) fn snapshot(
        &self,
        node: NodeId,
        in_flight: usize,
        connected: bool,
        waiting: usize,
    ) -> BrokerStats {
        BrokerStats {
            node: node.0,
            in_flight: in_flight as u64,
            max_in_flight: self.max_in_flight,
            connected,
            waiting_partitions: waiting as u64,
            requests: self.requests,
            batches: self.batches,
            bytes: self.bytes,
            unanswered: self.unanswered,
            round_trip: self.round_trip.clone(),
            throttled: self.throttled,
            dials: self.dials,
            failures: self.failures,
            last_failure: self.last_failure.clone(),
            misled: self.misled,
        }
    }
}

impl Stats {
    /// Batches in a request, on average.
    pub fn mean_batches_per_request(&self) -> f64 {
        ratio(self.requested_batches, self.requests)
    }

    /// Records in a batch, on average.
    pub fn mean_records_per_batch(&self) -> f64 {
        ratio(self.send_reasons.records, self.batches)
    }

    /// Size as sent over size before compression: 1 without a codec, smaller is better.
    pub fn compression_ratio(&self) -> f64 {
        if self.batch_bytes == 0 { 1.0 } else { ratio(self.sealed_bytes, self.batch_bytes) }
    }
}

/// How many batches left for which reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SendReasons {
    counts: [u64; SendReason::ALL.len()],
    records: u64,
}

impl SendReasons {
    /// How many batches left for this reason.
    pub fn count(&self, reason: SendReason) -> u64 {
        self.iter().find(|(other, _)| *other == reason).map_or(0, |(_, count)| count)
    }

    /// All reasons, in a fixed order, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (SendReason, u64)> + '_ {
        SendReason::ALL.into_iter().zip(self.counts.iter().copied())
    }

    fn add(&mut self, reason: SendReason) {
        // They are listed in the order in which they are declared.
        debug_assert_eq!(SendReason::ALL[reason as usize], reason);
        self.counts[reason as usize] += 1;
    }
}

/// A distribution of times: exact below 16 µs, then to within an eighth, in a fixed number of counters.
#[derive(Clone)]
pub struct Latency {
    counts: Box<[u64]>,
    count: u64,
    max: Duration,
}

impl Latency {
    /// How many times were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest time.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The time that this part (0 to 1) of all did not exceed, rounded up to the next counter; zero if there are none.
    pub fn quantile(&self, part: f64) -> Duration {
        let rank = (part.clamp(0.0, 1.0) * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_micros(bucket_end(bucket)).min(self.max);
            }
        }
        self.max
    }

    pub(crate) fn record(&mut self, time: Duration, weight: u64) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.counts[bucket(micros)] += weight;
        self.count += weight;
        self.max = self.max.max(time);
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latency")
            .field("count", &self.count)
            .field("p50", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .field("max", &self.max)
            .finish()
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into(), count: 0, max: Duration::ZERO }
    }
}

/// What is counted where the sender lock is held: once for each batch or request.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
    pub(crate) batches: u64,
    pub(crate) batch_bytes: u64,
    pub(crate) sealed_bytes: u64,
    pub(crate) sealed_predicted: u64,
    pub(crate) requests: u64,
    pub(crate) requested_batches: u64,
    pub(crate) retries: u64,
    pub(crate) splits: u64,
    pub(crate) losses: u64,
    pub(crate) cluster_changes: u64,
    pub(crate) send_reasons: SendReasons,
    pub(crate) latency: Latency,
}

impl Counters {
    pub(crate) fn drained(&mut self, reason: SendReason, records: u32, size: usize) {
        self.batches += 1;
        self.batch_bytes += size as u64;
        self.send_reasons.add(reason);
        self.send_reasons.records += u64::from(records);
    }

    pub(crate) fn sealed(&mut self, predicted: usize, size: usize) {
        self.sealed_predicted += predicted as u64;
        self.sealed_bytes += size as u64;
    }

    pub(crate) fn requested(&mut self, batches: usize) {
        self.requests += 1;
        self.requested_batches += batches as u64;
    }

    pub(crate) fn acknowledged(&mut self, records: u32, latency: Duration) {
        self.delivered += u64::from(records);
        self.latency.record(latency, u64::from(records));
    }

    /// The part of a snapshot that is known here.
    pub(crate) fn snapshot(&self, batch_limit: usize) -> Stats {
        Stats {
            delivered: self.delivered,
            failed: self.failed,
            batches: self.batches,
            batch_bytes: self.batch_bytes,
            // Batches that are still being compressed count as they are.
            sealed_bytes: self.sealed_bytes + (self.batch_bytes.saturating_sub(self.sealed_predicted)),
            mean_fill: ratio(self.batch_bytes, self.batches * batch_limit.max(1) as u64),
            requests: self.requests,
            requested_batches: self.requested_batches,
            retries: self.retries,
            splits: self.splits,
            losses: self.losses,
            cluster_changes: self.cluster_changes,
            send_reasons: self.send_reasons.clone(),
            delivery_latency: self.latency.clone(),
            ..Stats::default()
        }
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Eight counters for each power of two, and one for each value below sixteen.
fn bucket(value: u64) -> usize {
    let exponent = 60 - (value | 15).leading_zeros();
    exponent as usize * 8 + (value >> exponent) as usize
}

/// The largest value that a counter stands for.
fn bucket_end(bucket: usize) -> u64 {
    if bucket < 16 {
        return bucket as u64;
    }
    let (exponent, mantissa) = (bucket / 8 - 1, bucket as u64 % 8 + 8);
    ((mantissa + 1) << exponent).wrapping_sub(1)
}

const BUCKETS: usize = 64 * 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_a_counter_that_is_at_most_an_eighth_too_long() {
        for value in (0..4096).chain((0..64).flat_map(|bit| [(1 << bit) - 1, 1 << bit])).chain([u64::MAX]) {
            let end = bucket_end(bucket(value));
            assert!(end >= value && end - value <= value / 8, "{value}: {end}");
        }
        assert!(bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn quantiles_are_weighted_by_records() {
        let mut latency = Latency::default();
        latency.record(Duration::from_micros(10), 99);
        latency.record(Duration::from_millis(5), 1);
        assert_eq!(latency.quantile(0.5), Duration::from_micros(10));
        assert_eq!(latency.quantile(0.99), Duration::from_micros(10));
        assert_eq!(latency.quantile(1.0), Duration::from_millis(5));
        assert_eq!(Latency::default().quantile(0.5), Duration::ZERO);
    }
}
