//! The program linger: produce to Kafka and see what the producer does.

mod clock;
mod commands;
mod read;
mod report;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{consume, demo};

/// Produce to Apache Kafka, and see what the producer does.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The main job with no Kafka at hand: produce to three embedded brokers, read back, compare, explain.
    Demo(demo::Args),
    /// Read a topic back.
    Consume(consume::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("linger: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Demo(args) => demo::run(args).await,
            Command::Consume(args) => consume::run(args).await,
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("linger: {error:#}");
            ExitCode::FAILURE
        }
    }
}
