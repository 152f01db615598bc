//! `linger perf`: how many records a second, how fast, for how much CPU.

mod load;

use std::collections::VecDeque;
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use clap::Args;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use hdrhistogram::Histogram;
use kafka_mock::MockCluster;
use kafka_producer::{Deliveries, Delivery, Producer, Record, Settings, Stats, Topic};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::load::Load;
use crate::report::number::{counted, time};
use crate::report::summary::summary;
use crate::settings::Options;
use crate::signals::{Caught, Signals};
use crate::{Ending, clock, cluster, cpu, output, report};

/// Measure: send many records, and report throughput, latency and CPU time
///
/// As fast as it goes, or at a fixed `--rate`. The latency of a record counts from when it was due, so that a stall is
/// not hidden by sending less.
#[derive(Debug, Args)]
pub(crate) struct Perf {
    #[command(flatten)]
    options: Options,

    /// The topic
    #[arg(long, default_value = "perf", value_name = "NAME")]
    topic: String,

    /// Create the topic with so many partitions, if it is not there
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..=10_000))]
    partitions: Option<i32>,

    /// How many records
    #[arg(long, short = 'n', default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    records: u64,

    /// The size of a value in bytes
    #[arg(long, default_value_t = 100)]
    size: usize,

    /// Give each record one of so many keys of 16 bytes; 0 for none
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    keys: u32,

    /// Records a second; as fast as it goes without it
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,

    /// Threads; with 1 the caller and the sockets share one
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,

    /// Need no Kafka: send to brokers within this program that throw records away (12 partitions). Their CPU time is
    /// counted, too
    #[arg(long, conflicts_with_all = ["partitions"])]
    sink: bool,

    /// Print one line of JSON instead
    #[arg(long)]
    json: bool,
}

/// What was measured.
struct Measured {
    took: Duration,
    cpu: Option<Duration>,
    /// In microseconds.
    latency: Histogram<u64>,
    first_failure: Option<String>,
    caught: Option<Caught>,
}

impl Perf {
    pub(crate) fn threads(&self) -> usize {
        self.threads.into()
    }

    pub(crate) async fn run(mut self, signals: &mut Signals) -> Result<Ending> {
        let sink = if self.sink {
            let sink =
                MockCluster::builder().brokers(3).topic(&self.topic, SINK_PARTITIONS).sink().start().await?;
            self.options.override_servers(sink.bootstrap_servers());
            Some(sink)
        } else {
            None
        };
        let (config, settings) = self.options.config()?;
        if self.size > settings.max_request_size {
            let (size, limit) = (self.size, settings.max_request_size);
            bail!("--size {size} is over max.request.size={limit}: no such record could be sent");
        }
        let prepare = async {
            self.check_cluster(&settings).await?;
            let producer = config.connect().await?;
            let topic = producer.topic(&self.topic).await?;
            anyhow::Ok((producer, topic))
        };
        let (producer, topic) = tokio::select! {
            prepared = prepare => prepared?,
            caught = signals.recv() => return Ok(Ending::Signal(caught)),
        };
        let measured = self.measure(&producer, &topic, signals).await?;
        let stats = producer.stats();
        self.report(&measured, &stats, &settings, topic.partition_count())?;
        let _ = producer.close(CLOSE_TIMEOUT).await;
        if let Some(sink) = sink {
            sink.shutdown().await;
        }
        match (measured.caught, measured.first_failure) {
            (Some(caught), _) => Ok(Ending::Signal(caught)),
            (None, Some(failure)) => {
                Err(anyhow!("{} failed, the first one: {failure}", counted(stats.failed, "record")))
            }
            (None, None) => Ok(Ending::Success),
        }
    }

    /// Whether the cluster and the topic are there, as in `linger produce`.
    async fn check_cluster(&self, settings: &Settings) -> Result<()> {
        let client = cluster::connect(settings, true).await?;
        if let Some(partitions) = self.partitions {
            cluster::create_topic(&client, &self.topic, partitions).await?;
        }
        let view = cluster::reach_topic(&client, &self.topic).await?;
        let (topic, count) = (&self.topic, view.partitions.len());
        if let Some(partitions) = self.partitions.filter(|&asked| usize::try_from(asked) != Ok(count)) {
            let has = counted(count as u64, "partition");
            report::warn(&format!(
                "topic {topic} has {has}: it was there before, and --partitions {partitions} changes nothing"
            ));
        }
        Ok(())
    }

