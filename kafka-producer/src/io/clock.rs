//! The crate's one look at the clock.

use std::{
    hash::{BuildHasher, RandomState},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// Monotonic time, as tokio's timers see it: it stands still in a test with paused time.
#[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads the clock")]
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads the clock")]
pub(crate) fn wall() -> i64 {
    #[cfg(test)]
    if let Some(wall) = simulated::wall() {
        return wall;
    }
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        // A clock before 1970: no record may carry such a time.
        Err(_) => 0,
    }
}

/// A seed for a producer's random numbers: brokers must not meet all their clients at once, nor the processes of a fleet begin
/// with the same partitions. The system's randomness is in it, for processes that begin at the same moment.
#[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads the clock")]
pub(crate) fn seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    RandomState::new().hash_one((since.as_nanos(), std::process::id()))
}

/// The wall clock of a simulation, which has a thread to itself: the same seed gives the same run.
#[cfg(test)]
pub(crate) mod simulated {
    use std::{cell::Cell, time::Instant};

    use super::now;

    #[derive(Clone, Copy)]
    struct Simulated {
        wall: i64,
        since: Instant,
    }

    thread_local! {
        static SIMULATED: Cell<Option<Simulated>> = const { Cell::new(None) };
    }

    /// From now on, on this thread, it is so late by the wall clock, which goes as fast as the monotonic one.
    pub(crate) fn begin(wall: i64) {
        SIMULATED.set(Some(Simulated { wall, since: now() }));
    }

    /// Somebody sets the wall clock.
    pub(crate) fn jump(milliseconds: i64) {
        let simulated = SIMULATED.get().expect("a simulation has begun");
        SIMULATED.set(Some(Simulated { wall: simulated.wall + milliseconds, ..simulated }));
    }

    pub(super) fn wall() -> Option<i64> {
        let simulated = SIMULATED.get()?;
        let passed = now().saturating_duration_since(simulated.since).as_millis();
        Some(simulated.wall + i64::try_from(passed).expect("a short run"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn producers_that_begin_at_the_same_moment_have_different_seeds() {
        let mut seeds: Vec<_> = (0..1000).map(|_| seed()).collect();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 1000);
    }
}
