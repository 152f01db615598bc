//! `cargo xtask test`: everything that needs nothing but this machine's compilers; with `--kafka`, real brokers.

use anyhow::Result;

use crate::args::Args;
use crate::clock::Stopwatch;
use crate::metadata::Metadata;
use crate::{broker_tests, shell};

const HELP: &str = "\
usage: cargo xtask test [FILTER] [-- TEST-ARGUMENTS]
       cargo xtask test --kafka [FILTER]... [--keep] [--version V]...
       cargo xtask test --kafka --text FILE [--keep]

  Without --kafka: unit, integration and doc tests of every crate, every codec compiled in, corpora replayed.
  With it: starts three brokers of Kafka 4.4.0 and of 3.9.1, a second cluster of one broker beside each of the two, and
  one broker each of 4.3.1 and 2.8.2, on free ports; runs the tests that need them, and ends the clusters (unless --keep
  is given). --version leaves out the versions not named.
  With --text: produces the file (repeated to 50 MB) by `linger produce` to three brokers of Kafka 4.4.0 with each codec;
  kcat, the console consumer and `linger consume` must give back exactly that.
";

/// `cargo xtask test`.
pub(crate) fn command(mut args: Args) -> Result<()> {
    if args.wants_help() {
        print!("{HELP}");
        return Ok(());
    }
    if args.flag("--kafka") {
        return broker_tests::command(args);
    }
    let filter = args.word();
    let after = args.after();
    args.finish()?;
    let watch = Stopwatch::start();
    let features = Metadata::load()?.hermetic_features();
    let mut cargo = shell::cargo();
    // Not --all-targets: that leaves out doc tests. Examples are built all the same, benches by `check`.
    cargo
        .args(["test", "--workspace", "--no-fail-fast", "--features", &features])
        .args(filter)
        .arg("--")
        .args(after);
    shell::run(&mut cargo)?;
    eprintln!("all tests passed after {:.0} s", watch.elapsed().as_secs_f32());
    Ok(())
}
