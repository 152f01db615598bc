//! `linger verifiable-producer`: the command line and the output of `org.apache.kafka.tools.VerifiableProducer`, so that
//! what drives that one can drive this producer.

mod event;
mod exception;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::{ArgGroup, Args};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kafka_producer::{Delivery, DeliveryError, Producer, ProducerConfig, Record, RecordMetadata, SendError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::event::{Event, Sent};
use crate::output::Output;
use crate::signals::Signals;
use crate::{Ending, clock, report, settings};

/// Produce increasing integers, and print what became of each as a line of JSON, like Kafka's own tool of that name
///
/// Arguments, values, keys and lines are those of org.apache.kafka.tools.VerifiableProducer 4.4.0. As there, a record is
/// tried once (retries=0, hence without idempotence) unless a file says otherwise, and SIGINT, SIGTERM and SIGHUP end it in
/// an orderly way: no more records, answers for those that were accepted, and a summary. A second signal ends it at once.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("servers").required(true))]
pub(crate) struct VerifiableProducer {
    /// The topic
    #[arg(long, value_name = "TOPIC")]
    topic: String,

    /// Brokers to ask first
    #[arg(long, value_name = "HOST:PORT,..", group = "servers")]
    bootstrap_server: Option<String>,

    /// The same; Kafka's tool of before 4.0 had this name for it, too
    #[arg(long, value_name = "HOST:PORT,..", group = "servers")]
    broker_list: Option<String>,

    /// How many records; until it is ended if negative
    #[arg(long, default_value_t = -1, value_name = "COUNT", allow_negative_numbers = true)]
    max_messages: i32,

    /// Records a second, about; as fast as it goes if negative
    #[arg(long, default_value_t = -1, value_name = "COUNT", allow_negative_numbers = true)]
    throughput: i32,

    /// Who must have written a record before it counts: 0, 1, or -1 for all in-sync replicas
    #[arg(long, default_value_t = -1, allow_negative_numbers = true, value_parser = clap::value_parser!(i16).range(-1..=1))]
    acks: i16,

    /// A .properties file with settings of the producer. They count more than the options here
    #[arg(long, value_name = "FILE", conflicts_with = "producer_config")]
    command_config: Option<PathBuf>,

    /// The same, by its older name
    #[arg(long = "producer.config", value_name = "FILE")]
    producer_config: Option<PathBuf>,

    /// The timestamp of the first record, in milliseconds since 1970. Later ones have later ones
    #[arg(long, default_value_t = -1, value_name = "MILLISECONDS", allow_negative_numbers = true)]
    message_create_time: i64,

    /// A number to stand before each value, with a dot between
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    value_prefix: Option<i32>,

    /// Give records the keys 0, 1, .. below this number, again and again
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    repeating_keys: Option<i32>,
}

impl VerifiableProducer {
    pub(crate) async fn run(self, signals: &mut Signals) -> Result<Ending> {
        let config = self.config()?;
        let producer = config.connect().await?;
        let started = clock::now();
        let (sent, received) = mpsc::channel(CHANNEL);
        let mut printer = JoinSet::new();
        printer.spawn(print(received, self.topic.clone()));

        let mut count = 0;
        let signal = tokio::select! {
            () = self.send(&producer, &sent, &mut count) => None,
            caught = signals.recv() => Some(Ending::Signal(caught)),
        };
        // Answers come at the latest when delivery.timeout.ms is over.
        let closed = producer.close(Duration::MAX).await;
        drop(sent);
        let Some(printed) = printer.join_next().await else { return Err(anyhow!("nobody prints")) };
        let (mut output, acked) = printed.context("the task that prints is gone")??;
        closed?;

        output.write(&Event::ShutdownComplete.line())?;
        let took = clock::now().duration_since(started);
        let average = 1e3 * acked as f64 / took.as_millis().max(1) as f64;
        output.write(&Event::ToolData { sent: count, acked, target: self.throughput, average }.line())?;
        output.flush()?;
        Ok(signal.unwrap_or(Ending::Success))
    }

    fn config(&self) -> Result<ProducerConfig> {
        let mut config = ProducerConfig::default();
        if let Some(servers) = self.bootstrap_server.as_ref().or(self.broker_list.as_ref()) {
            let warning = config.set("bootstrap.servers", servers).context("--bootstrap-server")?;
            warning.iter().for_each(|warning| report::warn(&format!("--bootstrap-server: {warning}")));
        }
        config.set("acks", &self.acks.to_string()).context("--acks")?;
        config.set("retries", "0")?;
        if let Some(path) = self.command_config.as_ref().or(self.producer_config.as_ref()) {
            settings::apply_file(&mut config, path)?;
        }
        let (_, warnings) = config.settle()?;
        warnings.iter().for_each(|warning| report::warn(&warning.to_string()));
        Ok(config)
    }

