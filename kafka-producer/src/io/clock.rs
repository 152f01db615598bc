//! The crate's one look at the clock.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// Wall time for records, as fresh as the last look, which costs nothing to read.
///
/// It is looked at whenever a batch is opened or drained, and every [`CLOCK_TICK`](crate::CLOCK_TICK) while there
/// are open batches.
#[derive(Debug)]
pub(crate) struct Clock {
    wall: AtomicI64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { wall: AtomicI64::new(wall()) }
    }

    /// Milliseconds since the epoch, by the last look.
    #[inline]
    pub(crate) fn wall(&self) -> i64 {
        self.wall.load(Ordering::Relaxed)
    }

    /// Looks at the wall clock.
    pub(crate) fn refresh(&self) {
        self.wall.store(wall(), Ordering::Relaxed);
    }
}

/// Monotonic time, as tokio's timers see it: it stands still in a test with paused time.
#[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads the clock")]
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads the clock")]
fn wall() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        // A clock before 1970: no record may carry such a time.
        Err(_) => 0,
    }
}

/// A seed for a producer's random numbers: brokers must not meet all their clients at once.
#[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads the clock")]
pub(crate) fn seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos() as u64 ^ u64::from(std::process::id()).rotate_left(32)
}
