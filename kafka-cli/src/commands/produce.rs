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
use crate::escape::unescape;
use crate::input::{Piece, Pieces, Source};
use crate::report::failures::Failures;
use crate::report::number::{bytes, count, counted};
use crate::report::summary::summary;
use crate::settings::Options;
use crate::signals::{Caught, Signals};
use crate::{Ending, clock, cluster, report};

/// Send a file or standard input to a topic, a record for each line
///
/// Lines are bytes: any encoding will do. A line ends in \n, which is not part of the record; a \r before it is, and so is a
/// byte order mark. At the end, or after Ctrl-C, SIGTERM or SIGHUP, what was read is delivered, and a summary on standard
/// error tells what became of it; a second signal gives up what has no answer yet. The exit code is 0 if every record was
/// acknowledged, and 128 and the signal's number if there was one.
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

    /// What stands between key and value on each line, in which \t, \x1f and the like are understood; a line without it
    /// has no key
    #[arg(long, value_name = "TEXT", value_parser = separator)]
    key_separator: Option<Separator>,

    /// A header for each record, as in `--header source=linger`; can be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = header)]
    header: Vec<(String, String)>,

    /// The text that means null: as a value it makes a tombstone, which deletes the key where a topic is compacted
    #[arg(long, value_name = "TEXT")]
    null_value: Option<String>,

    /// The partition; by default the key decides, and records without one are spread
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    partition: Option<i32>,
}

const EXAMPLES: &str = "\
Examples:
  linger produce access.log -b localhost:9092 --topic access
  seq 1000000 | linger produce -b localhost:9092 --topic numbers -X linger.ms=50 -X compression.type=zstd
  printf 'ann:1\\nbob:2\\n' | linger produce -b localhost:9092 --topic people --key-separator :";

/// A separator as it was written, and its bytes.
#[derive(Debug, Clone)]
struct Separator {
    text: String,
    bytes: Vec<u8>,
}

fn separator(text: &str) -> Result<Separator, String> {
    match unescape(text)? {
        bytes if bytes.is_empty() => Err("it is empty, and so stands everywhere".to_owned()),
        bytes => Ok(Separator { text: text.to_owned(), bytes }),
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let split = text.split_once('=').filter(|(name, _)| !name.is_empty());
    split
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "expected NAME=VALUE".to_owned())
}

