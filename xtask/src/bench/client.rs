//! Running a client to its end, and what that cost.

use std::path::Path;
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::clock::{Cpu, children_cpu};
use crate::shell;

/// What a client is to send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Number of records.
    pub(crate) records: u64,
    /// Bytes of each value.
    pub(crate) size: usize,
    /// Whether each has a key of 16 bytes.
    pub(crate) key: bool,
    /// Records handed over by one call.
    pub(crate) run: usize,
    /// How long a batch may wait to fill.
    pub(crate) linger: Duration,
    /// Deliveries that may be out before the next one is awaited.
    pub(crate) window: usize,
}

impl Load {
    /// The arguments of our clients (`xtask/programs/arguments.rs`).
    pub(crate) fn add_to(self, command: &mut Command, bootstrap: &str) {
        command.args(["--bootstrap", bootstrap]);
        command.args(["--records", &self.records.to_string(), "--size", &self.size.to_string()]);
        command.args(["--key", &self.key.to_string(), "--run", &self.run.to_string()]);
        command.args(["--linger-ms", &self.linger.as_millis().to_string()]);
        command.args(["--window", &self.window.to_string()]);
    }
}

/// What a run cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// How many records were sent.
    pub(crate) records: u64,
    /// Records each second, by the client's own clock: connecting and start-up excluded.
    pub(crate) rate: f64,
    /// Of the whole process.
    pub(crate) cpu: Cpu,
}

impl Cost {
    /// Nanoseconds of user and system time for each record.
    pub(crate) fn cpu_per_record(self) -> f64 {
        self.per_record(self.cpu.total())
    }

    /// Nanoseconds of system time for each record.
    pub(crate) fn system_per_record(self) -> f64 {
        self.per_record(self.cpu.system)
    }

    fn per_record(self, time: Duration) -> f64 {
        time.as_nanos() as f64 / self.records as f64
    }
}

/// Runs one of our own clients.
pub(crate) fn run(command: &mut Command) -> Result<Cost> {
    let (output, cpu) = measure(command)?;
    let records = field(&output, "records=")?;
    let nanoseconds: f64 = field(&output, "nanoseconds=")?;
    Ok(Cost { records, rate: records as f64 / nanoseconds * 1e9, cpu })
}

/// Runs Kafka's `ProducerPerformance`.
pub(crate) fn run_java(command: &mut Command) -> Result<Cost> {
    let (output, cpu) = measure(command)?;
    let summary = java_summary(&output);
    let (records, rate) =
        summary.with_context(|| format!("no summary in ProducerPerformance's output:\n{output}"))?;
    Ok(Cost { records, rate, cpu })
}

/// Runs `linger perf`.
pub(crate) fn run_linger(command: &mut Command) -> Result<Cost> {
    let (output, cpu) = measure(command)?;
    let records = field(&output, "records=")?;
    let rate = field(&output, "records/s=")?;
    Ok(Cost { records, rate, cpu })
}

/// The class and arguments that make `ProducerPerformance` send the same as our clients.
///
/// The values come from a file: it would make up each byte of each record otherwise, and that would be counted too.
pub(crate) fn add_producer_performance(
    command: &mut Command,
    load: Load,
    payloads: &Path,
    topic: &str,
    bootstrap: &str,
    codec: &str,
) {
    command.args(["org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--throughput", "-1"]);
    command.args(["--num-records", &load.records.to_string(), "--payload-file"]).arg(payloads);
    command.args([
        "--bootstrap-server",
        bootstrap,
        "--command-property",
        "acks=all",
        "enable.idempotence=true",
    ]);
    command.args(["batch.size=16384", "buffer.memory=33554432", "max.in.flight.requests.per.connection=5"]);
    command.arg(format!("linger.ms={}", load.linger.as_millis()));
    command.arg(format!("compression.type={codec}"));
}

/// Count and rate in the last line, "5000000 records sent, 1234567.9 records/sec (117.74 MB/sec), ...".
fn java_summary(output: &str) -> Option<(u64, f64)> {
    let last = output.lines().rfind(|line| line.contains(" records sent, ") && line.contains("99.9th"))?;
    let (records, rest) = last.split_once(" records sent, ")?;
    let (rate, _) = rest.split_once(" records/sec")?;
    Some((records.parse().ok()?, rate.parse().ok()?))
}

/// Runs to the end. The time is that of all children that ended meanwhile: nothing else may be waited for.
fn measure(command: &mut Command) -> Result<(String, Cpu)> {
    let before = children_cpu()?;
    let output = shell::output(command)?;
    Ok((output, children_cpu()?.saturating_sub(before)))
}

fn field<T: FromStr>(output: &str, name: &str) -> Result<T> {
    let word = output.split_whitespace().find_map(|word| word.strip_prefix(name));
    word.and_then(|word| word.parse().ok())
        .with_context(|| format!("no {name} in the client's output: {output}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_summary_is_the_last_line() {
        let output = "500000 records sent, 100000.0 records/sec (9.54 MB/sec), 1.0 ms avg latency, 2.0 ms max latency.\n\
            900000 records sent, 123456.7 records/sec (11.77 MB/sec), 1.20 ms avg latency, 310.00 ms max latency, \
            1 ms 50th, 3 ms 95th, 5 ms 99th, 9 ms 99.9th.\n";
        assert_eq!(java_summary(output), Some((900_000, 123_456.7)));
        assert_eq!(java_summary("nothing"), None);
    }

    #[test]
    fn time_of_a_child_is_seen() {
        let (_, cpu) =
            measure(Command::new("sh").args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"]))
                .unwrap();
        assert!(cpu.total() > Duration::from_millis(1), "{cpu:?}");
    }
}
