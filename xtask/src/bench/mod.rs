//! `cargo xtask bench`: what a record costs, beside what cannot be saved and what Kafka's own producer takes.
//!
//! Other programs on the machine move every time that is measured here, so each figure is a ratio between runs that
//! took turns. What nothing moves is the number of instructions: see [`instructions`].

pub(crate) mod instructions;

mod client;
mod kafka;
pub(crate) mod programs;
mod sink;
mod spread;
pub(crate) mod table;

use anyhow::{Result, bail};

use crate::args::Args;

/// `cargo xtask bench`.
pub(crate) fn command(mut args: Args) -> Result<()> {
    if args.wants_help() {
        print!("{HELP}");
        return Ok(());
    }
    match (args.flag("--instructions"), args.flag("--kafka")) {
        (false, false) => sink::command(args),
        (true, false) => instructions::command(args),
        (false, true) => kafka::command(args),
        (true, true) => bail!("--instructions and --kafka are two benchmarks: run one, then the other"),
    }
}

const HELP: &str = "\
What the producer costs.

usage: cargo xtask bench [--rounds N] [--size BYTES]... [--quick] [--without-java] [--against PROGRAM]
       cargo xtask bench --instructions [--size BYTES]... [--check | --against PROGRAM [--rounds N]]
       cargo xtask bench --kafka [--rounds N] [--records N] [--bootstrap ADDRESSES]

Without --instructions and --kafka: into a sink, the client on one core and the sink on another, our producer,
the hand-written loop and Kafka's ProducerPerformance in turn.
  --rounds N        how often each takes its turn (5; with --quick 1)
  --size BYTES      only records of this size, may be repeated (10, 100, 1024, 10240)
  --quick           a tenth of the records, one round: to see that it works
  --without-java    leave ProducerPerformance out
  --against PROGRAM another build of ours (target/release/bench-producer of another checkout) takes its turn after ours;
                    what is shown is the ratio of the two within a round: ours by the other, less is better

--instructions: user-space instructions for each record, counted by callgrind.
  --check           only records of 100 bytes without a key, and fail if they take more than the limit
  --against PROGRAM the other build and ours in turn, --rounds times (3): the medians of both, and their ratio

--kafka: on a real cluster (`cargo xtask kafka up --brokers 3`), `linger perf` and ProducerPerformance in turn.
  --records N       records of 100 bytes in each run (5000000)
  --bootstrap ...   where the cluster is (that of a running `cargo xtask kafka up`)
";
