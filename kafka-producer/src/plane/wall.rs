//! [`Wall`]: the time of records; and [`Pause`]: what is not worth doing for each batch.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Wall time for records, as fresh as the last look, which costs nothing to read.
///
/// It is looked at whenever a batch is opened or drained, and every [`CLOCK_TICK`](crate::CLOCK_TICK) while there
/// are open batches; but not again within a [`RESOLUTION`].
#[derive(Debug)]
pub(crate) struct Wall {
    /// Milliseconds since the epoch, now.
    read: fn() -> i64,
    millis: AtomicI64,
    looks: Pause,
}

impl Wall {
    pub(crate) fn new(read: fn() -> i64, now: Instant) -> Self {
        Self { read, millis: AtomicI64::new(read()), looks: Pause::new(now, RESOLUTION) }
    }

    /// Milliseconds since the epoch, by the last look.
    #[inline]
    pub(crate) fn millis(&self) -> i64 {
        self.millis.load(Ordering::Relaxed)
    }

    /// Looks at the wall clock, unless it can hardly show another time than when it was last looked at.
    pub(crate) fn refresh(&self, now: Instant) {
        if self.looks.is_over(now) {
            self.millis.store((self.read)(), Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static CLOCK: Cell<i64> = const { Cell::new(0) };
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn the_wall_clock_is_looked_at_once_in_a_millisecond() {
        let began = Instant::now();
        let wall = Wall::new(|| CLOCK.get(), began);
        let looks = [999, 1000, 1999, 2000].map(|micros| {
            CLOCK.set(CLOCK.get() + 1);
            wall.refresh(began + Duration::from_micros(micros));
            wall.millis()
        });
        assert_eq!(looks, [0, 2, 2, 4]);
        // A thread that was told the time before comes later.
        CLOCK.set(5);
        wall.refresh(began);
        assert_eq!(wall.millis(), 4);
    }
}
