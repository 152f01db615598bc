//! `linger consume`: records read back, for checks.

mod format;

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use kafka_wire::PartitionId;

use self::format::Format;
use crate::cluster::{self, EARLIEST, LATEST, Reader};
use crate::output::Output;
use crate::settings::Options;
use crate::{Ending, clock};

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
    #[arg(long, value_name = "NUMBER")]
    partition: Vec<i32>,

    /// Where to begin: `beginning`, `end` or an offset
    #[arg(long, default_value = "beginning", value_name = "WHERE", value_parser = place)]
    from: Place,

    /// Where to stop: `end`, or the offset behind the last one wanted
    #[arg(long, default_value = "end", value_name = "WHERE", value_parser = place, conflicts_with = "follow")]
    to: Place,

    /// Do not stop at the end: wait for more, until Ctrl-C
    #[arg(long, short)]
    follow: bool,

    /// How a record is printed: %s value, %k key, %h headers, %t topic, %p partition, %o offset, %T timestamp,
    /// %% a percent sign, \n and \t; as with kcat
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
    pub(crate) async fn run(self) -> Result<Ending> {
        tokio::select! {
            result = self.read() => result.map(|()| Ending::Success),
            // The buffer is written out when the reading future is dropped.
            () = clock::interrupted() => Ok(Ending::Interrupted),
        }
    }

    async fn read(&self) -> Result<()> {
        let (_, settings) = self.options.config()?;
        let client = cluster::connect(&settings, false).await?;
        let view = client.topic(&self.topic).await?;
        let count = i32::try_from(view.partitions.len()).unwrap_or(i32::MAX);
        if let Some(wrong) = self.partition.iter().find(|partition| !(0..count).contains(*partition)) {
            let partitions = cluster::partitions(view.partitions.len());
            bail!("topic {} has {partitions}, not {wrong}", self.topic);
        }
        let partitions =
            if self.partition.is_empty() { (0..count).collect() } else { self.partition.clone() };
        let mut readers = Vec::new();
        for &partition in &partitions {
            // Asked for now, so that a leader that is missing is told before anything is printed.
            client.leader(&self.topic, PartitionId(partition)).await?;
            let from = offset(&client, &self.topic, partition, self.from).await?;
            let end = offset(&client, &self.topic, partition, Place::End).await?;
            let to = offset(&client, &self.topic, partition, self.to).await?.min(end);
            readers.push((Reader::new(&client, &view, partition, from), to));
        }
        let mut output = Output::new();
        if self.follow {
            self.follow(readers, &mut output).await
        } else {
            self.read_to_end(readers, &mut output).await
        }
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

async fn offset(client: &kafka_net::Client, topic: &str, partition: i32, place: Place) -> Result<i64> {
    match place {
        Place::Beginning => cluster::offset(client, topic, partition, EARLIEST).await,
        Place::End => cluster::offset(client, topic, partition, LATEST).await,
        Place::Offset(offset) => Ok(offset),
    }
}

/// So many answers without a record, and none will come.
const MAX_EMPTY: u32 = 20;
/// How long a broker may wait for records before it answers that there are none.
const FETCH_WAIT: Duration = Duration::from_millis(500);
