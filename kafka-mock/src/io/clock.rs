//! The only clock that is read in this crate.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::state::Now;

/// The time now. The monotonic half is tokio's, so that it stands still where a test has paused it.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub(super) fn now() -> Now {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let timestamp = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
    Now::new(tokio::time::Instant::now().into_std(), timestamp)
}
