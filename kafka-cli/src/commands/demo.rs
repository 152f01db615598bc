//! `linger demo`: the whole way of a record, with no Kafka at hand.

mod check;
mod story;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use kafka_batch::BatchReader;
use kafka_mock::MockCluster;
use kafka_producer::{Header, Producer, Record, Settings, Stats};

use self::check::Sent;
use self::story::{Planned, Story, stories};
use crate::report::number::{count, counted, percent, time};
use crate::report::summary::reasons;
use crate::report::table::Table;
use crate::signals::Signals;
use crate::{Ending, clock, output};

/// Show the way of a record and back in a few seconds, with no Kafka at hand
///
/// Starts three brokers inside this program, sends a text and generated logs to them over the network, reads everything
/// back, compares it record by record, and shows what became of the batches.
#[derive(Debug, Args)]
pub(crate) struct Demo {}

/// A story that was told.
struct Told {
    story: Story,
    settings: Settings,
    stats: Stats,
    sent: Vec<Sent>,
}

impl Demo {
    pub(crate) async fn run(self, signals: &mut Signals) -> Result<Ending> {
        tokio::select! {
            result = tokio::time::timeout(PATIENCE, show()) => {
                match result.with_context(|| format!("the demo is not over after {}", time(PATIENCE)))? {
                    Err(error) if error.is::<output::Closed>() => Ok(Ending::Success),
                    result => result.map(|()| Ending::Success),
                }
            }
            caught = signals.recv() => Ok(Ending::Signal(caught)),
        }
    }
}

async fn show() -> Result<()> {
    let started = clock::now();
    let stories = stories();
    let mut builder = MockCluster::builder().brokers(3);
    for story in &stories {
        builder = builder.topic(story.topic, story.partitions);
    }
    let cluster = builder.start().await.context("the three brokers of the demo cannot start")?;
    let servers = cluster.bootstrap_servers();
    output::print(&format!(
        "Three Kafka brokers run in this program now: {servers}\n\
         A producer of its own for each topic sends to them over TCP:\n\n"
    ))?;

    let mut told = Vec::new();
    for story in stories {
        let one = tell(story, &servers).await?;
        output::print(&format!("  {:<16} {}\n", one.story.topic, one.story.what))?;
        told.push(one);
    }

    let mut compared = 0;
    for one in &told {
        compared += check::read_back(&servers, one.story.topic, &one.sent).await?;
    }
    output::print(&format!(
        "\nRead back over the network and compared: {}, each with the key, value, headers,\n\
         timestamp, partition and offset it was sent with or promised. All equal.\n\n\
         What became of the batches, partition by partition:\n\n",
        counted(compared, "record")
    ))?;
    output::print(&partitions(&told, &cluster)?)?;
    output::print("\nWhy they left, and how many shared a request:\n\n")?;
    output::print(&topics(&told))?;
    output::print(LESSON)?;
    cluster.shutdown().await;
    output::print(&format!("\nDone in {}.\n", time(clock::now().duration_since(started))))
}

/// Sends the records of a story and waits for every answer.
async fn tell(story: Story, servers: &str) -> Result<Told> {
    let mut config = Producer::builder([servers]).client_id("linger-demo");
    for (name, value) in story.settings {
        config.set(name, value)?;
    }
    let (settings, _) = config.settle()?;
    let producer = config.connect().await?;
    let topic = producer.topic(story.topic).await?;
    let mut deliveries = Vec::new();
    for (index, planned) in story.records.iter().enumerate() {
        if story.burst > 0 && index % story.burst == 0 {
            tokio::time::sleep(BETWEEN_BURSTS).await;
        }
        let headers: Vec<Header<'_>> = planned
            .headers
            .iter()
            .map(|(key, value)| Header { key, value: Some(value.as_bytes()) })
            .collect();
        let mut record = Record::to(&topic).headers(&headers).timestamp(planned.timestamp);
        if let Some(key) = &planned.key {
            record = record.key(key);
        }
        if let Some(value) = &planned.value {
            record = record.value(value);
        }
        deliveries.push(producer.send(record).await?);
    }
    producer.flush().await?;
    let mut sent = Vec::new();
    for (delivery, planned) in deliveries.into_iter().zip(&story.records) {
        let metadata = delivery.await?;
        let offset = metadata.offset.context("the broker told no offset")?;
        sent.push(Sent { planned: planned.clone(), partition: metadata.partition, offset });
    }
    let stats = producer.stats();
    producer.close(PATIENCE).await?;
    Ok(Told { story, settings, stats, sent })
}

/// A row for each partition, from what lies in the brokers' logs.
fn partitions(told: &[Told], cluster: &MockCluster) -> Result<String> {
    let mut table =
        Table::new(&["topic-partition", "leader", ">records", ">batches", ">records/batch", ">mean fill"]);
    for Told { story, settings, .. } in told {
        for partition in 0..story.partitions {
            let name = format!("{}-{partition}", story.topic);
            let Some((leader, _)) = cluster.leader(story.topic, partition) else {
                bail!("{name} has no leader")
            };
            let (mut records, mut batches, mut bytes) = (0_u64, 0_u64, 0_usize);
            for stored in cluster.batches(story.topic, partition) {
                for batch in BatchReader::new(stored) {
                    let batch = batch?;
                    records += u64::try_from(batch.header().record_count)?;
                    batches += 1;
                    bytes += batch.bytes().len();
                }
            }
            let (mean, fill) = match batches {
                0 => ("-".to_owned(), "-".to_owned()),
                _ => (
                    format!("{:.1}", records as f64 / batches as f64),
                    percent(bytes as f64 / (batches as f64 * settings.batch_size as f64)),
                ),
            };
            table.row([name, format!("broker {leader}"), count(records), count(batches), mean, fill]);
        }
    }
    Ok(table.to_string())
}

/// A row for each topic, from the statistics of its producer.
fn topics(told: &[Told]) -> String {
    let mut table = Table::new(&[
        "topic",
        ">linger.ms",
        ">batches",
        "left because",
        ">requests",
        ">batches/request",
        ">latency p50",
        ">p99",
    ]);
    for Told { story, settings, stats, .. } in told {
        let [p50, p99] = [0.5, 0.99].map(|part| time(stats.delivery_latency.quantile(part)));
        table.row([
            story.topic.to_owned(),
            settings.linger.as_millis().to_string(),
            count(stats.batches),
            reasons(stats),
            count(stats.requests),
            format!("{:.1}", stats.mean_batches_per_request()),
            p50,
            p99,
        ]);
    }
    table.to_string()
}

const LESSON: &str = "
  full       it reached batch.size (here 16 384 bytes): the best use of a request
  linger     it was not full when linger.ms had passed since its first record
  piggyback  a request to the same broker left anyway and had room for it
  flush      the program asked for everything to be sent

Three settings decide. batch.size: how large a batch of one partition may grow. linger.ms: how long it waits for more while
it is not full, counted from its first record. max.request.size: how many bytes of batches one request to a broker may carry.
Compare the two sensor topics: the same records.
";

/// Between bursts of a story that has them.
const BETWEEN_BURSTS: Duration = Duration::from_millis(2);
/// The demo takes two seconds or so.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a record that was planned shows in messages.
impl Planned {
    fn name(&self) -> String {
        self.key.clone().unwrap_or_else(|| "without key".to_owned())
    }
}
