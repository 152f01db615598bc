//! Another producer, which writes to the same partitions: what it does matters where clusters are begun anew.

use std::collections::BTreeMap;

use kafka_batch::{Accumulator, Compression, Compressor, Limits, QueueSettings, Record, SendReason, Stamp};
use kafka_mock::Now;
use kafka_wire::{
    Acks, PartitionId, ProducerEpoch, ProducerId,
    messages::{PartitionProduceData, ProduceRequest, TopicProduceData},
};

/// Its id, and its next number in each partition.
#[derive(Debug)]
pub(crate) struct Stranger {
    id: ProducerId,
    next: BTreeMap<(String, PartitionId), i32>,
}

impl Stranger {
    pub(crate) fn new(id: ProducerId) -> Self {
        Self { id, next: BTreeMap::new() }
    }

    /// Some records for a partition, in a version of Produce in which topics have names.
    pub(crate) fn request(
        &mut self,
        topic: &str,
        partition: PartitionId,
        count: u32,
        now: Now,
    ) -> ProduceRequest {
        let next = self.next.entry((topic.to_owned(), partition)).or_default();
        let stamp = Stamp {
            producer_id: self.id,
            producer_epoch: ProducerEpoch(0),
            base_sequence: *next,
            transactional: false,
        };
        *next += count as i32;
        let limits = Limits::new(SIZE, SIZE, 2 * SIZE).expect("limits that fit together");
        let settings = QueueSettings {
            limits,
            linger: std::time::Duration::ZERO,
            delivery_timeout: std::time::Duration::MAX,
        };
        let mut accumulator = Accumulator::new(settings);
        for _ in 0..count {
            let record = Record { timestamp: now.timestamp, value: Some(VALUE), ..Record::default() };
            accumulator.append(partition, &record, now.instant, || ()).expect("a few small records");
        }
        accumulator.close_all(SendReason::Flush);
        let mut compressor = Compressor::new(Compression::None).expect("nothing to compile in");
        let batches = accumulator.poll_request(now.instant).into_iter();
        let batches = batches.map(|(index, batch)| PartitionProduceData {
            index,
            records: Some(batch.seal(stamp, &mut compressor).records()),
        });
        let topic = TopicProduceData {
            name: topic.into(),
            partition_data: batches.collect(),
            ..TopicProduceData::default()
        };
        ProduceRequest { acks: Acks::ALL, timeout_ms: 1000, topic_data: vec![topic], ..Default::default() }
    }
}

/// Whether a value is none of the producer that is looked at.
pub(crate) fn is_strangers(value: &[u8]) -> bool {
    value == VALUE
}

const VALUE: &[u8] = b"written by somebody else";

/// Room for a batch.
const SIZE: usize = 32 * 1024;