    /// Sends all records, counting those that were tried.
    async fn send(&self, producer: &Producer, sent: &mpsc::Sender<Item>, count: &mut u64) {
        let max = u64::try_from(self.max_messages).unwrap_or(u64::MAX);
        let (started, first_key) = (clock::now(), 0);
        let mut next_key = first_key;
        let mut timestamp = (self.message_create_time != -1).then_some(self.message_create_time);
        for index in 0..max {
            let value = match self.value_prefix {
                Some(prefix) => format!("{prefix}.{index}"),
                None => index.to_string(),
            };
            let key = self.repeating_keys.map(|keys| {
                let key = next_key;
                next_key = if key + 1 == i64::from(keys) { first_key } else { key + 1 };
                key.to_string()
            });
            let mut record = Record::to(&self.topic).value(&value);
            if let Some(key) = &key {
                record = record.key(key);
            }
            if let Some(timestamp) = &mut timestamp {
                record = record.timestamp(*timestamp);
                // Kafka's tool adds the whole time since its start each time, so these run away from the clock.
                let passed = clock::now().duration_since(started).as_millis();
                *timestamp = timestamp.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX));
            }
            // The place first: once it is accepted, a signal must not part a record from its line.
            let Ok(place) = sent.reserve().await else {
                // The printer says why, when it is asked.
                return;
            };
            let delivery = producer.send(record).await;
            *count += 1;
            place.send(Item { sent: Sent { key, value }, delivery });
            match u32::try_from(self.throughput) {
                Ok(0) if index > 0 => std::future::pending().await,
                Ok(0) | Err(_) => {}
                Ok(rate) => {
                    let due = Duration::from_secs_f64(index as f64 / f64::from(rate));
                    tokio::time::sleep_until((started + due).into()).await;
                }
            }
        }
    }
}

/// A record that was sent, and what is known of it.
#[derive(Debug)]
struct Item {
    sent: Sent,
    delivery: Result<Delivery, SendError>,
}

/// Prints what becomes of records, those of a partition in their order, until no more come and all have their answer.
/// Gives back the output and how many were acknowledged.
async fn print(mut received: mpsc::Receiver<Item>, topic: String) -> Result<(Output, u64)> {
    let mut output = Output::new();
    output.write(&Event::StartupComplete.line())?;
    output.flush()?;
    let mut acked = 0;
    // For each partition, the records whose answers are not there yet, but for the first, which is waited for. Answers
    // come by the batch: to wait for each record would be to be woken for each.
    let mut queues: BTreeMap<i32, VecDeque<(Sent, Delivery)>> = BTreeMap::new();
    let mut heads = FuturesUnordered::new();
    let (mut waiting, mut open) = (0, true);
    let head = |sent: Sent, delivery: Delivery| async move { (delivery.partition(), sent, delivery.await) };
    while open || !heads.is_empty() {
        tokio::select! {
            item = received.recv(), if open && waiting < MAX_WAITING => match item {
                None => open = false,
                Some(Item { sent, delivery: Err(error) }) => {
                    let exception = exception::of_send(&error);
                    output.write(&Event::Error { sent, topic: &topic, exception, message: error.to_string() }.line())?;
                    output.flush()?;
                }
                Some(Item { sent, delivery: Ok(delivery) }) => {
                    waiting += 1;
                    match queues.get_mut(&delivery.partition()) {
                        Some(queue) => queue.push_back((sent, delivery)),
                        None => {
                            queues.insert(delivery.partition(), VecDeque::new());
                            heads.push(head(sent, delivery));
                        }
                    }
                }
            },
            Some((partition, sent, answer)) = heads.next(), if !heads.is_empty() => {
                waiting -= 1;
                output.write(&answered(&topic, sent, &answer, &mut acked))?;
                loop {
                    let next = queues.get_mut(&partition).and_then(VecDeque::pop_front);
                    let Some((sent, delivery)) = next else {
                        queues.remove(&partition);
                        break;
                    };
                    let Some(answer) = delivery.peek() else {
                        heads.push(head(sent, delivery));
                        break;
                    };
                    waiting -= 1;
                    output.write(&answered(&topic, sent, &answer, &mut acked))?;
                }
                output.flush()?;
            }
        }
    }
    Ok((output, acked))
}

fn answered(
    topic: &str,
    sent: Sent,
    answer: &Result<RecordMetadata, DeliveryError>,
    acked: &mut u64,
) -> Vec<u8> {
    let event = match answer {
        Ok(metadata) => {
            *acked += 1;
            Event::Success {
                sent,
                topic,
                partition: metadata.partition,
                offset: metadata.offset.unwrap_or(-1),
            }
        }
        Err(error) => {
            let exception = exception::of_delivery(error);
            Event::Error { sent, topic, exception, message: error.to_string() }
        }
    };
    event.line()
}

/// Records on their way to the printer.
const CHANNEL: usize = 1024;
/// Records without an answer, of all partitions.
const MAX_WAITING: usize = 256 << 10;
