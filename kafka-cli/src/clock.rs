//! The program's look at the clock.

use std::time::{Instant, UNIX_EPOCH};

/// Now.
#[expect(clippy::disallowed_methods, reason = "a program, not a state machine: here time comes in")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "a program, not a state machine: here time comes in")]
pub(crate) fn milliseconds() -> u64 {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Completes at the first Ctrl-C after the call, be it polled by then or not; never where signals cannot be caught.
#[cfg(unix)]
pub(crate) fn interrupted() -> impl Future<Output = ()> {
    let signals = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt());
    async move {
        match signals {
            Ok(mut signals) => drop(signals.recv().await),
            Err(_) => std::future::pending().await,
        }
    }
}

/// Completes at the first Ctrl-C after it is first polled; never where signals cannot be caught.
#[cfg(not(unix))]
pub(crate) async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
