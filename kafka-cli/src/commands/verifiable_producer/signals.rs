//! The signals that end the program in order.

use anyhow::Result;

use crate::Ending;

/// Catches SIGINT and SIGTERM from its making on, or Ctrl-C where there are no signals.
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(super) fn new() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    /// The first one that comes.
    pub(super) async fn recv(&mut self) -> Ending {
        tokio::select! {
            _ = self.interrupt.recv() => Ending::Interrupted,
            _ = self.terminate.recv() => Ending::Terminated,
        }
    }
}

/// Catches SIGINT and SIGTERM from its making on, or Ctrl-C where there are no signals.
#[cfg(not(unix))]
#[derive(Debug)]
pub(super) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(super) fn new() -> Result<Self> {
        Ok(Self)
    }

    /// The first one that comes.
    pub(super) async fn recv(&mut self) -> Ending {
        crate::clock::interrupted().await;
        Ending::Interrupted
    }
}
