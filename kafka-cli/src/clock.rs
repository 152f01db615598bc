//! The program's look at the clock.

use std::time::Instant;

/// Now.
#[expect(clippy::disallowed_methods, reason = "a program, not a state machine: here time comes in")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Completes at the first Ctrl-C after the call; never where signals cannot be caught.
pub(crate) async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
