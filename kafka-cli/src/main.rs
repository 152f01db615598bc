//! The program `linger`: send records to Kafka, read them back, and see what the producer does with them.

mod clock;
mod cluster;
mod commands;
mod cpu;
mod escape;
mod input;
mod output;
mod report;
mod settings;
mod signals;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::commands::{consume, demo, mock, perf, produce, proxy, verifiable_producer};
use crate::signals::{Caught, Signals};

/// Send records to Kafka, read them back, and see what happened to the batches.
///
/// New here? `linger demo` shows everything in a few seconds and needs no Kafka. `linger mock` is a Kafka cluster in
/// memory that any client can use.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Produce(produce::Produce),
    Consume(consume::Consume),
    Demo(demo::Demo),
    Mock(mock::Mock),
    Perf(perf::Perf),
    Proxy(proxy::Proxy),
    VerifiableProducer(verifiable_producer::VerifiableProducer),
}

/// How a command ended that said itself what went wrong, if anything did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// All went well.
    Success,
    /// Something failed, and was reported.
    Failure,
    /// A signal ended it early, in order.
    Signal(Caught),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ending = run(cli.command).unwrap_or_else(|error| {
        // Each cause once, on one line, the last one deepest.
        report::complain(&format!("{error:#}"));
        Ending::Failure
    });
    ExitCode::from(match ending {
        Ending::Success => 0,
        Ending::Failure => 1,
        Ending::Signal(caught) => caught.exit_code(),
    })
}

fn run(command: Command) -> Result<Ending> {
    let threads = match &command {
        Command::Perf(perf) => perf.threads(),
        Command::Mock(_) | Command::Proxy(_) => MOCK_THREADS,
        // One thread for the sockets is the least work; compression and the reading of files have their own.
        Command::Produce(_) | Command::Consume(_) | Command::Demo(_) | Command::VerifiableProducer(_) => 1,
    };
    let runtime = match threads {
        1 => tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        count => tokio::runtime::Builder::new_multi_thread().worker_threads(count).enable_all().build()?,
    };
    let mut signals = Signals::new();
    let ending = runtime.block_on(async {
        match command {
            Command::Produce(produce) => produce.run(&mut signals).await,
            Command::Consume(consume) => consume.run(&mut signals).await,
            Command::Demo(demo) => demo.run(&mut signals).await,
            Command::Mock(mock) => mock.run(&mut signals).await,
            Command::Perf(perf) => perf.run(&mut signals).await,
            Command::Proxy(proxy) => proxy.run(&mut signals).await,
            Command::VerifiableProducer(producer) => producer.run(&mut signals).await,
        }
    });
    // What is still blocked somewhere, in a read of standard input for one, is not waited for.
    runtime.shutdown_background();
    ending
}

/// Brokers of one process share little; more threads than this only wake each other.
const MOCK_THREADS: usize = 2;