    async fn measure(&self, producer: &Producer, topic: &Topic, signals: &mut Signals) -> Result<Measured> {
        let load = Load::new(self.size, self.keys);
        let (timed, received) = mpsc::channel(MAX_TIMED);
        let mut collector = JoinSet::new();
        collector.spawn(collect(received));
        let cpu_before = cpu::used();
        let started = clock::now();
        let mut sending = Sending {
            producer,
            topic,
            load: &load,
            timed,
            window: VecDeque::new(),
            in_window: 0,
            first_failure: None,
        };
        signals.take_two();
        let mut caught = None;
        let ended = tokio::select! {
            ended = async {
                match self.rate {
                    Some(rate) => sending.paced(self.records, rate, started).await,
                    None => sending.closed(self.records).await,
                }
            } => Some(ended),
            signal = signals.recv() => {
                caught = Some(signal);
                None
            }
        };
        let mut flush = pin!(producer.flush());
        loop {
            if let Some(caught) = caught {
                let name = caught.name();
                report::warn(&format!("{name}: waiting for the answers still due; a second signal gives up"));
            }
            tokio::select! {
                flushed = &mut flush => {
                    flushed?;
                    break;
                }
                signal = signals.recv() => if caught.replace(signal).is_some() {
                    let _ = producer.close(Duration::ZERO).await;
                    break;
                }
            }
        }
        let took = clock::now().duration_since(started);
        let cpu = cpu::used().zip(cpu_before).map(|(after, before)| after.saturating_sub(before));
        sending.settle_all().await;
        let Sending { timed, mut first_failure, .. } = sending;
        // The end of the channel ends the collector.
        drop(timed);
        if let Some(Err(error)) = ended {
            first_failure.get_or_insert_with(|| error.to_string());
        }
        let (latency, failure) = match collector.join_next().await {
            Some(Ok(collected)) => collected?,
            Some(Err(_)) | None => bail!("the task that measures latency is gone"),
        };
        Ok(Measured { took, cpu, latency, first_failure: first_failure.or(failure), caught })
    }

    fn report(&self, measured: &Measured, stats: &Stats, settings: &Settings, partitions: u32) -> Result<()> {
        let took = measured.took;
        let records = stats.records;
        let key = if self.keys > 0 { load::KEY_SIZE } else { 0 };
        let size = records * (self.size + key) as u64;
        let per_second = records as f64 / took.as_secs_f64();
        let mib = size as f64 / f64::from(1 << 20) / took.as_secs_f64();
        let cpu_per_record = measured.cpu.map(|cpu| cpu.as_nanos() as f64 / records.max(1) as f64);
        let quantile = |part| Duration::from_micros(measured.latency.value_at_quantile(part));
        let [p50, p95, p99, p999] = [0.5, 0.95, 0.99, 0.999].map(quantile);
        let max = Duration::from_micros(measured.latency.max());
        if self.json {
            let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            let line = serde_json::json!({
                "records": records, "failed": stats.failed, "size": self.size, "partitions": partitions,
                "seconds": took.as_secs_f64(), "records_per_second": per_second, "mib_per_second": mib,
                "latency_us": { "p50": micros(p50), "p95": micros(p95), "p99": micros(p99), "p999": micros(p999), "max": micros(max) },
                "cpu_seconds": measured.cpu.map(|cpu| cpu.as_secs_f64()), "cpu_ns_per_record": cpu_per_record,
                "batches": stats.batches, "mean_fill": stats.mean_fill, "requests": stats.requests,
                "batches_per_request": stats.mean_batches_per_request(), "retries": stats.retries,
                "losses": stats.losses,
            });
            return output::print(&format!("{line}\n"));
        }
        let which = if self.rate.is_some() {
            "each record, from when it was due".to_owned()
        } else {
            format!("one record in {CHUNK}, from send to acknowledgement")
        };
        let cpu = match (measured.cpu, cpu_per_record) {
            (Some(cpu), Some(each)) => {
                format!("{} of user and system time, {each:.0} ns a record", time(cpu))
            }
            _ => "not known: this system does not tell a program's CPU time in a way this one understands"
                .to_owned(),
        };
        let cpu_word = cpu_per_record.map_or_else(String::new, |each| format!(" cpu-ns/record={each:.0}"));
        output::print(&format!(
            "{}  measured      p50 {}, p95 {}, p99 {}, p99.9 {}, max {}: {which}\n  cpu           {cpu}\n\n\
             records={records} records/s={per_second:.1} MiB/s={mib:.2} p50-ms={:.3} p99-ms={:.3}{cpu_word}\n",
            summary(stats, settings, size, 0, took),
            time(p50),
            time(p95),
            time(p99),
            time(p999),
            time(max),
            p50.as_secs_f64() * 1e3,
            p99.as_secs_f64() * 1e3,
        ))
    }
}