impl Produce {
    pub(crate) async fn run(self, signals: &mut Signals) -> Result<Ending> {
        let (config, settings) = self.options.config()?;
        let source = Source::open(&self.file)?;
        tokio::select! {
            checked = self.check_cluster(&settings) => checked?,
            caught = signals.recv() => return Ok(Ending::Signal(caught)),
        }
        let producer = config.connect().await?;
        let topic = tokio::select! {
            topic = producer.topic(&self.topic) => topic?,
            caught = signals.recv() => return Ok(Ending::Signal(caught)),
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
        let separator = self.key_separator.as_ref().map(|separator| &separator.bytes[..]);
        let mut run = Run {
            topic: &topic,
            producer: &producer,
            layout: Layout::new(separator, self.null_value.as_deref()),
            headers: &headers,
            partition: self.partition,
            max_request_size: settings.max_request_size,
            window: VecDeque::new(),
            failures: Failures::default(),
            size: 0,
            lines: 0,
            unparted: 0,
            first_unparted: 0,
        };
        signals.take_two();
        let (ended, caught) = run.run(&name, pieces, &progress, signals).await;
        let took = clock::now().duration_since(started);
        report::say(&format!("{} to topic {} of {}", name, self.topic, settings_servers(&settings)));
        let refused = run.failures.refused_count();
        report::say(summary(&producer.stats(), &settings, run.size, refused, took).trim_end());
        // Everything is resolved: this only hangs up.
        let _ = producer.close(CLOSE_TIMEOUT).await;
        if let (Some(separator), 1..) = (&self.key_separator, run.unparted) {
            report::warn(&unparted(&separator.text, run.unparted, run.first_unparted));
        }
        if let Some(complaint) = run.failures.report() {
            report::complain(&complaint);
        }
        match (ended, caught) {
            (Err(error), None) => Err(error),
            (Err(error), Some(caught)) => {
                report::complain(&format!("{error:#}"));
                Ok(Ending::Signal(caught))
            }
            (Ok(()), Some(caught)) => Ok(Ending::Signal(caught)),
            (Ok(()), None) if run.failures.count() > 0 => Ok(Ending::Failure),
            (Ok(()), None) => Ok(Ending::Success),
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
    /// Lines without the separator that they should have, and the number of the first.
    unparted: u64,
    first_unparted: u64,
}

impl Run<'_> {
    /// Sends everything and waits for the answers. The first signal ends the reading, and what was read is delivered; the
    /// second one gives up what has no answer. Tells what ended it early, and the first signal.
    async fn run(
        &mut self,
        name: &str,
        pieces: Pieces,
        progress: &Progress,
        signals: &mut Signals,
    ) -> (Result<()>, Option<Caught>) {
        let stop = pieces.stop_handle();
        let mut caught = None;
        let mut sending = Box::pin(self.send_all(name, pieces, progress));
        let ended = loop {
            tokio::select! {
                ended = &mut sending => break Some(ended),
                signal = signals.recv() => {
                    if caught.is_some() {
                        break None;
                    }
                    caught = Some(signal);
                    stop.stop();
                    say_caught(signal);
                }
            }
        };
        drop(sending);
        progress.finish();
        let gives_up = match ended {
            None => true,
            Some(_) => self.flushed(&mut caught, signals).await.is_err(),
        };
        if gives_up {
            let _ = self.producer.close(Duration::ZERO).await;
        }
        self.deliver_rest().await;
        let ended = ended.unwrap_or_else(|| {
            Err(anyhow!("gave up at line {}; what was read beyond was not sent", self.lines))
        });
        (ended, caught)
    }

    /// Waits for all answers; an error is the second signal.
    async fn flushed(&self, caught: &mut Option<Caught>, signals: &mut Signals) -> Result<(), Caught> {
        let mut flush = pin!(self.producer.flush());
        loop {
            tokio::select! {
                _ = &mut flush => return Ok(()),
                signal = signals.recv() => {
                    if caught.is_some() {
                        return Err(signal);
                    }
                    *caught = Some(signal);
                    say_caught(signal);
                }
            }
        }
    }

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
                    if first == 1 {
                        hints(&bytes).iter().for_each(|hint| report::warn(hint));
                    }
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
        let Parsed { key, value, is_unparted } = self.layout.parse(line);
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
            Ok(delivery) => {
                self.window.push_back((delivery, number));
                self.size += (key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len)) as u64;
                if is_unparted {
                    self.unparted += 1;
                    if self.unparted == 1 {
                        self.first_unparted = number;
                    }
                }
            }
            Err(error) if error.is_too_large() => self.failures.refused(number, &error.to_string()),
            // Nothing that follows would fare better.
            Err(error) => return Err(stopped(error, number)),
        }
        self.lines = number;
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

    /// Takes the rest of the answers, which are all there.
    async fn deliver_rest(&mut self) {
        while let Some((delivery, line)) = self.window.pop_front() {
            if let Err(error) = delivery.await {
                self.failures.delivery(line, &error);
            }
        }
    }
}

fn say_caught(signal: Caught) {
    let name = signal.name();
    report::warn(&format!("{name}: delivering what was read so far; a second signal gives up"));
}

/// What the first line says of those that follow, where that is not what people expect.
fn hints(lines: &[u8]) -> Vec<String> {
    let line = lines.split_inclusive(|&byte| byte == b'\n').next().unwrap_or_default();
    let mut hints = Vec::new();
    if line.starts_with(b"\xff\xfe") || line.starts_with(b"\xfe\xff") {
        return vec![
            "line 1 begins like UTF-16: lines are parted at the byte \\n, so that records come out \
                     in pieces; convert it first, as with `iconv -f UTF-16 -t UTF-8`"
                .to_owned(),
        ];
    }
    if line.starts_with(b"\xef\xbb\xbf") {
        hints.push(
            "line 1 begins with a byte order mark, which is part of the record; `sed '1s/^\\xef\\xbb\\xbf//'` \
             takes it away"
                .to_owned(),
        );
    }
    if line.ends_with(b"\r\n") {
        hints.push(
            "line 1 ends in \\r\\n: the \\r is part of the record, and so it will be with lines like it; \
             `tr -d '\\r'` takes it away"
                .to_owned(),
        );
    }
    hints
}

fn unparted(separator: &str, lines: u64, first: u64) -> String {
    match lines {
        1 => format!("line {first}, without \"{separator}\", was sent without a key"),
        lines => format!(
            "{} without \"{separator}\" were sent without a key, line {first} the first",
            counted(lines, "line")
        ),
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
