//! `cargo xtask sim`: the simulation of the producer, as many seeds as asked for.

use anyhow::{Result, ensure};

use crate::args::Args;
use crate::clock::Stopwatch;
use crate::shell;

const HELP: &str = "\
usage: cargo xtask sim [--seeds N] [--seed S] [--planted [BUG]]

  Runs the producer's queues, sender and connections against a mock cluster, then the whole producer with its tasks over
  pipes in memory (the shell), both under a virtual clock, with a network, users
  and faults that are drawn from a seed; after every step it is checked what must hold (docs/reliability.md). Prints what
  happened in how many runs, and the seed of a run that went wrong.

  --seeds N        how many seeds (10000)
  --seed S         this one only, with a transcript
  --planted [BUG]  instead: plant each known bug, or this one (kafka-producer/src/planted.rs), and search it with at most N
                   seeds (1000); prints which invariant found it, and when, a row for each bug as soon as it is known
";

/// `cargo xtask sim`.
pub(crate) fn command(mut args: Args) -> Result<()> {
    if args.wants_help() {
        print!("{HELP}");
        return Ok(());
    }
    let seeds: Option<u64> = args.value("--seeds")?;
    let seed: Option<u64> = args.value("--seed")?;
    let planted = args.flag("--planted");
    let bug = if planted { args.word() } else { None };
    args.finish()?;
    ensure!(seed.is_none() || seeds.is_none(), "--seed is one seed, --seeds is many: give one of them");
    ensure!(!planted || seed.is_none(), "--planted searches from seed 0 on");
    // Both layers: without the tasks, and with them.
    let tests = if planted { ["sim::planted::", "shell::planted::"] } else { ["sim::run::", "shell::seeds"] };
    let mut cargo = shell::cargo();
    cargo
        .args(["test", "--profile", "sim", "--package", "kafka-producer", "--lib", "--"])
        // One layer after the other: each takes all cores.
        .args(["--nocapture", "--test-threads", "1"])
        .args(tests);
    if planted {
        cargo.env("LINGER_SIM_PLANTED", seeds.unwrap_or(1_000).to_string());
        bug.map(|bug| cargo.env("LINGER_SIM_BUG", bug));
    } else if let Some(seed) = seed {
        cargo.env("LINGER_SIM_SEED", seed.to_string());
    } else {
        cargo.env("LINGER_SIM_SEEDS", seeds.unwrap_or(10_000).to_string());
    }
    let watch = Stopwatch::start();
    shell::run(&mut cargo)?;
    eprintln!("{:.0} s, with the build", watch.elapsed().as_secs_f32());
    Ok(())
}
