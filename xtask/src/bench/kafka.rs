//! On a real cluster: `linger perf` and Kafka's own `ProducerPerformance`, in turn.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::client::{self, Cost, Load};
use super::programs;
use super::spread::Spread;
use super::table::Table;
use crate::args::Args;
use crate::jars::{self, Version};
use crate::{kafka, shell};

const CODECS: [&str; 2] = ["none", "lz4"];
const SIZE: usize = 100;

/// `cargo xtask bench --kafka`.
pub(crate) fn command(mut args: Args) -> Result<()> {
    let rounds: u32 = args.value("--rounds")?.unwrap_or(3);
    let records: u64 = args.value("--records")?.unwrap_or(5_000_000);
    let bootstrap = match args.text("--bootstrap")? {
        Some(bootstrap) => bootstrap,
        None => running()?,
    };
    args.finish()?;
    let linger = programs::build_linger()?;
    let payloads = programs::payloads(SIZE)?;
    let cluster = Cluster { lib: jars::lib(&Version::default_one()?)?, bootstrap };
    let load = Load { records, size: SIZE, key: false, run: 1, linger: Duration::from_millis(5), window: 1 };

    let mut table = Table::new(["client, codec", "records/s", "MB/s", "CPU s", "CPU ns/record"]);
    for codec in CODECS {
        let (mut ours, mut java) = (Rounds::default(), Rounds::default());
        for round in 1..=rounds {
            eprintln!("{codec}, round {round} of {rounds}");
            let perf = |topic: &str| {
                let mut command = Command::new(&linger);
                command.args(["perf", "--bootstrap-server", &cluster.bootstrap, "--topic", topic]);
                command.args(["--records", &records.to_string(), "--size", &SIZE.to_string()]);
                command.args(["-X", "linger.ms=5", "-X", &format!("compression.type={codec}")]);
                client::run_linger(&mut command)
            };
            ours.add(cluster.with_topic(&format!("bench-linger-{codec}-{round}"), perf)?);
            let performance = |topic: &str| {
                let mut command = Command::new("java");
                command.args(["-Xmx512m", "-cp", &jars::class_path(&cluster.lib)]);
                client::add_producer_performance(
                    &mut command,
                    load,
                    &payloads,
                    topic,
                    &cluster.bootstrap,
                    codec,
                );
                client::run_java(&mut command)
            };
            java.add(cluster.with_topic(&format!("bench-java-{codec}-{round}"), performance)?);
        }
        table.row(ours.row("linger perf", codec));
        table.row(java.row("ProducerPerformance", codec));
    }
    println!(
        "on the cluster at {}: {records} records of {SIZE} B, {} partitions, replicated as the cluster does, linger\n\
         5 ms, batches of 16 KiB, acks=all, idempotent; {rounds} rounds in turn: median (min-max); CPU of the whole\n\
         process, start-up included\n\n{table}",
        cluster.bootstrap,
        programs::PARTITIONS
    );
    Ok(())
}

/// Where a cluster of several brokers listens that `cargo xtask kafka up` started.
fn running() -> Result<String> {
    for cluster in kafka::cluster::Cluster::all()? {
        if cluster.brokers > 1 && cluster.is_running()? {
            return Ok(cluster.bootstrap());
        }
    }
    bail!("no cluster of several brokers is running: `cargo xtask kafka up --brokers 3` starts one")
}

#[derive(Default)]
struct Rounds {
    rate: Spread,
    cpu: Spread,
    cpu_per_record: Spread,
}

impl Rounds {
    fn add(&mut self, cost: Cost) {
        self.rate.add(cost.rate);
        self.cpu.add(cost.cpu.total().as_secs_f64());
        self.cpu_per_record.add(cost.cpu_per_record());
    }

    fn row(&self, name: &str, codec: &str) -> [String; 5] {
        [
            format!("{name}, {codec}"),
            self.rate.show(|rate| format!("{:.0} k", rate / 1e3)),
            format!("{:.0}", self.rate.median() * SIZE as f64 / 1e6),
            self.cpu.show(|cpu| format!("{cpu:.2}")),
            self.cpu_per_record.show(|cpu| format!("{cpu:.0}")),
        ]
    }
}

/// A running cluster, and the tools to make topics in it.
struct Cluster {
    lib: PathBuf,
    bootstrap: String,
}

impl Cluster {
    /// Runs on a topic of its own, which is deleted afterwards: each run appends to empty logs.
    fn with_topic<T>(&self, topic: &str, run: impl FnOnce(&str) -> Result<T>) -> Result<T> {
        let partitions = programs::PARTITIONS.to_string();
        self.topics(&["--delete", "--if-exists", "--topic", topic])?;
        self.topics(&["--create", "--topic", topic, "--partitions", &partitions])?;
        let result = run(topic);
        self.topics(&["--delete", "--topic", topic])?;
        result
    }

    fn topics(&self, arguments: &[&str]) -> Result<()> {
        let mut command = jars::tool(&self.lib);
        command.arg("org.apache.kafka.tools.TopicCommand").args(["--bootstrap-server", &self.bootstrap]);
        shell::output(command.args(arguments)).map(drop)
    }
}
