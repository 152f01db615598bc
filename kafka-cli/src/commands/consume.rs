//! `linger consume`: reads a topic back.

use std::{
    io::{self, Write},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use kafka_net::{Client, ClientConfig};
use tokio::{sync::mpsc, task::JoinSet};

use crate::read::{self, End, PartitionReader, Row};

/// What to read, and how to print it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints the records of one partition after the other, each value on a line, up to where they ended when it began.
With --follow it goes on, and the partitions' records mix.

  linger consume --topic orders
  linger consume --topic orders --partition 3 --from 1000 --max-messages 10 --print offset,key,timestamp")]
pub(crate) struct Args {
    /// Brokers to ask first, as HOST:PORT[,HOST:PORT...].
    #[arg(long, short = 'b', default_value = "localhost:9092", value_name = "ADDRESSES")]
    bootstrap_server: String,
    /// The topic to read.
    #[arg(long, short)]
    topic: String,
    /// Read this partition only.
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Where to begin: `beginning`, `end` (with --follow), or an offset.
    #[arg(long, default_value = "beginning", value_name = "WHERE")]
    from: From,
    /// Stop after so many records.
    #[arg(long, short = 'n', value_name = "N")]
    max_messages: Option<u64>,
    /// Wait for more records instead of stopping at the end.
    #[arg(long, short)]
    follow: bool,
    /// Print more before the value, in the order given.
    #[arg(long, value_delimiter = ',', value_name = "WHAT")]
    print: Vec<Column>,
    /// What stands between the columns.
    #[arg(long, default_value = "\t", value_name = "TEXT")]
    separator: String,
    /// What is printed for null keys, values and header values.
    #[arg(long, default_value = "null", value_name = "TEXT")]
    null: String,
    /// Give up if no broker, topic or leader turns up for so long.
    #[arg(long, default_value_t = 20, value_name = "SECONDS")]
    timeout: u64,
}

/// Where to begin.
#[derive(Debug, Clone, Copy)]
enum From {
    End(End),
    Offset(i64),
}

impl std::str::FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "beginning" => Ok(Self::End(End::Beginning)),
            "end" => Ok(Self::End(End::End)),
            number => match number.parse() {
                Ok(offset) if offset >= 0 => Ok(Self::Offset(offset)),
                _ => Err("it is `beginning`, `end`, or an offset".to_owned()),
            },
        }
    }
}

/// What can be printed before the value.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Column {
    Partition,
    Offset,
    Timestamp,
    Key,
    Headers,
}

/// Reads what was asked for.
pub(crate) async fn run(args: Args) -> Result<()> {
    let mut config = ClientConfig::default();
    config.net.client_id = "linger-consume".to_owned();
    config.max_block = Duration::from_secs(args.timeout);
    let client = Client::connect(&args.bootstrap_server, config).await?;
    let count = i32::try_from(client.topic(&args.topic).await?.partitions.len()).unwrap_or(i32::MAX);
    let partitions = match args.partition {
        Some(partition) if partition >= count => {
            bail!(
                "topic {} has {count} partitions, numbered from 0: there is no partition {partition}",
                args.topic
            )
        }
        Some(partition) => partition..partition + 1,
        None => 0..count,
    };
    let mut printer = Printer::new(&args);
    if args.follow {
        follow(&client, &args, partitions, &mut printer).await?;
    } else {
        for partition in partitions {
            if printer.is_done() {
                break;
            }
            read_to_end(&client, &args, partition, &mut printer).await?;
        }
    }
    printer.flush()
}

async fn begin(client: &Client, args: &Args, partition: i32) -> Result<PartitionReader> {
    let offset = match args.from {
        From::Offset(offset) => offset,
        From::End(end) => read::offset_of(client, &args.topic, partition, end).await?,
    };
    Ok(PartitionReader::new(client.clone(), &args.topic, partition, offset))
}

async fn read_to_end(client: &Client, args: &Args, partition: i32, printer: &mut Printer<'_>) -> Result<()> {
    let end = read::offset_of(client, &args.topic, partition, End::End).await?;
    let mut reader = begin(client, args, partition).await?;
    while reader.position() < end && !printer.is_done() {
        for batch in reader.fetch(WAIT).await? {
            for row in batch.rows.iter().filter(|row| row.offset < end) {
                printer.print(row)?;
            }
        }
    }
    Ok(())
}

/// Reads all partitions side by side, until it has enough or the program ends.
async fn follow(
    client: &Client,
    args: &Args,
    partitions: std::ops::Range<i32>,
    printer: &mut Printer<'_>,
) -> Result<()> {
    let (tx, mut rx) = mpsc::channel(WAITING_BATCHES);
    let mut tasks = JoinSet::new();
    for partition in partitions {
        let mut reader = begin(client, args, partition).await?;
        let tx = tx.clone();
        tasks.spawn(async move {
            loop {
                match reader.fetch(WAIT).await {
                    Ok(batches) => {
                        for batch in batches {
                            if tx.send(Ok(batch.rows)).await.is_err() {
                                return;
                            }
                        }
                    }
                    Err(error) => {
                        // Nobody listens any more: the program is ending.
                        let _ = tx.send(Err(error)).await;
                        return;
                    }
                }
            }
        });
    }
    drop(tx);
    while !printer.is_done() {
        let Some(rows) = rx.recv().await else { break };
        for row in &rows? {
            printer.print(row)?;
        }
        if rx.is_empty() {
            printer.flush()?;
        }
    }
    tasks.shutdown().await;
    Ok(())
}

/// Standard output, and what still may be printed there.
struct Printer<'a> {
    args: &'a Args,
    out: io::BufWriter<io::Stdout>,
    left: Option<u64>,
}

impl<'a> Printer<'a> {
    fn new(args: &'a Args) -> Self {
        Self { args, out: io::BufWriter::with_capacity(1 << 16, io::stdout()), left: args.max_messages }
    }

    fn is_done(&self) -> bool {
        self.left == Some(0)
    }

    fn print(&mut self, row: &Row) -> Result<()> {
        if self.is_done() {
            return Ok(());
        }
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        self.write(row).context(STDOUT)
    }

    fn flush(&mut self) -> Result<()> {
        self.out.flush().context(STDOUT)
    }

    fn write(&mut self, row: &Row) -> io::Result<()> {
        let (args, out) = (self.args, &mut self.out);
        let null = args.null.as_bytes();
        let record = &row.record;
        for column in &args.print {
            match column {
                Column::Partition => write!(out, "{}", row.partition)?,
                Column::Offset => write!(out, "{}", row.offset)?,
                Column::Timestamp => write!(out, "{}", record.timestamp)?,
                Column::Key => out.write_all(record.key.as_deref().unwrap_or(null))?,
                Column::Headers => {
                    for (at, header) in record.headers.iter().enumerate() {
                        let comma = if at == 0 { "" } else { "," };
                        write!(out, "{comma}{}=", header.key())?;
                        out.write_all(header.value().map_or(null, |value| value))?;
                    }
                }
            }
            out.write_all(args.separator.as_bytes())?;
        }
        out.write_all(record.value.as_deref().unwrap_or(null))?;
        out.write_all(b"\n")
    }
}

/// How long a broker may wait for records before it answers that there are none.
const WAIT: Duration = Duration::from_millis(500);

/// Batches that were read and are not printed yet.
const WAITING_BATCHES: usize = 16;

const STDOUT: &str = "cannot write to standard output";
