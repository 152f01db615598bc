//! `cargo xtask fuzz`: the fuzz targets, for a time.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::args::Args;
use crate::clock::Stopwatch;
use crate::shell;

const HELP: &str = "\
usage: cargo xtask fuzz [TARGET]... [--seconds N]

  Runs each target (all of them when none is named) for N seconds (60), on the nightly compiler, starting from the
  corpus that `cargo test` replays. Inputs that reach something new are kept in target/fuzz/TARGET for the next run, one
  that crashes goes to fuzz/artifacts/TARGET: copy it to fuzz/corpus/TARGET, and `cargo test` replays it ever after.
";

/// `cargo xtask fuzz`.
pub(crate) fn command(mut args: Args) -> Result<()> {
    if args.wants_help() {
        print!("{HELP}");
        return Ok(());
    }
    let seconds: u32 = args.value("--seconds")?.unwrap_or(60);
    let named = args.words();
    args.finish()?;
    shell::need("cargo-fuzz", "cargo install --locked cargo-fuzz")?;
    ensure!(
        shell::output(std::process::Command::new("cargo").args(["+nightly", "--version"])).is_ok(),
        "fuzzing needs a nightly compiler: rustup toolchain install nightly"
    );
    let known = targets()?;
    for target in &named {
        ensure!(known.contains(target), "there is no fuzz target `{target}`; there are {}", known.join(", "));
    }
    for target in if named.is_empty() { &known } else { &named } {
        let watch = Stopwatch::start();
        let mut fuzz = std::process::Command::new("cargo");
        // The toolchain that started us has put itself into the environment, before the one asked for.
        fuzz.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").current_dir(shell::workspace());
        // The first folder is written to, the second only read.
        let grown = shell::target().join("fuzz").join(target);
        fs::create_dir_all(&grown).with_context(|| format!("cannot create {}", grown.display()))?;
        fuzz.args(["+nightly", "fuzz", "run", target])
            .arg(grown)
            .arg(Path::new("fuzz").join("corpus").join(target));
        fuzz.args(["--", "-rss_limit_mb=4096"]);
        fuzz.arg(format!("-max_total_time={seconds}"));
        shell::run(&mut fuzz).with_context(|| format!("fuzz target {target} found something"))?;
        println!("{target}: clean after {:.0} s", watch.elapsed().as_secs_f32());
    }
    Ok(())
}

fn targets() -> Result<Vec<String>> {
    let dir = shell::workspace().join("fuzz").join("fuzz_targets");
    let mut found = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let name = entry?.file_name();
        if let Some(name) = name.to_str().and_then(|name| name.strip_suffix(".rs")) {
            found.push(name.to_owned());
        }
    }
    found.sort();
    Ok(found)
}
