//! The project's own commands: `cargo xtask help` lists them.
//!
//! Four of them are what continuous integration runs, and nothing else: `test`, `check`, `test --kafka` and `chaos`.

mod args;
mod bench;
mod broker_tests;
mod chaos;
mod check;
mod clock;
mod fuzz;
mod golden;
mod jars;
mod kafka;
mod metadata;
mod schema;
mod shell;
mod sim;
mod test;
mod text;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::args::Args;

const HELP: &str = "\
The project's own commands.

usage: cargo xtask COMMAND [OPTIONS]

  test                  everything that needs no Kafka; with --kafka, the tests against real brokers
  check                 formatting, lints, documentation, licences, layout, protocol tables, least Rust version, ...
  fuzz [TARGET]         run the fuzz targets for a time
  sim                   the simulation of the producer: many seeds, one seed, or the bugs it must find
  bench                 what a record costs, beside a hand-written loop and Kafka's own producer
  chaos                 real brokers killed, frozen and cut off under load, and every record looked for afterwards
  kafka up|down|status  real Kafka clusters on loopback
  schema                every message table against the definitions in Kafka's jar
  golden                messages written by Kafka's own classes, for kafka-wire's tests
  jars [VERSION]        resolve Kafka's jars once and print the folder they are in

Each takes --help. Continuous integration runs `test`, `check`, `sim --seeds 5000`, `test --kafka` and `chaos --minutes 3`,
and nothing else.
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
        "test" => test::command(args),
        "check" => check::command(args),
        "fuzz" => fuzz::command(args),
        "sim" => sim::command(args),
        "bench" => bench::command(args),
        "chaos" => chaos::command(args),
        "kafka" => kafka::command(args),
        "schema" => schema::command(args),
        "golden" => golden::command(args),
        "jars" => jars::command(args),
        other => bail!("there is no command `{other}`\n\n{HELP}"),
    }
}
