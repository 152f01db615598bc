//! The crate's one look at the clock.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Wall time for records, as fresh as the last look, which costs nothing to read.
///
/// It is looked at whenever a batch is opened or drained, and every [`CLOCK_TICK`](crate::CLOCK_TICK) while there
/// are open batches; but not again within a [`RESOLUTION`].
#[derive(Debug)]
pub(crate) struct Clock {
    wall: AtomicI64,
    looks: Pause,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { wall: AtomicI64::new(wall()), looks: Pause::new(now(), RESOLUTION) }
    }

    /// Milliseconds since the epoch, by the last look.
    #[inline]
    pub(crate) fn wall(&self) -> i64 {
        self.wall.load(Ordering::Relaxed)
    }

    /// Looks at the wall clock, unless it can hardly show another time than when it was last looked at.
    pub(crate) fn refresh(&self, now: Instant) {
        if self.looks.is_over(now) {
            self.wall.store(wall(), Ordering::Relaxed);
        }
    }
}

/// Records tell time in milliseconds.
const RESOLUTION: Duration = Duration::from_millis(1);

/// A pause between one doing and the next of something that costs a call of the system, and is not worth it for each batch. Of
/// threads that come at once more than one may be told to do it.
#[derive(Debug)]
pub(crate) struct Pause {
    began: Instant,
    nanos: u64,
    /// When it was last done, in nanoseconds since `began`.
    done: AtomicU64,
}

impl Pause {
    /// It is done now, and not again for so long.
    pub(crate) fn new(began: Instant, pause: Duration) -> Self {
        Self { began, nanos: pause.as_nanos() as u64, done: AtomicU64::new(0) }
    }

    /// Whether it is time to do it. It is counted as done from now on.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        let now = now.saturating_duration_since(self.began).as_nanos() as u64;
        if now.saturating_sub(self.done.load(Ordering::Relaxed)) < self.nanos {
            return false;
        }
        self.done.store(now, Ordering::Relaxed);
        true
    }
}

/// Monotonic time, as tokio's timers see it: it stands still in a test with paused time.
#[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads the clock")]
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads the clock")]
fn wall() -> i64 {
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

    #[test]
    fn the_wall_clock_is_looked_at_once_in_a_millisecond() {
        simulated::begin(1_000_000);
        let clock = Clock::new();
        let looks = [999, 1000, 1999, 2000].map(|micros| {
            simulated::jump(1_000_000);
            clock.refresh(clock.looks.began + Duration::from_micros(micros));
            clock.wall() / 1_000_000
        });
        assert_eq!(looks, [1, 3, 3, 5]);
        // Somebody was told the time before, and comes later.
        simulated::jump(1_000_000);
        clock.refresh(clock.looks.began);
        assert_eq!(clock.wall() / 1_000_000, 5);
    }
}
