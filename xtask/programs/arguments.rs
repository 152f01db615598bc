//! What the benchmark's clients are told on their command line, and how they report.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

/// The load: how much to send, where, and how.
pub(crate) struct Arguments {
    /// The brokers' addresses, separated by commas.
    pub(crate) bootstrap: String,
    pub(crate) records: u64,
    /// Bytes of each value.
    pub(crate) size: usize,
    /// Whether each record has a key of 16 bytes.
    pub(crate) key: bool,
    /// Records handed over by one call; 1: one by one.
    pub(crate) run: usize,
    pub(crate) linger: Duration,
    /// Deliveries not yet awaited.
    pub(crate) window: usize,
    /// Batches in a request, for the hand-written loop, which has no clock to decide that.
    pub(crate) batches_per_request: usize,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut arguments = Self {
            bootstrap: String::new(),
            records: 0,
            size: 100,
            key: false,
            run: 1,
            linger: Duration::from_millis(5),
            window: 1000,
            batches_per_request: 4,
        };
        while let Some(name) = words.next() {
            let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--bootstrap" => arguments.bootstrap = value,
                "--records" => arguments.records = value.parse()?,
                "--size" => arguments.size = value.parse()?,
                "--key" => arguments.key = value.parse()?,
                "--run" => arguments.run = value.parse()?,
                "--linger-ms" => arguments.linger = Duration::from_millis(value.parse()?),
                "--window" => arguments.window = value.parse()?,
                "--batches-per-request" => arguments.batches_per_request = value.parse()?,
                _ => return Err(format!("unknown argument {name}").into()),
            }
        }
        Ok(arguments)
    }

    /// Prints what `xtask` reads: the time the records took, connecting excluded.
    pub(crate) fn report(&self, took: Duration) {
        println!("records={} nanoseconds={}", self.records, took.as_nanos());
    }
}

/// Runs a client, and says why if it fails.
pub(crate) fn run<E: Into<Box<dyn Error>>>(client: impl FnOnce(Arguments) -> Result<(), E>) -> ExitCode {
    match Arguments::parse(std::env::args().skip(1))
        .and_then(|arguments| client(arguments).map_err(Into::into))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
