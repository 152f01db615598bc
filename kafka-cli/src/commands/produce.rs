//! `linger produce`: a record for each line of a file.

mod line;
mod progress;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use kafka_producer::{Delivery, Header, Producer, Record, SendError, Topic};

use self::line::{Layout, Parsed};
use self::progress::Progress;
use crate::input::{Piece, Pieces, Source};
use crate::report::failures::Failures;
use crate::report::number::{bytes, count};
use crate::report::summary::summary;
use crate::settings::Options;
use crate::{Ending, clock, cluster, report};

/// Send a file or standard input to a topic, a record for each line
///
/// Lines are bytes: any encoding will do. The line end is not part of the record. At the end, or after Ctrl-C, what was
/// read is delivered, and a summary on standard error tells what became of it. The exit code is 0 if every record was
/// acknowledged.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Produce {
    /// The file; `-` is standard input
    #[arg(default_value = "-")]
    file: PathBuf,

    #[command(flatten)]
    options: Options,

    /// The topic
    #[arg(long, value_name = "NAME")]
    topic: String,

    /// What stands between key and value on each line; a line without it has no key
    #[arg(long, value_name = "TEXT")]
    key_separator: Option<String>,

    /// A header for each record, as in `--header source=linger`; can be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = header)]
    header: Vec<(String, String)>,

    /// The text that means null: as a value it makes a tombstone, which deletes the key where a topic is compacted
    #[arg(long, value_name = "TEXT")]
    null_value: Option<String>,

    /// The partition; by default the key decides, and records without one are spread
    #[arg(long, value_name = "NUMBER")]
    partition: Option<i32>,
}

const EXAMPLES: &str = "\
Examples:
  linger produce access.log -b localhost:9092 --topic access
  seq 1000000 | linger produce -b localhost:9092 --topic numbers -X linger.ms=50 -X compression.type=zstd
  printf 'ann:1\\nbob:2\\n' | linger produce -b localhost:9092 --topic people --key-separator :";

fn header(text: &str) -> Result<(String, String), String> {
    let split = text.split_once('=').filter(|(name, _)| !name.is_empty());
    split
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "expected NAME=VALUE".to_owned())
}

impl Produce {
    pub(crate) async fn run(self) -> Result<Ending> {
        let (config, settings) = self.options.config()?;
        let source = Source::open(&self.file)?;
        let mut interrupted = pin!(clock::interrupted());
        tokio::select! {
            checked = self.check_cluster(&settings) => checked?,
            () = &mut interrupted => return Ok(Ending::Interrupted),
        }
        let producer = config.connect().await?;
        let topic = tokio::select! {
            topic = producer.topic(&self.topic) => topic?,
            () = &mut interrupted => return Ok(Ending::Interrupted),
        };
        let headers: Vec<Header<'_>> = self
            .header
            .iter()
            .map(|(name, value)| Header { key: name, value: Some(value.as_bytes()) })
            .collect();

        let name = source.name.clone();
        let progress = Progress::new(source.size);
        let started = clock::now();
        // A line may be as long as a record at all; what is too long with its key and header is found when it is sent.
        let pieces = source.pieces(settings.max_request_size);
        let mut run = Run {
            topic: &topic,
            producer: &producer,
            layout: Layout::new(self.key_separator.as_deref(), self.null_value.as_deref()),
            headers: &headers,
            partition: self.partition,
            max_request_size: settings.max_request_size,
            window: VecDeque::new(),
            failures: Failures::default(),
            size: 0,
            lines: 0,
        };
        let ended = tokio::select! {
            ended = run.send_all(&name, pieces, &progress) => Some(ended),
            () = &mut interrupted => None,
        };
        progress.finish();
        let again = clock::interrupted();
        if ended.is_none() {
            report::warn("interrupted: delivering what was read so far; Ctrl-C again gives up");
        }
        run.deliver_rest(again).await;
        let took = clock::now().duration_since(started);
        let (size, failures) = (run.size, run.failures);
        report::say(&format!("{} to topic {} of {}", name, self.topic, settings_servers(&settings)));
        report::say(summary(&producer.stats(), &settings, size, took).trim_end());
        // Everything is resolved: this only hangs up.
        let _ = producer.close(CLOSE_TIMEOUT).await;
        if let Some(complaint) = failures.report() {
            report::complain(&complaint);
        }
        match ended {
            Some(Err(error)) => Err(error),
            None => Ok(Ending::Interrupted),
            Some(Ok(())) if failures.count() > 0 => Ok(Ending::Failure),
            Some(Ok(())) => Ok(Ending::Success),
        }
    }

