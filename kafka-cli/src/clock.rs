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
