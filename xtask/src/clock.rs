//! The only place where these commands read the time.
#![expect(clippy::disallowed_methods, reason = "a program's own clock; no state machine lives here")]

use std::time::{Duration, Instant};

/// Runs from its making.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Started now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since it started.
    pub(crate) fn elapsed(self) -> Duration {
        Instant::now() - self.0
    }
}