    /// Whether the cluster and the topic are there: told sooner than a producer would, which hopes for longer.
    async fn check_cluster(&self, settings: &kafka_producer::Settings) -> Result<()> {
        let client = cluster::connect(settings, true).await?;
        let view = cluster::reach_topic(&client, &self.topic).await?;
        let count = view.partitions.len();
        match self.partition {
            Some(partition) if !usize::try_from(partition).is_ok_and(|partition| partition < count) => {
                bail!("topic {} has {}, not {partition}", self.topic, cluster::partitions(count))
            }
            _ => Ok(()),
        }
    }
}

fn settings_servers(settings: &kafka_producer::Settings) -> String {
    settings.bootstrap_servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// An input on its way.
struct Run<'a> {
    topic: &'a Topic,
    producer: &'a Producer,
    layout: Layout<'a>,
    headers: &'a [Header<'a>],
    partition: Option<i32>,
    max_request_size: usize,
    /// Accepted records without an answer yet, with their lines, in order.
    window: VecDeque<(Delivery, u64)>,
    failures: Failures,
    /// Bytes of keys and values.
    size: u64,
    /// Lines dealt with.
    lines: u64,
}

impl Run<'_> {
    /// Sends everything; dropped at any moment, it leaves the numbers right.
    async fn send_all(&mut self, name: &str, mut pieces: Pieces, progress: &Progress) -> Result<()> {
        while let Some(piece) = pieces.next().await {
            let piece = piece.with_context(|| match self.lines {
                0 => format!("cannot read {name}"),
                lines => format!("cannot read {name} beyond line {lines}; the lines up to that were sent"),
            })?;
            match piece {
                Piece::TooLong { line, len } => {
                    let limit = count(self.max_request_size as u64);
                    let text = format!("it has {}, and max.request.size is {limit}", bytes(len));
                    self.failures.refused(line, &text);
                    self.lines = line;
                    progress.advance(len);
                }
                Piece::Lines { first, bytes } => {
                    for (line, number) in bytes.split_inclusive(|&byte| byte == b'\n').zip(first..) {
                        self.send(line.strip_suffix(b"\n").unwrap_or(line), number).await?;
                    }
                    progress.advance(bytes.len() as u64);
                    progress.show(self.producer);
                }
            }
        }
        Ok(())
    }

    async fn send(&mut self, line: &[u8], number: u64) -> Result<()> {
        let Parsed { key, value } = self.layout.parse(line);
        let mut record = Record::to(self.topic).headers(self.headers);
        if let Some(key) = key {
            record = record.key(key);
        }
        if let Some(value) = value {
            record = record.value(value);
        }
        if let Some(partition) = self.partition {
            record = record.partition(partition);
        }
        match self.producer.send(record).await {
            Ok(delivery) => self.window.push_back((delivery, number)),
            Err(error) if error.is_too_large() => self.failures.refused(number, &error.to_string()),
            // Nothing that follows would fare better.
            Err(error) => return Err(stopped(error, number)),
        }
        self.lines = number;
        self.size += (key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len)) as u64;
        if number.is_multiple_of(SETTLE_EVERY) {
            self.settle();
        }
        while self.window.len() > MAX_WINDOW {
            let Some((delivery, line)) = self.window.front_mut() else { break };
            let result = delivery.await;
            let line = *line;
            self.window.pop_front();
            result.err().iter().for_each(|error| self.failures.delivery(line, error));
        }
        Ok(())
    }

    /// Takes the answers that are there.
    fn settle(&mut self) {
        while let Some(result) = self.window.front().and_then(|(delivery, _)| delivery.peek()) {
            let line = self.window.pop_front().map_or(0, |(_, line)| line);
            result.err().iter().for_each(|error| self.failures.delivery(line, error));
        }
    }

    /// Waits for the rest of the answers; with Ctrl-C, gives up what has none.
    async fn deliver_rest(&mut self, interrupted: impl Future<Output = ()>) {
        tokio::select! {
            _ = self.producer.flush() => {}
            () = interrupted => {
                let _ = self.producer.close(Duration::ZERO).await;
            }
        }
        while let Some((delivery, line)) = self.window.pop_front() {
            if let Err(error) = delivery.await {
                self.failures.delivery(line, &error);
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the error ends here")]
fn stopped(error: SendError, line: u64) -> anyhow::Error {
    anyhow!("stopped at line {line}, which was not sent: {error}")
}

/// Deliveries that are kept at most: what the oldest needs is waited for then.
const MAX_WINDOW: usize = 256 << 10;
/// How many lines go by before answers are looked at.
const SETTLE_EVERY: u64 = 256;
/// To hang up takes no time.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
