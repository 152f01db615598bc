//! `cargo xtask check`: everything that can be known without running the crates' tests.

mod advisories;
mod circles;
mod deny_file;
mod features;
mod licences;
mod msrv;
mod no_std;
mod source;
mod tidy;

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::args::Args;
use crate::clock::{Stopwatch, children_cpu};
use crate::metadata::Metadata;
use crate::{bench, schema, shell};

/// One step: its name, what it looks at, and the step itself, which gives back what it has to say.
struct Step {
    name: &'static str,
    about: &'static str,
    run: fn(&Metadata) -> Result<String>,
}

/// Quick ones first.
const STEPS: [Step; 10] = [
    Step { name: "fmt", about: "formatting", run: fmt },
    Step {
        name: "tidy",
        about: "crate edges, circles of modules, where tokio may be named, file sizes, forbidden words",
        run: tidy::run,
    },
    Step {
        name: "licences",
        about: "licences, banned and doubled packages, as deny.toml says",
        run: licences::run,
    },
    Step {
        name: "advisories",
        about: "locked and lowest versions against RustSec's list, or the few that are known",
        run: advisories::run,
    },
    Step { name: "schema", about: "every message table against the definitions in Kafka's jar", run: schema },
    Step {
        name: "clippy",
        about: "lints: the workspace, then each library with each of its features",
        run: features::run,
    },
    Step { name: "docs", about: "documentation builds without a warning", run: docs },
    Step { name: "no_std", about: "kafka-wire in a program without std", run: no_std::run },
    Step { name: "msrv", about: "the libraries with the least version of Rust they promise", run: msrv::run },
    Step { name: "instructions", about: "the producer's instructions for each record", run: instructions },
];

/// `cargo xtask check [STEP]...`.
pub(crate) fn command(mut args: Args) -> Result<()> {
    if args.wants_help() {
        println!("usage: cargo xtask check [STEP]...\n\nAll steps, or those named:");
        for step in STEPS {
            println!("  {:<14}{}", step.name, step.about);
        }
        return Ok(());
    }
    let named = args.words();
    args.finish()?;
    for name in &named {
        let known = STEPS.map(|step| step.name).join(", ");
        ensure!(STEPS.iter().any(|step| step.name == name), "there is no step `{name}`; there are {known}");
    }
    let metadata = Metadata::load()?;
    let mut failed = Vec::new();
    for step in
        STEPS.into_iter().filter(|step| named.is_empty() || named.iter().any(|name| name == step.name))
    {
        let (watch, before) = (Stopwatch::start(), children_cpu()?);
        let result = (step.run)(&metadata);
        let seconds = watch.elapsed().as_secs_f32();
        // Says more than the time on a machine that has other things to do.
        let cpu = children_cpu()?.saturating_sub(before).total().as_secs_f32();
        match result {
            Ok(said) => println!("{:<14}ok {seconds:>6.1} s, CPU {cpu:>6.1} s  {said}", step.name),
            Err(error) => {
                println!("{:<14}FAILED after {seconds:.1} s\n{error:#}\n", step.name);
                failed.push(step.name);
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("failed: {0}; `cargo xtask check {1}` runs only these", failed.join(", "), failed.join(" "))
}

/// The workspace, and the two packages outside it.
fn fmt(_: &Metadata) -> Result<String> {
    let tidy = |cargo: &mut Command| shell::output(cargo.args(["fmt", "--all", "--check"]));
    tidy(&mut shell::cargo()).context("`cargo fmt --all` puts it right")?;
    for outside in ["fuzz", "xtask/no_std"] {
        let dir = shell::workspace().join(outside);
        if dir.is_dir() {
            let hint = || format!("`cargo fmt` in {outside} puts it right");
            tidy(shell::cargo().current_dir(&dir)).with_context(hint)?;
        }
    }
    Ok(String::new())
}

fn docs(_: &Metadata) -> Result<String> {
    let mut cargo = shell::cargo();
    cargo
        .args(["doc", "--quiet", "--workspace", "--no-deps", "--all-features"])
        .env("RUSTDOCFLAGS", "-Dwarnings");
    shell::output(&mut cargo)?;
    Ok(String::new())
}

fn schema(_: &Metadata) -> Result<String> {
    schema::compare()
}

fn instructions(_: &Metadata) -> Result<String> {
    bench::instructions::check(bench::instructions::HELD)?;
    Ok(String::new())
}
