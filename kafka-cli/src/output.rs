//! Standard output, which may be closed or full.

use std::fmt;
use std::io::{self, BufWriter, ErrorKind, Stdout, Write};

use anyhow::{Result, anyhow};

/// Standard output with a buffer; what goes wrong with it is told in words.
#[derive(Debug)]
pub(crate) struct Output(BufWriter<Stdout>);

impl Output {
    pub(crate) fn new() -> Self {
        Self(BufWriter::with_capacity(BUFFER, io::stdout()))
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.write_all(bytes).map_err(explain)
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        self.0.flush().map_err(explain)
    }
}

/// Whoever read standard output has closed it.
#[derive(Debug)]
pub(crate) struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("standard output was closed before everything was written to it")
    }
}

impl std::error::Error for Closed {}

/// Writes a whole text in one piece, so that who reads only its first line disturbs nobody.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(explain)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn explain(error: io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::BrokenPipe => Closed.into(),
        ErrorKind::StorageFull => {
            anyhow!("standard output is full ({error}): make room, or write somewhere else")
        }
        _ => anyhow!("cannot write to standard output: {error}"),
    }
}

const BUFFER: usize = 64 << 10;
