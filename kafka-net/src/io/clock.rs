//! The crate's one look at the clock.

use std::time::Instant;

/// The time, as tokio's timers see it: it stands still in a test with paused time.
#[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads the clock")]
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