/// A delivery whose time is taken, and from when.
type Timed = (Delivery, Instant);

struct Sending<'a> {
    producer: &'a Producer,
    topic: &'a Topic,
    load: &'a Load,
    timed: mpsc::Sender<Timed>,
    window: VecDeque<Deliveries>,
    in_window: usize,
    first_failure: Option<String>,
}

impl Sending<'_> {
    /// As fast as it goes.
    async fn closed(&mut self, records: u64) -> Result<()> {
        let mut next = 0;
        while next < records {
            let chunk = (records - next).min(CHUNK);
            let due = clock::now();
            self.chunk(next, chunk, due, Some(1)).await?;
            next += chunk;
            while self.in_window > MAX_WINDOW {
                self.settle_one().await;
            }
        }
        Ok(())
    }

    /// So many records a second. Those that are due are sent at once, and their latency counts from when they were.
    async fn paced(&mut self, records: u64, rate: u64, started: Instant) -> Result<()> {
        let due = |index: u64| started + Duration::from_secs_f64(index as f64 / rate as f64);
        let mut next = 0;
        while next < records {
            tokio::time::sleep_until(due(next).into()).await;
            let passed = clock::now().duration_since(started).as_secs_f64();
            let target = ((passed * rate as f64) as u64).saturating_add(1).clamp(next + 1, records);
            while next < target {
                self.chunk(next, 1, due(next), None).await?;
                next += 1;
            }
            while self.in_window > MAX_WINDOW {
                self.settle_one().await;
            }
        }
        Ok(())
    }

    /// Sends some records; the first, or each, is timed.
    async fn chunk(&mut self, first: u64, records: u64, due: Instant, timed: Option<usize>) -> Result<()> {
        let batch = (first..first + records).map(|index| {
            let record = Record::to(self.topic).value(self.load.value(index));
            match self.load.key(index) {
                Some(key) => record.key(key),
                None => record,
            }
        });
        let (mut deliveries, error) = match self.producer.send_all(batch).await {
            Ok(deliveries) => (deliveries, None),
            Err(error) => (error.deliveries, Some(error.source)),
        };
        for delivery in deliveries.by_ref().take(timed.unwrap_or(usize::MAX)) {
            // The collector ends after this sender.
            let _ = self.timed.send((delivery, due)).await;
        }
        self.in_window += deliveries.len();
        if !deliveries.is_empty() {
            self.window.push_back(deliveries);
        }
        error.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn settle_one(&mut self) {
        if let Some(deliveries) = self.window.pop_front() {
            self.in_window -= deliveries.len();
            for delivery in deliveries {
                if let Err(error) = delivery.await {
                    self.first_failure.get_or_insert_with(|| error.to_string());
                }
            }
        }
    }

    async fn settle_all(&mut self) {
        while !self.window.is_empty() {
            self.settle_one().await;
        }
    }
}

/// Waits for deliveries and takes their times. One task for all: it costs them little, and takes nothing from the sender.
async fn collect(mut timed: mpsc::Receiver<Timed>) -> Result<(Histogram<u64>, Option<String>)> {
    let mut latency = Histogram::new_with_bounds(1, LONGEST_LATENCY, 3)?;
    let mut failure = None;
    let mut waiting = FuturesUnordered::new();
    let mut open = true;
    while open || !waiting.is_empty() {
        tokio::select! {
            next = timed.recv(), if open => match next {
                Some((delivery, due)) => waiting.push(async move { (delivery.await, due) }),
                None => open = false,
            },
            Some((result, due)) = waiting.next(), if !waiting.is_empty() => {
                match result {
                    Ok(_) => {
                        let took = clock::now().saturating_duration_since(due);
                        latency.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
                    }
                    Err(error) => {
                        failure.get_or_insert_with(|| error.to_string());
                    }
                }
            }
        }
    }
    Ok((latency, failure))
}

/// In microseconds: what is longer than an hour counts as one.
const LONGEST_LATENCY: u64 = 3_600_000_000;
/// Records that are sent in one go, one of which is timed.
const CHUNK: u64 = 100;
/// Deliveries that wait for their answer.
const MAX_WINDOW: usize = 256 << 10;
/// Timed deliveries that the collector has not come to yet.
const MAX_TIMED: usize = 64 << 10;
/// As in the benchmarks.
const SINK_PARTITIONS: i32 = 12;
/// To hang up takes no time.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
