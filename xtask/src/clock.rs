//! The only place where these commands read the time.
#![expect(clippy::disallowed_methods, reason = "a program's own clock; no state machine lives here")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

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

/// CPU time: of the program itself, and of the system on its behalf.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpu {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl Cpu {
    /// Both.
    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }

    /// What is left of each, if anything is.
    pub(crate) fn saturating_sub(self, other: Self) -> Self {
        Self { user: self.user.saturating_sub(other.user), system: self.system.saturating_sub(other.system) }
    }
}

/// CPU time of every child process that has ended and was waited for, and of theirs.
pub(crate) fn children_cpu() -> Result<Cpu> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("cannot ask for the time of child processes")?;
    Ok(Cpu {
        user: Duration::from_micros(usage.user_time().num_microseconds().try_into()?),
        system: Duration::from_micros(usage.system_time().num_microseconds().try_into()?),
    })
}

/// Milliseconds since 1970: what different programs on this machine can compare.
pub(crate) fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
