//! The summary of a run, from nothing but the producer's own [`Stats`].

use std::{fmt::Write, time::Duration};

use kafka_producer::Stats;

use super::{bytes, count, duration, explanation, percent, rate};

/// What was done, in a few lines.
pub(crate) fn summary(stats: &Stats, elapsed: Duration) -> String {
    let mut text = String::new();
    let mut line = |name: &str, what: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name:<10}{what}");
    };
    let per_second = rate(stats.delivered, elapsed);
    line(
        "records",
        format!(
            "{} delivered, {} failed, in {} ({} records/s)",
            count(stats.delivered),
            count(stats.failed),
            duration(elapsed),
            count(per_second as u64)
        ),
    );
    let byte_rate = bytes(rate(stats.batch_bytes, elapsed) as u64);
    line("bytes", format!("{} in batches ({byte_rate}/s){}", bytes(stats.batch_bytes), compressed(stats)));
    line(
        "batches",
        format!(
            "{}, {:.1} records each, {} of batch.size full on average",
            count(stats.batches),
            stats.mean_records_per_batch(),
            percent(stats.mean_fill)
        ),
    );
    let reasons = stats.send_reasons.iter().filter(|(_, times)| *times > 0);
    let reasons: Vec<String> =
        reasons.map(|(reason, times)| format!("{} {}", count(times), explanation(reason).0)).collect();
    if !reasons.is_empty() {
        line("  left", reasons.join(", "));
    }
    line(
        "requests",
        format!(
            "{}, {:.1} batches each{}",
            count(stats.requests),
            stats.mean_batches_per_request(),
            troubles(stats)
        ),
    );
    let latency = &stats.delivery_latency;
    if latency.count() > 0 {
        line(
            "delivery",
            format!(
                "p50 {}, p99 {}, max {}, from a batch's first record to its acknowledgement",
                duration(latency.quantile(0.5)),
                duration(latency.quantile(0.99)),
                duration(latency.max())
            ),
        );
    }
    text
}

fn compressed(stats: &Stats) -> String {
    if stats.sealed_bytes < stats.batch_bytes && stats.sealed_bytes > 0 {
        format!(", {} sent: compressed to {}", bytes(stats.sealed_bytes), percent(stats.compression_ratio()))
    } else {
        String::new()
    }
}

fn troubles(stats: &Stats) -> String {
    let mut text = String::new();
    if stats.retries > 0 {
        let _ = write!(text, ", {} batches sent again", count(stats.retries));
    }
    if stats.splits > 0 {
        let _ = write!(text, ", {} batches split", count(stats.splits));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_run_divides_nothing_by_zero() {
        let text = summary(&Stats::default(), Duration::ZERO);
        assert!(text.contains("0 delivered, 0 failed"), "{text}");
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        assert!(!text.contains("p50"), "{text}");
    }
}
