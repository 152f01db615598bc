//! Ctrl-C: everything that was started has to be ended, so nothing may just die.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SigSet, Signal};

use crate::clock::Stopwatch;

/// Whether somebody wants this to end.
#[derive(Debug, Clone)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// From now on SIGINT and SIGTERM are noted instead of ending the process. Call it before threads are started: they
    /// inherit what this one does with signals. Programs that are started do not.
    pub(crate) fn on_signals() -> Result<Self> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGINT);
        signals.add(Signal::SIGTERM);
        signals.thread_block().context("cannot hold back signals")?;
        let stop = Self(Arc::default());
        let noted = stop.clone();
        thread::spawn(move || {
            while let Ok(signal) = signals.wait() {
                eprintln!("{signal}: ending what was started, one moment");
                noted.0.store(true, Ordering::Relaxed);
            }
        });
        Ok(stop)
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        Ok(())
    }

    /// Waits so long; an error when somebody wants this to end.
    pub(crate) fn sleep(&self, time: Duration) -> Result<()> {
        self.wait_until(time, || Ok(false)).map(drop)
    }

    /// Waits until something is the case, at most so long: whether it came.
    pub(crate) fn wait_until(
        &self,
        patience: Duration,
        mut there: impl FnMut() -> Result<bool>,
    ) -> Result<bool> {
        let watch = Stopwatch::start();
        loop {
            self.check()?;
            if there()? {
                return Ok(true);
            }
            let left = patience.saturating_sub(watch.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            thread::sleep(left.min(POLL));
        }
    }
}

const POLL: Duration = Duration::from_millis(50);
