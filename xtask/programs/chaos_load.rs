//! The load of `cargo xtask chaos`: our producer, used only through its public interface, and a file with what it said of
//! each record.
//!
//! Told what to do on standard input: `run TOPIC RATE FILE`, `stop`; ends with it. Tells on standard output how far it
//! is, several times a second: `progress MILLISECONDS SENT ACKED FAILED CONNECTIONS`, and `stopped SENT`. What the
//! producer logs, and the first failures, go to standard error.
#![expect(clippy::disallowed_methods, reason = "a program's own clock; no state machine lives here")]

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufWriter, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::FuturesUnordered;
use kafka_producer::{
    BoxStream, Connect, Delivery, DeliveryError, Persistence, Producer, ProducerConfig, Record,
    RecordMetadata, SendError, Target, Topic,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

#[cfg_attr(not(test), expect(dead_code, reason = "what the checker needs of it"))]
#[path = "../src/chaos/record.rs"]
mod record;

use record::{Answer, Entry};

fn main() -> ExitCode {
    let run = || -> Result<(), Box<dyn Error>> {
        let load = Load::new(std::env::args().skip(1))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        tracing::subscriber::set_global_default(Log { started: Instant::now() })?;
        runtime.block_on(load.serve())
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Load {
    config: ProducerConfig,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    acked: AtomicU64,
    failed: AtomicU64,
    connections: AtomicU64,
}

impl Load {
    fn new(mut words: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut load = Self { config: ProducerConfig::default(), counts: Arc::default() };
        while let Some(name) = words.next() {
            let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "-X" => {
                    let (name, value) = value.split_once('=').ok_or("-X takes NAME=VALUE")?;
                    load.config.set(name, value)?;
                }
                _ => return Err(format!("unknown argument {name}").into()),
            }
        }
        Ok(load)
    }

    async fn serve(self) -> Result<(), Box<dyn Error>> {
        let connector = CountedConnect { counts: Arc::clone(&self.counts) };
        let producer = self.config.connector(connector).connect().await?;
        let mut commands = commands();
        while let Some(command) = commands.recv().await {
            let words: Vec<&str> = command.split(' ').collect();
            match words[..] {
                ["run", topic, rate, file] => {
                    let file = BufWriter::with_capacity(1 << 20, File::create(file)?);
                    let sent =
                        run(&producer, &self.counts, topic, rate.parse()?, file, &mut commands).await?;
                    say(&format!("stopped {sent}"))?;
                }
                _ => return Err(format!("what is {command:?}?").into()),
            }
        }
        // Nobody reads what would come of it: an orderly end is not waited for.
        Ok(())
    }
}

/// Sends to one topic until the next command, then waits for all answers.
async fn run(
    producer: &Producer,
    counts: &Arc<Counts>,
    topic: &str,
    rate: u64,
    file: BufWriter<File>,
    commands: &mut mpsc::UnboundedReceiver<String>,
) -> Result<u64, Box<dyn Error>> {
    for count in [&counts.sent, &counts.acked, &counts.failed] {
        count.store(0, Ordering::Relaxed);
    }
    let topic = producer.topic(topic).await?;
    let (items, received) = mpsc::channel(CHANNEL);
    let mut tasks = JoinSet::new();
    let mut collector = Collector { file, counts: Arc::clone(counts), marked: 0, told: 0 };
    tasks.spawn(async move { collector.collect(received).await });
    let mut reporter = JoinSet::new();
    reporter.spawn(report(Arc::clone(counts)));
    {
        let sending = send(producer, &topic, rate, &items, counts);
        tokio::select! {
            sending = sending => sending?,
            _ = commands.recv() => {}
        }
    }
    producer.flush().await?;
    drop(items);
    match tasks.join_next().await {
        Some(collected) => collected??,
        None => return Err("nobody collects answers".into()),
    }
    reporter.abort_all();
    while reporter.join_next().await.is_some() {}
    progress(counts)?;
    Ok(counts.sent.load(Ordering::Relaxed))
}

/// Sends at a rate, in the order of ids: half of the records with one of some keys, half without.
async fn send(
    producer: &Producer,
    topic: &Topic,
    rate: u64,
    items: &mpsc::Sender<Item>,
    counts: &Counts,
) -> Result<(), Box<dyn Error>> {
    let (mut text, mut key) = (String::new(), String::new());
    let mut ticks = tokio::time::interval(TICK);
    // After a stall the load goes on as before: what was not sent meanwhile is not made up for.
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut last, mut due) = (Instant::now(), 0.0_f64);
    loop {
        ticks.tick().await;
        let now = Instant::now();
        due = (due + now.duration_since(last).as_secs_f64() * rate as f64).min(rate as f64 * MOST_AT_ONCE);
        last = now;
        while due >= 1.0 {
            due -= 1.0;
            // The place first: an accepted record must not be parted from its answer.
            let place = items.reserve().await?;
            let id = counts.sent.load(Ordering::Relaxed);
            record::value(id, &mut text);
            let mut record = Record::to(topic).value(&text);
            if id.is_multiple_of(2) {
                key.clear();
                write!(key, "key-{}", id.wrapping_mul(7919) % KEYS)?;
                record = record.key(&key);
            }
            let delivery = producer.send(record).await;
            counts.sent.store(id + 1, Ordering::Relaxed);
            place.send(Item { id, delivery });
        }
    }
}

struct Item {
    id: u64,
    delivery: Result<Delivery, SendError>,
}

/// Takes answers and writes them down.
struct Collector {
    file: BufWriter<File>,
    counts: Arc<Counts>,
    /// The last time that was written, in milliseconds.
    marked: u64,
    /// Failures told in full.
    told: u32,
}

impl Collector {
    async fn collect(&mut self, mut received: mpsc::Receiver<Item>) -> io::Result<()> {
        // Answers of a partition come by the batch and in order: only the first is waited for.
        let mut queues: BTreeMap<i32, VecDeque<(u64, Delivery)>> = BTreeMap::new();
        let mut heads = FuturesUnordered::new();
        let head = |id: u64, delivery: Delivery| async move { (delivery.partition(), id, delivery.await) };
        let mut open = true;
        while open || !heads.is_empty() {
            tokio::select! {
                item = received.recv(), if open => match item {
                    None => open = false,
                    Some(Item { id, delivery: Err(error) }) => {
                        self.tell(id, &error, &error)?;
                        self.put(Entry { answer: Answer::Refused, id, partition: -1, offset: -1 })?;
                    }
                    Some(Item { id, delivery: Ok(delivery) }) => match queues.get_mut(&delivery.partition()) {
                        Some(queue) => queue.push_back((id, delivery)),
                        None => {
                            queues.insert(delivery.partition(), VecDeque::new());
                            heads.push(head(id, delivery));
                        }
                    },
                },
                Some((partition, id, answer)) = heads.next(), if !heads.is_empty() => {
                    self.mark()?;
                    self.answered(id, partition, &answer)?;
                    loop {
                        let next = queues.get_mut(&partition).and_then(VecDeque::pop_front);
                        let Some((id, delivery)) = next else {
                            queues.remove(&partition);
                            break;
                        };
                        let Some(answer) = delivery.peek() else {
                            heads.push(head(id, delivery));
                            break;
                        };
                        self.answered(id, partition, &answer)?;
                    }
                }
            }
        }
        self.file.flush()
    }

    fn answered(
        &mut self,
        id: u64,
        partition: i32,
        answer: &Result<RecordMetadata, DeliveryError>,
    ) -> io::Result<()> {
        match answer {
            Ok(RecordMetadata { partition, offset, .. }) => {
                self.counts.acked.fetch_add(1, Ordering::Relaxed);
                let offset = offset.unwrap_or(-1);
                self.put(Entry { answer: Answer::Acked, id, partition: *partition, offset })
            }
            Err(error) => {
                self.tell(id, error, error)?;
                let answer = match error.persistence() {
                    Persistence::NotPersisted => Answer::NotPersisted,
                    Persistence::PossiblyPersisted => Answer::PossiblyPersisted,
                    Persistence::Persisted => Answer::Persisted,
                };
                self.put(Entry { answer, id, partition, offset: -1 })
            }
        }
    }

    fn tell(&mut self, id: u64, short: &dyn std::fmt::Display, long: &dyn std::fmt::Debug) -> io::Result<()> {
        self.counts.failed.fetch_add(1, Ordering::Relaxed);
        if self.told < MAX_TOLD {
            self.told += 1;
            writeln!(io::stderr(), "failure of record {id}: {short}\n{long:?}")?;
        }
        Ok(())
    }

    fn mark(&mut self) -> io::Result<()> {
        let now = milliseconds();
        if now >= self.marked + MARK_EVERY {
            self.marked = now;
            self.put(Entry { answer: Answer::Time, id: now, partition: -1, offset: -1 })?;
        }
        Ok(())
    }

    fn put(&mut self, entry: Entry) -> io::Result<()> {
        self.file.write_all(&entry.to_bytes())
    }
}

async fn report(counts: Arc<Counts>) {
    loop {
        tokio::time::sleep(REPORT_EVERY).await;
        if progress(&counts).is_err() {
            // Whoever started this is gone, and the end of standard input ends it.
            return;
        }
    }
}

fn progress(counts: &Counts) -> io::Result<()> {
    let [sent, acked, failed, connections] =
        [&counts.sent, &counts.acked, &counts.failed, &counts.connections]
            .map(|count| count.load(Ordering::Relaxed));
    say(&format!("progress {} {sent} {acked} {failed} {connections}", milliseconds()))
}

fn say(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// The lines of standard input.
fn commands() -> mpsc::UnboundedReceiver<String> {
    let (tx, rx) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if tx.send(line).is_err() {
                return;
            }
        }
        // The end must not wait for records that may never be answered.
        std::process::exit(0);
    });
    rx
}

