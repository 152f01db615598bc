//! Reading back what was sent, and comparing.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kafka_producer::ProducerConfig;
use kafka_producer::partitioner::partition_for_key;

use super::story::Planned;
use crate::cluster::{self, EARLIEST, Found, Isolation, LATEST, Reader};

/// A record, and where the broker said that it is.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) planned: Planned,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// Reads a topic and compares each record with what was sent; returns how many there are.
pub(super) async fn read_back(servers: &str, topic: &str, sent: &[Sent]) -> Result<u64> {
    let (settings, _) = ProducerConfig::new([servers]).settle()?;
    let client = cluster::connect(&settings, false).await?;
    let view = client.topic(topic).await?;
    let mut expected: BTreeMap<(i32, i64), &Planned> = BTreeMap::new();
    for sent in sent {
        let place = (sent.partition, sent.offset);
        if expected.insert(place, &sent.planned).is_some() {
            bail!("{topic}-{} offset {}: promised to two records", place.0, place.1);
        }
    }
    let count = u32::try_from(view.partitions.len())?;
    let mut compared = 0;
    for partition in (0..).take(view.partitions.len()) {
        let start = cluster::offset(&client, topic, partition, EARLIEST, READ).await?;
        let end = cluster::offset(&client, topic, partition, LATEST, READ).await?;
        let mut reader = Reader::new(&client, &view, partition, start, READ);
        while reader.offset < end {
            for found in reader.fetch(FETCH_WAIT).await? {
                let place = format!("{topic}-{partition} offset {}", found.offset);
                let planned = expected.remove(&(partition, found.offset));
                let planned =
                    planned.with_context(|| format!("{place}: nobody sent the record that is there"))?;
                compare(&found, planned, count).with_context(|| place)?;
                compared += 1;
            }
        }
    }
    match expected.into_iter().next() {
        Some(((partition, offset), planned)) => {
            bail!("{topic}-{partition} offset {offset}: record {} is not there", planned.name())
        }
        None => Ok(compared),
    }
}

fn compare(found: &Found, planned: &Planned, partition_count: u32) -> Result<()> {
    let record = &found.record;
    let headers: Vec<(&str, Option<&[u8]>)> =
        record.headers.iter().map(|header| (header.key(), header.value().map(|value| &value[..]))).collect();
    let planned_headers: Vec<(&str, Option<&[u8]>)> =
        planned.headers.iter().map(|(key, value)| (*key, Some(value.as_bytes()))).collect();
    if record.key.as_deref() != planned.key.as_deref().map(str::as_bytes) {
        bail!("the key is another: {:?} instead of {:?}", record.key, planned.key);
    }
    if record.value.as_deref() != planned.value.as_deref().map(str::as_bytes) {
        bail!("the value is another: {:?} instead of {:?}", record.value, planned.value);
    }
    if headers != planned_headers {
        bail!("the headers are others: {headers:?} instead of {planned_headers:?}");
    }
    if record.timestamp != planned.timestamp {
        bail!("the timestamp is another: {} instead of {}", record.timestamp, planned.timestamp);
    }
    if let Some(key) = &planned.key {
        let partition = partition_for_key(key.as_bytes(), partition_count);
        if u32::try_from(found.partition) != Ok(partition) {
            bail!("key {key} belongs into partition {partition}");
        }
    }
    Ok(())
}

const READ: Isolation = Isolation::ReadUncommitted;
const FETCH_WAIT: Duration = Duration::from_millis(500);
