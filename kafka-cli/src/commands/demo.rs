//! `linger demo`: the main job with no Kafka at hand.

mod data;
mod story;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use kafka_batch::Header;
use kafka_mock::MockCluster;
use kafka_net::{Client, ClientConfig};
use kafka_producer::{Delivery, Producer, Record, RecordMetadata, Stats};

use self::data::{Item, TOPICS};
use crate::{
    clock,
    read::{self, End, PartitionReader, Row},
};

/// The demo takes no settings but the amount.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Orders to make up. There are half as many clicks.
    #[arg(long, default_value_t = 40_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    orders: u32,
}

/// What became of one partition.
struct Partition {
    topic: &'static str,
    index: i32,
    leader: i32,
    /// Sizes of its batches, and how many records each has.
    batches: Vec<(usize, usize)>,
}

/// Everything there is to tell.
struct Run {
    records: usize,
    payload: u64,
    sending: Duration,
    reading: Duration,
    partitions: Vec<Partition>,
    stats: Stats,
    brokers: Vec<(i32, String)>,
}

/// Starts brokers, produces, reads back, compares, explains.
pub(crate) async fn run(args: Args) -> Result<()> {
    let mut cluster = MockCluster::builder().brokers(BROKERS);
    for (topic, partitions) in TOPICS {
        cluster = cluster.topic(topic, partitions);
    }
    let cluster = cluster.start().await.context("cannot start the embedded brokers")?;
    let items = data::make(args.orders);

    let producer =
        Producer::builder([cluster.bootstrap_servers()]).client_id("linger-demo").connect().await?;
    let started = clock::now();
    let places = send(&producer, &items).await?;
    let sending = clock::now() - started;
    let stats = producer.stats();

    let started = clock::now();
    let client = Client::connect(&cluster.bootstrap_servers(), ClientConfig::default()).await?;
    let partitions = compare(&client, &producer, &items, &places).await?;
    let reading = clock::now() - started;
    producer.close(PATIENCE).await?;

    let brokers = cluster.nodes().filter_map(|node| Some((node.0, cluster.address(node)?))).collect();
    let payload = items.iter().map(Item::payload).sum();
    let run = Run { records: items.len(), payload, sending, reading, partitions, stats, brokers };
    cluster.shutdown().await;
    story::tell(&run)
}

/// Sends everything, and awaits each delivery: the place of each record.
async fn send(producer: &Producer, items: &[Item]) -> Result<Vec<RecordMetadata>> {
    let mut topics = BTreeMap::new();
    for (topic, _) in TOPICS {
        topics.insert(topic, producer.topic(topic).await?);
    }
    let mut places = Vec::with_capacity(items.len());
    let mut window: VecDeque<Delivery> = VecDeque::with_capacity(WINDOW);
    let mut previous = None;
    for (number, item) in items.iter().enumerate() {
        // The README is waited for, so that its last batch shows what lingering is.
        let topic_ends = previous.is_some_and(|topic| topic != item.topic);
        let keep = if topic_ends { 0 } else { WINDOW - 1 };
        settle(&mut window, keep, &mut places).await?;
        previous = Some(item.topic);
        let headers: Vec<Header<'_>> =
            item.headers.iter().map(|(key, value)| Header { key, value: Some(value.as_bytes()) }).collect();
        let mut record = Record::to(&topics[item.topic]).value(&item.value).headers(&headers);
        if let Some(key) = &item.key {
            record = record.key(key);
        }
        let accepted = producer.send(record).await;
        window.push_back(
            accepted.with_context(|| format!("record {number} of {} is not accepted", item.topic))?,
        );
    }
    producer.flush().await?;
    settle(&mut window, 0, &mut places).await?;
    Ok(places)
}

/// Awaits the oldest deliveries until no more than `keep` are left.
async fn settle(
    window: &mut VecDeque<Delivery>,
    keep: usize,
    places: &mut Vec<RecordMetadata>,
) -> Result<()> {
    while window.len() > keep {
        let Some(delivery) = window.pop_front() else { break };
        places.push(delivery.await?);
    }
    Ok(())
}

/// Reads everything back over the network and compares it, record by record, with what was sent: each record lies where
/// its delivery said, is the same to the byte, and nothing else is there.
async fn compare(
    client: &Client,
    producer: &Producer,
    items: &[Item],
    places: &[RecordMetadata],
) -> Result<Vec<Partition>> {
    let mut expected: BTreeMap<(&str, i32, i64), &Item> = BTreeMap::new();
    for (item, place) in items.iter().zip(places) {
        let offset = place.offset().context("a delivery without an offset")?;
        let twice = expected.insert((item.topic, place.partition, offset), item);
        ensure!(
            twice.is_none(),
            "two records were said to be at {}-{} offset {offset}",
            item.topic,
            place.partition
        );
    }
    ensure!(places.len() == items.len(), "{} records, {} deliveries", items.len(), places.len());
    let mut partitions = Vec::new();
    for (topic, _) in TOPICS {
        for info in producer.partitions_for(topic).await? {
            let mut batches = Vec::new();
            let mut last = None;
            let end = read::offset_of(client, topic, info.partition, End::End).await?;
            let mut reader = PartitionReader::new(client.clone(), topic, info.partition, 0);
            while reader.position() < end {
                for batch in reader.fetch(PATIENCE).await? {
                    batches.push((batch.size, batch.rows.len()));
                    for row in batch.rows {
                        let place = (topic, row.partition, row.offset);
                        let item = expected.remove(&place);
                        check(topic, &row, item)?;
                        // Earlier in the log means earlier sent.
                        let number = item.map(|item| item.number);
                        ensure!(
                            last < number,
                            "{topic}-{} is out of order at offset {}",
                            row.partition,
                            row.offset
                        );
                        last = number;
                    }
                }
            }
            let leader = info.leader.unwrap_or(-1);
            partitions.push(Partition { topic, index: info.partition, leader, batches });
        }
    }
    if let Some(((topic, partition, offset), _)) = expected.first_key_value() {
        let missing = expected.len();
        bail!(
            "{missing} acknowledged records are not in the log; the first is {topic}-{partition} offset {offset}"
        );
    }
    Ok(partitions)
}

fn check(topic: &str, row: &Row, item: Option<&Item>) -> Result<()> {
    let place = || format!("{topic}-{} offset {}", row.partition, row.offset);
    let Some(item) = item else { bail!("{} holds a record that no delivery spoke of", place()) };
    let record = &row.record;
    let headers = record.headers.iter().map(|header| (header.key(), header.value().map(|value| &value[..])));
    let sent = item.headers.iter().map(|(key, value)| (*key, Some(value.as_bytes())));
    let same = record.value.as_deref() == Some(item.value.as_bytes())
        && record.key.as_deref() == item.key.as_deref().map(str::as_bytes)
        && headers.eq(sent);
    ensure!(same, "{} is not the record that was sent there", place());
    Ok(())
}

const BROKERS: u16 = 3;

/// Deliveries that are not awaited yet.
const WINDOW: usize = 10_000;

/// How long the embedded brokers may take for anything.
const PATIENCE: Duration = Duration::from_secs(10);