/// Opens connections as usual, and counts the attempts.
struct CountedConnect {
    counts: Arc<Counts>,
}

impl Connect for CountedConnect {
    fn connect<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, io::Result<BoxStream>> {
        self.counts.connections.fetch_add(1, Ordering::Relaxed);
        async move { Ok(Box::new(target.dial().await?) as BoxStream) }.boxed()
    }
}

/// Writes what the producer logs, from warnings on, to standard error.
struct Log {
    started: Instant,
}

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Fields(String);
        impl tracing::field::Visit for Fields {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                // Writing to a string does not fail.
                let _ = write!(self.0, " {}={value:?}", field.name());
            }
        }
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        let passed = self.started.elapsed().as_secs_f64();
        let level = event.metadata().level();
        // Where standard error is closed there is nobody to tell.
        let _ = writeln!(io::stderr(), "{passed:.3} {level}{}", fields.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

fn milliseconds() -> u64 {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

const TICK: Duration = Duration::from_millis(5);
/// In seconds: how much of the load may come at once after a stall.
const MOST_AT_ONCE: f64 = 0.1;
const KEYS: u64 = 1000;
const CHANNEL: usize = 64 << 10;
const MARK_EVERY: u64 = 5;
const REPORT_EVERY: Duration = Duration::from_millis(200);
/// Failures told in full, for each run.
const MAX_TOLD: u32 = 20;
