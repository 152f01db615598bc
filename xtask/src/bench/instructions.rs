//! User-space instructions for each record: the figure that no neighbour on the machine moves.
//!
//! callgrind counts a run of N records and one of 2 N; the difference by N is what a record costs, without start-up,
//! connecting and the last answers. Batches must fill as they would under full load, so they linger for a second.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::client::Load;
use super::programs::{self, Programs, Sink};
use super::spread::Spread;
use super::table::Table;
use crate::args::Args;
use crate::shell;

/// A way to hand records over.
struct Way {
    name: &'static str,
    key: bool,
    run: usize,
    /// Deliveries that may be out: without keys one batch fills after the other, with keys all of them at once, and
    /// a caller that waits for one must not keep it from filling.
    window: usize,
    /// What is aimed at with records of 100 bytes.
    goal: u64,
}

const WAYS: [Way; 3] = [
    Way { name: "send, no key", key: false, run: 1, window: 1000, goal: 450 },
    Way { name: "send, key of 16 B", key: true, run: 1, window: 20_000, goal: 560 },
    Way { name: "send_all of 100, no key", key: false, run: 100, window: 1000, goal: 380 },
];

/// Sizes of records, and how many a run takes.
const SIZES: [(usize, u64); 3] = [(10, 100_000), (100, 40_000), (1024, 6_000)];

/// The most a record of 100 bytes without a key may take at all.
const LIMIT: u64 = 600;
/// What it takes today, to the next five above what was measured: the check holds it there.
pub(crate) const HELD: u64 = 465;
/// Percent that a figure may pass the limit by before the check fails: another compiler or C library moves it a bit.
const SLACK: u64 = 5;

/// `cargo xtask bench --instructions`.
pub(crate) fn command(mut args: Args) -> Result<()> {
    let wanted = args.all("--size")?;
    let only_check = args.flag("--check");
    let other = args.value::<PathBuf>("--against")?.map(programs::other).transpose()?;
    let rounds = args.value("--rounds")?;
    args.finish()?;
    if only_check {
        return check(HELD);
    }
    need_valgrind()?;
    if let Some(other) = other {
        return against(&other, rounds.unwrap_or(3), &wanted);
    }
    let programs = programs::build()?;
    let mut table = Table::new(["instructions per record", "10 B", "100 B", "1 KiB", "100 B: limit, goal"]);
    for (index, way) in WAYS.iter().enumerate() {
        let bounds = match index {
            0 => format!("{LIMIT}, {}", way.goal),
            _ => format!("-, {}", way.goal),
        };
        let [small, middle, large] = counts(&programs, &programs.producer, way, &wanted)?;
        table.row([format!("ours, {}", way.name), small, middle, large, bounds]);
    }
    for way in &WAYS[..2] {
        let name = way.name.trim_start_matches("send, ");
        let [small, middle, large] = counts(&programs, &programs.baseline, way, &wanted)?;
        table.row([format!("hand-written loop, {name}"), small, middle, large, String::new()]);
    }
    println!(
        "user-space instructions, by callgrind over N and 2 N records into a sink; 12 partitions on 3 brokers,\n\
         batches of 16 KiB, linger 1 s, acks=all, idempotent, each delivery awaited\n\n{table}"
    );
    Ok(())
}

/// Another build and ours, in turn.
fn against(other: &Path, rounds: u32, wanted: &[String]) -> Result<()> {
    let programs = programs::build()?;
    let mut table = Table::new(["instructions per record", "the other build", "ours", "ours by it"]);
    let mut ratios = Spread::default();
    for way in &WAYS {
        let sizes = SIZES.iter().filter(|(size, _)| wanted.is_empty() || wanted.contains(&size.to_string()));
        for &(size, records) in sizes {
            let (mut theirs, mut ours) = (Spread::default(), Spread::default());
            for round in 1..=rounds {
                eprintln!("{}, {size} B, round {round} of {rounds}", way.name);
                theirs.add(per_record(&programs, other, way, size, records)?);
                ours.add(per_record(&programs, &programs.producer, way, size, records)?);
            }
            let ratio = ours.median() / theirs.median();
            ratios.add(ratio);
            let show = |count: f64| format!("{count:.0}");
            let name = format!("{}, {size} B", way.name);
            table.row([name, theirs.show(show), ours.show(show), format!("{ratio:.3}")]);
        }
    }
    println!(
        "user-space instructions, by callgrind over N and 2 N records into a sink, in turn: median (min-max) of {rounds}\n\n\
         {table}\nmean of the ratios: {:.3}",
        ratios.mean()
    );
    Ok(())
}

/// Fails if records of 100 bytes without a key take more than `limit` instructions, and some slack.
pub(crate) fn check(limit: u64) -> Result<()> {
    need_valgrind()?;
    let programs = programs::build()?;
    let count = per_record(&programs, &programs.producer, &WAYS[0], 100, 40_000)?;
    let most = limit + limit * SLACK / 100;
    println!("{count:.0} instructions for a record of 100 B; the limit is {limit} and {SLACK} %");
    if count > most as f64 {
        bail!(
            "a record of 100 B takes {count:.0} instructions, more than {most}: `cargo xtask bench --instructions` \
             shows every case, `valgrind --tool=callgrind` on target/release/bench-producer where they go"
        );
    }
    Ok(())
}

fn need_valgrind() -> Result<()> {
    shell::need("valgrind", "its callgrind counts instructions (Debian: apt-get install valgrind)")
}

fn counts(programs: &Programs, client: &Path, way: &Way, wanted: &[String]) -> Result<[String; 3]> {
    let mut cells = [const { String::new() }; 3];
    for (cell, (size, records)) in cells.iter_mut().zip(SIZES) {
        if !wanted.is_empty() && !wanted.contains(&size.to_string()) {
            "-".clone_into(cell);
            continue;
        }
        eprintln!("{}, {}, {size} B", client.display(), way.name);
        *cell = format!("{:.0}", per_record(programs, client, way, size, records)?);
    }
    Ok(cells)
}

fn per_record(programs: &Programs, client: &Path, way: &Way, size: usize, records: u64) -> Result<f64> {
    let sink = Sink::start(programs)?;
    let linger = Duration::from_secs(1);
    let load = Load { records, size, key: way.key, run: way.run, linger, window: way.window };
    let once = count(client, load, &sink)?;
    let twice = count(client, Load { records: 2 * records, ..load }, &sink)?;
    Ok((twice as f64 - once as f64) / records as f64)
}

/// Instructions of a whole run.
fn count(client: &Path, load: Load, sink: &Sink) -> Result<u64> {
    let mut valgrind = Command::new("valgrind");
    // The counts are enough: no profile is kept. Its log goes where the client's own line goes.
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-fd=1"]).arg(client);
    load.add_to(&mut valgrind, sink.bootstrap());
    let output = shell::output(&mut valgrind)?;
    let counted = output.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    counted.with_context(|| format!("no count in callgrind's output:\n{output}"))
}
