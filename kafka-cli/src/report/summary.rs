//! What a producer did, from its statistics alone.

use std::fmt::Write;
use std::time::Duration;

use kafka_producer::{Settings, Stats};

use super::number::{bytes, count, counted, percent, rate, time};

/// A few lines on records, batches, requests and latency.
///
/// `size` is the bytes of keys and values of those that were accepted; `refused` is the number of the others.
pub(crate) fn summary(stats: &Stats, settings: &Settings, size: u64, refused: u64, took: Duration) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {name:<14}{value}");
    };
    let speed = format!("{} records/s, {}/s", count(rate(stats.records, took)), bytes(rate(size, took)));
    let failed = count(stats.failed + refused);
    let unsent = match (stats.failed, refused) {
        (_, 0) => String::new(),
        (0, 1) => ", which was never sent".to_owned(),
        (0, _) => ", which were never sent".to_owned(),
        (_, refused) => format!(", {} of which never sent", count(refused)),
    };
    if stats.records == 0 {
        line("records", format!("none, in {}", time(took)));
        if refused > 0 {
            line("delivered", format!("0, failed {failed}{unsent}"));
        }
        return text;
    }
    line("records", format!("{}, {}, in {}: {speed}", count(stats.records), bytes(size), time(took)));
    line("delivered", format!("{}, failed {failed}{unsent}", count(stats.delivered)));
    if stats.losses > 0 {
        let times = counted(stats.losses, "time");
        line(
            "losses",
            format!("{times} a leader lacked records that had been acknowledged: brokers lost them"),
        );
        LOSSES.iter().for_each(|text| line("", (*text).to_owned()));
    }
    let size = count(settings.batch_size as u64);
    let fill = match settings.batch_size {
        0 => "one for each record".to_owned(),
        _ => format!("{} full on average", percent(stats.mean_fill)),
    };
    line(
        "batches",
        format!(
            "{}, {fill} (batch.size {size}), {:.1} records each",
            count(stats.batches),
            stats.mean_records_per_batch()
        ),
    );
    line("left because", reasons(stats));
    let again = match stats.retries {
        0 => String::new(),
        retries => format!("; {} sent again", counted(retries, "batch")),
    };
    line(
        "requests",
        format!("{}, {:.1} batches each{again}", count(stats.requests), stats.mean_batches_per_request()),
    );
    if settings.compression.name() != "none" {
        let ratio = percent(stats.compression_ratio());
        let (before, after) = (bytes(stats.batch_bytes), bytes(stats.sealed_bytes));
        line("compression", format!("{}, {before} to {after}, {ratio}", settings.compression));
    }
    let latency = &stats.delivery_latency;
    if latency.count() > 0 {
        let [p50, p99] = [0.5, 0.99].map(|part| time(latency.quantile(part)));
        let max = time(latency.max());
        line(
            "latency",
            format!("p50 {p50}, p99 {p99}, max {max}, from a batch's first record to its acknowledgement"),
        );
    }
    text
}

/// What to do where brokers lose records.
const LOSSES: [&str; 2] = [
    "Compare the topic with what was sent, and send again what is missing; not every loss shows here. Against it:",
    "unclean.leader.election.enable=false, min.insync.replicas=2 and a replication factor of 3 for the topic",
];

/// `full 12, linger 3`.
pub(crate) fn reasons(stats: &Stats) -> String {
    let reasons = stats.send_reasons.iter().filter(|(_, count)| *count > 0);
    let reasons: Vec<String> =
        reasons.map(|(reason, number)| format!("{reason} {}", count(number))).collect();
    if reasons.is_empty() { "none left".to_owned() } else { reasons.join(", ") }
}
