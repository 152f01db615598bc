//! What the demo prints.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

use anyhow::{Context, Result};
use kafka_producer::Stats;

use super::{Partition, Run};
use crate::report::{Align, Table, bytes, count, duration, explanation, percent};

/// Prints what happened, for somebody who sees a producer for the first time.
pub(super) fn tell(run: &Run) -> Result<()> {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, run);
    io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")
}

fn write(text: &mut String, run: &Run) -> std::fmt::Result {
    let brokers: Vec<String> = run.brokers.iter().map(|(id, address)| format!("{id} at {address}")).collect();
    writeln!(
        text,
        "No Kafka at hand, so here is one: three brokers in this process ({}).\n",
        brokers.join(", ")
    )?;
    writeln!(
        text,
        "  sent     {} records, {}: this project's README, orders with keys, clicks with headers",
        count(run.records as u64),
        bytes(run.payload)
    )?;
    writeln!(
        text,
        "  acked    each of them, by its leader, with a place in the log; all of it took {}",
        duration(run.sending)
    )?;
    writeln!(
        text,
        "  read     back over the network in {} and compared: every record once, where its\n           \
         delivery said, the same to the byte, and in the order in which it was sent\n",
        duration(run.reading)
    )?;
    partitions(text, &run.partitions)?;
    reasons(text, &run.stats)?;
    requests(text, &run.stats)?;
    settings(text)?;
    next(text)
}

fn partitions(text: &mut String, partitions: &[Partition]) -> std::fmt::Result {
    writeln!(
        text,
        "WHAT BECAME OF THE RECORDS\nA topic is split into partitions, each led by one broker. The producer keeps one open batch for \
         each\npartition; records with a key always go to that key's partition, others fill one batch after the other.\n"
    )?;
    let mut table = Table::new([
        ("partition", Align::Left),
        ("leader", Align::Left),
        ("records", Align::Right),
        ("batches", Align::Right),
        ("records/batch", Align::Right),
        ("mean fill", Align::Right),
        ("", Align::Left),
    ]);
    for partition in partitions {
        let records: usize = partition.batches.iter().map(|(_, records)| records).sum();
        let size: usize = partition.batches.iter().map(|(size, _)| size).sum();
        let batches = partition.batches.len();
        let fill = size as f64 / (batches.max(1) * BATCH_SIZE) as f64;
        table.row([
            format!("{}-{}", partition.topic, partition.index),
            format!("broker {}", partition.leader),
            count(records as u64),
            count(batches as u64),
            format!("{:.1}", records as f64 / batches.max(1) as f64),
            percent(fill),
            bar(fill),
        ]);
    }
    writeln!(text, "{table}")
}

/// A mean fill as something to look at.
fn bar(fill: f64) -> String {
    "#".repeat((fill.clamp(0.0, 1.0) * BAR).round() as usize)
}

fn reasons(text: &mut String, stats: &Stats) -> std::fmt::Result {
    writeln!(text, "WHY THE {} BATCHES LEFT\n", count(stats.batches))?;
    let mut table =
        Table::new([("reason", Align::Left), ("batches", Align::Right), ("which means", Align::Left)]);
    for (reason, times) in stats.send_reasons.iter().filter(|(_, times)| *times > 0) {
        let (name, means) = explanation(reason);
        table.row([name.to_owned(), count(times), means.to_owned()]);
    }
    writeln!(text, "{table}")
}

fn requests(text: &mut String, stats: &Stats) -> std::fmt::Result {
    let latency = &stats.delivery_latency;
    writeln!(
        text,
        "HOW THEY TRAVELLED\n\n  {} requests with {:.1} batches each: a request takes the ready batches of all partitions that\n  \
         its broker leads, one each, up to max.request.size. From a batch's first record to its\n  acknowledgement: p50 {}, \
         p99 {}, at most {}.\n",
        count(stats.requests),
        stats.mean_batches_per_request(),
        duration(latency.quantile(0.5)),
        duration(latency.quantile(0.99)),
        duration(latency.max()),
    )
}

fn settings(text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "THE THREE SETTINGS\n\n  \
         batch.size        16 KiB  how many bytes one batch of one partition may have. Reached: it leaves as full.\n  \
         linger.ms          5 ms   how long a batch that is not full waits for more, from its first record on.\n  \
         max.request.size   1 MiB  how many bytes of batches one request may carry; also the largest record.\n"
    )
}

fn next(text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "NEXT\n\n  \
         linger mock --topic orders:6                    brokers like these on fixed ports, for any client\n  \
         linger produce README.md --topic orders -b ADDRESS    a line a record, to any Kafka\n  \
         linger consume --topic orders -b ADDRESS        and back"
    )
}

/// The default, with which the demo runs.
const BATCH_SIZE: usize = 16_384;

/// Width of a full bar.
const BAR: f64 = 20.0;
