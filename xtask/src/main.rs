//! The project's own commands: `cargo xtask help` lists them.
//!
//! Three of them are what continuous integration runs, and nothing else: `test`, `check` and `test --kafka`.

mod args;
mod bench;
mod clock;
mod jars;
mod kafka;
mod shell;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::args::Args;

const HELP: &str = "\
The project's own commands.

usage: cargo xtask COMMAND [OPTIONS]

  kafka up|down|status  real Kafka clusters on loopback (`cargo xtask kafka help`)
  bench                 what a record costs, beside a hand-written loop and Kafka's own producer
                        (`cargo xtask bench help`)
  jars [VERSION]        resolve Kafka's jars once and print the folder they are in
";

fn main() -> ExitCode {
    match run(Args::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut args: Args) -> Result<()> {
    let Some(command) = args.word() else {
        print!("{HELP}");
        return Ok(());
    };
    match command.as_str() {
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        "kafka" => kafka::command(args),
        "bench" => bench::command(args),
        "jars" => jars::command(args),
        other => bail!("there is no command `{other}`\n\n{HELP}"),
    }
}
