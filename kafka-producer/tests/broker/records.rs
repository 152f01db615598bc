//! The records that are produced, and where each must be found.

use std::collections::BTreeMap;

/// A record as it is handed to the producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    /// Left to the producer's clock where there is none.
    pub(crate) timestamp: Option<i64>,
    /// Left to the partitioner where there is none.
    pub(crate) partition: Option<i32>,
}

/// Every mix of key, value, headers and timestamp that there can be, values from nothing to several batches' worth, the
/// same ones for the same seed.
pub(crate) fn plan(seed: u64, count: usize, partitions: i32) -> Vec<Planned> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut bytes = |max: usize| {
        let size = rng.usize(0..=max);
        // Half of them repetitive, so that a codec has something to do, the others not.
        let alphabet = if rng.bool() { 0..=3 } else { 0..=255 };
        (0..size).map(|_| rng.u8(alphabet.clone())).collect::<Vec<u8>>()
    };
    let mut planned = Vec::with_capacity(count);
    for index in 0..count {
        let key = match index % 4 {
            0 => None,
            1 => Some(Vec::new()),
            2 => Some(bytes(16)),
            _ => Some(bytes(300)),
        };
        let value = match index % 7 {
            0 => None,
            1 => Some(Vec::new()),
            2 if index % 101 == 2 => Some(bytes(200_000)),
            2 | 3 => Some(bytes(5_000)),
            _ => Some(bytes(100)),
        };
        let headers = match index % 5 {
            0 | 1 => Vec::new(),
            2 => vec![("trace".to_owned(), Some(bytes(40)))],
            // A name twice, a null beside an empty value, a name that is not ASCII, one that is empty.
            3 => vec![
                ("a".to_owned(), Some(bytes(10))),
                ("a".to_owned(), None),
                ("größe".to_owned(), Some(Vec::new())),
                (String::new(), Some(bytes(3))),
            ],
            _ => (0..20).map(|i| (format!("h{i}"), Some(vec![i]))).collect(),
        };
        let timestamp = match index % 3 {
            0 => None,
            // Later ones may be earlier: deltas inside a batch are signed.
            1 => Some(1_500_000_000_000 + i64::try_from(index * 7919 % 1_000_000).expect("small")),
            _ => Some(1_600_000_000_000 - i64::try_from(index).expect("small")),
        };
        let partition = (index % 11 == 0).then(|| i32::try_from(index / 11).expect("small") % partitions);
        planned.push(Planned { key, value, headers, timestamp, partition });
    }
    planned
}

/// What must be in a topic: by partition, in the order of offsets.
#[derive(Debug)]
pub(crate) struct Topic<'a> {
    pub(crate) logs: BTreeMap<i32, Vec<&'a Planned>>,
    /// What records without a timestamp of their own must have, in milliseconds.
    pub(crate) clock: std::ops::RangeInclusive<i64>,
}

impl<'a> Topic<'a> {
    /// From what the producer said of each record, in the order they were sent: offsets must begin at zero, leave no gap,
    /// and keep that order.
    pub(crate) fn new(
        planned: &'a [Planned],
        acknowledged: &[(i32, i64)],
        clock: std::ops::RangeInclusive<i64>,
    ) -> Result<Self, String> {
        if planned.len() != acknowledged.len() {
            return Err(format!("{} records were sent, {} acknowledged", planned.len(), acknowledged.len()));
        }
        let mut logs: BTreeMap<i32, Vec<&Planned>> = BTreeMap::new();
        for (index, (record, (partition, offset))) in planned.iter().zip(acknowledged).enumerate() {
            if record.partition.is_some_and(|named| named != *partition) {
                return Err(format!(
                    "record {index} was sent to {:?} and went to {partition}",
                    record.partition
                ));
            }
            let log = logs.entry(*partition).or_default();
            if usize::try_from(*offset) != Ok(log.len()) {
                return Err(format!(
                    "record {index} has offset {offset} of partition {partition}, not {}",
                    log.len()
                ));
            }
            log.push(record);
        }
        Ok(Self { logs, clock })
    }

    /// How many records there are in all.
    pub(crate) fn count(&self) -> usize {
        self.logs.values().map(Vec::len).sum()
    }
}
