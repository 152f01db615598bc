//! The whole path into a sink: our producer, the hand-written loop and Kafka's own producer, in turn.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::client::{self, Cost, Load};
use super::programs::{self, CLIENT_CORE, Programs, Sink};
use super::spread::Spread;
use super::table::Table;
use crate::args::Args;
use crate::clock::Cpu;
use crate::jars::{self, Version};

/// A size of records, how many of them take a few seconds, and what is to be reached.
struct Size {
    bytes: usize,
    records: u64,
    /// Percent of the hand-written loop, by CPU for each record.
    target: f64,
    /// How many Kafka's own producer sends, where it takes part: it takes many times as long for each.
    java: Option<u64>,
}

const SIZES: [Size; 4] = [
    Size { bytes: 10, records: 30_000_000, target: 30.0, java: None },
    Size { bytes: 100, records: 10_000_000, target: 30.0, java: Some(4_000_000) },
    Size { bytes: 1024, records: 2_000_000, target: 60.0, java: None },
    Size { bytes: 10_240, records: 300_000, target: 60.0, java: None },
];

/// Deliveries that may be out: never more than this,
const WINDOW: usize = 20_000;
/// and not more bytes of values. It is twice what all connections together have in flight when they are full (five requests
/// with a batch for each partition), so that nobody waits; more would be memory that the hand-written loop does not touch.
const WINDOW_BYTES: usize = 2_000_000;

/// Ours may use at most this part of the CPU that Kafka's own producer uses.
const JAVA_TARGET: f64 = 25.0;

/// `cargo xtask bench`.
pub(crate) fn command(mut args: Args) -> Result<()> {
    let quick = args.flag("--quick");
    let rounds = args.value("--rounds")?.unwrap_or(if quick { 1 } else { 5 });
    let wanted = args.all("--size")?;
    let with_java = !args.flag("--without-java");
    let other = args.value::<PathBuf>("--against")?.map(programs::other).transpose()?;
    args.finish()?;

    programs::need_cores()?;
    let programs = programs::build()?;
    let java = if with_java { Some(Java::prepare(&programs)?) } else { None };
    let mut table = Table::new([
        "client, record size",
        "records/s",
        "MB/s",
        "CPU ns/record",
        "of it system",
        "CPU, % of loop",
        "rate, % of loop",
        "target",
    ]);
    for size in SIZES.iter().filter(|size| wanted.is_empty() || wanted.contains(&size.bytes.to_string())) {
        let load = Load {
            records: if quick { size.records / 10 } else { size.records },
            size: size.bytes,
            key: false,
            run: 1,
            linger: Duration::from_millis(5),
            window: WINDOW.min(WINDOW_BYTES / size.bytes),
        };
        let java = java.as_ref().zip(size.java);
        compare(&programs, java, other.as_deref(), load, rounds)?.add_to(&mut table, load, size.target);
    }
    println!(
        "into a sink: {} partitions on 3 brokers, batches of 16 KiB, linger 5 ms, acks=all, idempotent, no keys;\n\
         {rounds} rounds in turn: median (min-max); percentages are ratios within a round, more is better:\n\
         what the loop took / what the client took for CPU, the client's / the loop's for the rate\n\n{table}",
        programs::PARTITIONS
    );
    Ok(())
}

/// What one client's rounds showed.
#[derive(Default)]
struct Rounds {
    rate: Spread,
    cpu: Spread,
    system: Spread,
    /// Percent, as the loop is 100.
    cpu_to_loop: Spread,
    rate_to_loop: Spread,
}

impl Rounds {
    fn add(&mut self, cost: Cost, of_loop: Cost) {
        self.rate.add(cost.rate);
        self.cpu.add(cost.cpu_per_record());
        self.system.add(cost.system_per_record());
        self.cpu_to_loop.add(100.0 * of_loop.cpu_per_record() / cost.cpu_per_record());
        self.rate_to_loop.add(100.0 * cost.rate / of_loop.rate);
    }

    fn row(&self, name: &str, load: Load, target: String) -> [String; 8] {
        let bytes = load.size as f64;
        [
            format!("{name}, {} B", load.size),
            self.rate.show(|rate| format!("{:.2} M", rate / 1e6)),
            format!("{:.0}", self.rate.median() * bytes / 1e6),
            self.cpu.show(|cpu| format!("{cpu:.0}")),
            self.system.show(|system| format!("{system:.0}")),
            self.cpu_to_loop.show(|percent| format!("{percent:.0}")),
            self.rate_to_loop.show(|percent| format!("{percent:.0}")),
            target,
        ]
    }
}

