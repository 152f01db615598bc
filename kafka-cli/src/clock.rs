//! The program's clock.

use std::time::Instant;

/// The time, for what is measured and shown.
#[expect(clippy::disallowed_methods, reason = "the one place of the program that reads the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
