//! `linger consume`: records read back, for checks.

mod format;

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use kafka_wire::PartitionId;

use self::format::Format;
use crate::cluster::{self, EARLIEST, Isolation, LATEST, Reader};
use crate::output::{Closed, Output};
use crate::settings::Options;
use crate::signals::Signals;
use crate::{Ending, report};

/// Read records back: a simple consumer, for checks
///
/// Reads each partition from its beginning to the end it had when the command began, one partition after the other.
/// There is no group, and nothing is committed.
#[derive(Debug, Args)]
pub(crate) struct Consume {
    #[command(flatten)]
    options: Options,

    /// The topic
    #[arg(long, value_name = "NAME")]
    topic: String,

    /// Only this partition; can be repeated
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    partition: Vec<i32>,

    /// Where to begin: `beginning`, `end` or an offset
    #[arg(long, default_value = "beginning", value_name = "WHERE", value_parser = place, allow_negative_numbers = true)]
    from: Place,

    /// Where to stop: `end`, or the offset behind the last one wanted
    #[arg(long, default_value = "end", value_name = "WHERE", value_parser = place, allow_negative_numbers = true, conflicts_with = "follow")]
    to: Place,

    /// Whether to read records of transactions that were aborted or are not decided yet, too
    #[arg(long, default_value = "read_committed", value_name = "LEVEL")]
    isolation: Isolation,

    /// Do not stop at the end: wait for more, until Ctrl-C
    #[arg(long, short)]
    follow: bool,

    /// How a record is printed: %s value, %k key, %h headers, %t topic, %p partition, %o offset, %T timestamp,
    /// %% a percent sign, \n, \t, \x1f and the like; as with kcat
    #[arg(long, default_value = r"%s\n", value_parser = str::parse::<Format>)]
    format: Format,

    /// What stands for a key or value that is null
    #[arg(long, default_value = "", value_name = "TEXT")]
    null_value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Beginning,
    End,
    Offset(i64),
}

fn place(text: &str) -> Result<Place, String> {
    match (text, text.parse()) {
        ("beginning" | "earliest", _) => Ok(Place::Beginning),
        ("end" | "latest", _) => Ok(Place::End),
        (_, Ok(offset)) if offset >= 0 => Ok(Place::Offset(offset)),
        _ => Err("expected beginning, end or an offset".to_owned()),
    }
}

impl Consume {
    pub(crate) async fn run(self, signals: &mut Signals) -> Result<Ending> {
        // What is stuck in a write to a pipe that nobody reads loses nothing.
        signals.end_within(STUCK);
        tokio::select! {
            result = self.read() => match result {
                // Whoever reads has enough: `head`, for one.
                Err(error) if error.is::<Closed>() => Ok(Ending::Success),
                result => result.map(|()| Ending::Success),
            },
            // The buffer is written out when the reading future is dropped.
            caught = signals.recv() => Ok(Ending::Signal(caught)),
        }
    }

    async fn read(&self) -> Result<()> {
        match (self.from, self.to) {
            (Place::Offset(from), Place::Offset(to)) if to < from => {
                bail!("--to {to} lies before --from {from}: nothing is between them");
            }
            _ => {}
        }
        let (_, settings) = self.options.config()?;
        let client = cluster::connect(&settings, false).await?;
        let view = client.topic(&self.topic).await?;
        let count = i32::try_from(view.partitions.len()).unwrap_or(i32::MAX);
        if let Some(wrong) = self.partition.iter().find(|partition| !(0..count).contains(*partition)) {
            let partitions = cluster::partitions(view.partitions.len());
            bail!("topic {} has {partitions}, not {wrong}", self.topic);
        }
        // Each once, in the order in which they are named.
        let mut partitions: Vec<i32> = Vec::new();
        for &partition in &self.partition {
            if !partitions.contains(&partition) {
                partitions.push(partition);
            }
        }
        if partitions.is_empty() {
            partitions.extend(0..count);
        }
        let mut readers = Vec::new();
        for &partition in &partitions {
            // Asked for now, so that a leader that is missing is told before anything is printed.
            client.leader(&self.topic, PartitionId(partition)).await?;
            let end = cluster::offset(&client, &self.topic, partition, LATEST, self.isolation).await?;
            let from = match self.from {
                Place::Beginning => {
                    cluster::offset(&client, &self.topic, partition, EARLIEST, self.isolation).await?
                }
                Place::End => end,
                Place::Offset(offset) => offset,
            };
            let to = if let Place::Offset(offset) = self.to { offset } else { end };
            self.check_range(partition, from, to, end)?;
            readers.push((Reader::new(&client, &view, partition, from, self.isolation), to.min(end)));
        }
        let mut output = Output::new();
        if self.follow {
            self.follow(readers, &mut output).await
        } else {
            self.read_to_end(readers, &mut output).await
        }
    }

    /// Tells of offsets beyond the end. They may be those of another partition, so that nothing has failed; but to wait for
    /// an offset that is not there yet is nothing that a broker does.
    fn check_range(&self, partition: i32, from: i64, to: i64, end: i64) -> Result<()> {
        let topic = &self.topic;
        let beyond = |option: &str, offset: i64| {
            format!("{topic}-{partition} ends at offset {end}, and {option} {offset} lies beyond it")
        };
        if from > end {
            let text = beyond("--from", from);
            if self.follow {
                bail!("{text}: use --from end for what comes next");
            }
            report::warn(&format!("{text}: nothing is read from it"));
        } else if to > end {
            report::warn(&beyond("--to", to));
        }
        Ok(())
    }

    async fn read_to_end(&self, readers: Vec<(Reader, i64)>, output: &mut Output) -> Result<()> {
        for (mut reader, end) in readers {
            let mut empty = 0;
            while reader.offset < end {
                let before = reader.offset;
                for found in reader.fetch(FETCH_WAIT).await?.iter().filter(|found| found.offset < end) {
                    self.format.print(&self.topic, found, self.null_value.as_bytes(), output)?;
                }
                empty = if reader.offset == before { empty + 1 } else { 0 };
                if empty == MAX_EMPTY {
                    let (topic, partition) = (&self.topic, reader.partition);
                    bail!(
                        "{topic}-{partition} ends at offset {end}, and nothing comes from offset {before} on"
                    );
                }
            }
        }
        output.flush()
    }

    async fn follow(&self, mut readers: Vec<(Reader, i64)>, output: &mut Output) -> Result<()> {
        // One partition is asked after the other: each may wait only its part.
        let wait = FETCH_WAIT / u32::try_from(readers.len().max(1)).unwrap_or(u32::MAX);
        loop {
            for (reader, _) in &mut readers {
                for found in reader.fetch(wait).await? {
                    self.format.print(&self.topic, &found, self.null_value.as_bytes(), output)?;
                }
            }
            output.flush()?;
        }
    }
}

/// How long a consumer may be stuck when a signal came.
const STUCK: Duration = Duration::from_secs(1);
/// So many answers without a record, and none will come.
const MAX_EMPTY: u32 = 20;
/// How long a broker may wait for records before it answers that there are none.
const FETCH_WAIT: Duration = Duration::from_millis(500);