/// All clients at one size.
#[derive(Default)]
struct Comparison {
    ours: Rounds,
    of_loop: Rounds,
    java: Option<Rounds>,
    /// Our CPU in percent of what Kafka's own producer took.
    ours_to_java: Spread,
    other: Option<Rounds>,
    /// Our CPU by that of the other build of ours.
    ours_to_other: Spread,
}

impl Comparison {
    fn add_to(&self, table: &mut Table, load: Load, target: f64) {
        let verdict =
            |value: f64, reached| format!("{value:.0} %: {}", if reached { "reached" } else { "missed" });
        let reached = self.ours.cpu_to_loop.median() >= target;
        table.row(self.ours.row("ours", load, format!("at least {}", verdict(target, reached))));
        table.row(self.of_loop.row("hand-written loop", load, String::new()));
        if let Some(other) = &self.other {
            let note = format!("ours by it: {}", self.ours_to_other.show(|ratio| format!("{ratio:.3}")));
            table.row(other.row("the other build", load, note));
        }
        if let Some(java) = &self.java {
            let used = self.ours_to_java.median();
            let verdict = verdict(JAVA_TARGET, used <= JAVA_TARGET);
            let note = format!("ours takes {used:.1} % of its CPU; at most {verdict}");
            table.row(java.row("ProducerPerformance", load, note));
        }
    }
}

fn compare(
    programs: &Programs,
    java: Option<(&Java, u64)>,
    other: Option<&Path>,
    load: Load,
    rounds: u32,
) -> Result<Comparison> {
    let sink = Sink::start(programs)?;
    let mut comparison = Comparison {
        java: java.map(|_| Rounds::default()),
        other: other.map(|_| Rounds::default()),
        ..Comparison::default()
    };
    for round in 1..=rounds {
        eprintln!("{} B, round {round} of {rounds}", load.size);
        let run = |program: &Path| {
            let mut client = programs::pinned(CLIENT_CORE, program);
            load.add_to(&mut client, sink.bootstrap());
            client::run(&mut client)
        };
        let ours = run(&programs.producer)?;
        let other = other.map(run).transpose()?;
        let of_loop = run(&programs.baseline)?;
        if let (Some(cost), Some(rounds)) = (other, &mut comparison.other) {
            rounds.add(cost, of_loop);
            comparison.ours_to_other.add(ours.cpu_per_record() / cost.cpu_per_record());
        }
        comparison.ours.add(ours, of_loop);
        comparison.of_loop.add(of_loop, of_loop);
        if let (Some((java, records)), Some(rounds)) = (java, &mut comparison.java) {
            let cost = java.run(Load { records, ..load }, sink.bootstrap())?;
            rounds.add(cost, of_loop);
            comparison.ours_to_java.add(100.0 * ours.cpu_per_record() / cost.cpu_per_record());
        }
    }
    Ok(comparison)
}

/// Kafka's own `ProducerPerformance`.
struct Java {
    lib: PathBuf,
    payloads: PathBuf,
    /// What the machine takes to start and to send one record: not counted.
    start: Cpu,
}

impl Java {
    fn prepare(programs: &Programs) -> Result<Self> {
        let lib = jars::lib(&Version::default_one()?)?;
        jars::need_java()?;
        let size = SIZES.iter().find(|size| size.java.is_some()).map_or(0, |size| size.bytes);
        let mut java = Self {
            lib,
            payloads: programs::payloads(size)?,
            start: Cpu { user: Duration::ZERO, system: Duration::ZERO },
        };
        let sink = Sink::start(programs)?;
        let one = Load { records: 1, size, key: false, run: 1, linger: Duration::from_millis(5), window: 1 };
        java.start = java.run(one, sink.bootstrap())?.cpu;
        Ok(java)
    }

    fn run(&self, load: Load, bootstrap: &str) -> Result<Cost> {
        let mut command = programs::pinned(CLIENT_CORE, "java");
        command.args(["-Xmx512m", "-cp", &jars::class_path(&self.lib)]);
        client::add_producer_performance(
            &mut command,
            load,
            &self.payloads,
            programs::TOPIC,
            bootstrap,
            "none",
        );
        let mut cost = client::run_java(&mut command)?;
        cost.cpu = cost.cpu.saturating_sub(self.start);
        Ok(cost)
    }
}
