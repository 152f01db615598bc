//! Exponential backoff with jitter, as Kafka's clients have it (KIP-144, KIP-580).

use std::time::Duration;

/// A delay that doubles with every failure, from `min` up to `max`, with 20 % of jitter to either side. From the third
/// failure in a row on it is never less than 10 ms, whatever the two are: no loop goes round without a pause.
///
/// The random numbers come from a generator the caller owns and seeds, so a run can be repeated.
///
/// ```
/// use kafka_net::Backoff;
/// use std::time::Duration;
///
/// let backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
/// let mut rng = fastrand::Rng::with_seed(7);
/// let first = backoff.delay(0, &mut rng);
/// assert!(first >= Duration::from_millis(40) && first <= Duration::from_millis(60));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
}

impl Backoff {
    /// A backoff between the two delays. With `max <= min` the delay is always `max`, without jitter; with
    /// `min` zero it is zero, until it may not be any more.
    #[must_use]
    pub const fn new(min: Duration, max: Duration) -> Self {
        Self { min, max }
    }

    /// The delay after `failures` earlier failures: 0 gives the first, shortest delay. Whole milliseconds.
    #[must_use]
    pub fn delay(&self, failures: u32, rng: &mut fastrand::Rng) -> Duration {
        let least = if failures < FREE_FAILURES { Duration::ZERO } else { LEAST_PAUSE };
        self.grown(failures, rng).max(least)
    }

    fn grown(&self, failures: u32, rng: &mut fastrand::Rng) -> Duration {
        let (min, max) = (millis(self.min), millis(self.max));
        if max <= min {
            return Duration::from_millis(max);
        }
        if min == 0 {
            return Duration::ZERO;
        }
        // The exponent stops where the doubled delay reaches `max`, so that the power stays finite.
        let exponent = f64::from(failures).min((max as f64 / min as f64).log2());
        let jitter = 1.0 - JITTER + 2.0 * JITTER * rng.f64();
        let delay = min as f64 * exponent.exp2() * jitter;
        Duration::from_millis((delay as u64).min(max))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

const JITTER: f64 = 0.2;

/// The shortest pause after the third failure in a row, and after later ones: with a back-off of zero, a loop that brokers
/// or settings make go round for ever would else take all of a core.
pub(crate) const LEAST_PAUSE: Duration = Duration::from_millis(10);
/// So many failures in a row may go without a pause.
pub(crate) const FREE_FAILURES: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn range(backoff: Backoff, failures: u32) -> (u64, u64) {
        let mut rng = fastrand::Rng::with_seed(1);
        let delays = (0..2_000).map(|_| millis(backoff.delay(failures, &mut rng)));
        delays.fold((u64::MAX, 0), |(low, high), delay| (low.min(delay), high.max(delay)))
    }

    #[test]
    fn doubles_between_the_bounds_with_a_fifth_of_jitter() {
        let reconnect = Backoff::new(Duration::from_millis(50), Duration::from_millis(1000));
        for (failures, low, high) in [
            (0, 40, 60),
            (1, 80, 120),
            (2, 160, 240),
            (3, 320, 480),
            (4, 640, 960),
            (5, 800, 1000),
            (4_000_000, 800, 1000),
        ] {
            let (least, most) = range(reconnect, failures);
            assert!(
                least >= low && least <= low + low / 20,
                "{failures} failures: least {least}, not about {low}"
            );
            assert!(
                most <= high && most >= high - high / 20,
                "{failures} failures: most {most}, not about {high}"
            );
        }
    }

    #[test]
    fn a_max_not_over_min_is_constant_and_a_min_of_zero_is_zero_but_for_the_third_failure_and_later_ones() {
        let seconds = Duration::from_secs;
        assert_eq!(range(Backoff::new(seconds(2), seconds(1)), 3), (1000, 1000));
        assert_eq!(range(Backoff::new(seconds(1), seconds(1)), 0), (1000, 1000));
        let (zero, one) = (Duration::ZERO, Duration::from_millis(1));
        for backoff in [Backoff::new(zero, seconds(1)), Backoff::new(zero, zero), Backoff::new(one, one)] {
            let first = millis(backoff.max.min(backoff.min));
            assert_eq!([0, 1].map(|failures| range(backoff, failures)), [(first, first); 2]);
            assert_eq!([2, 9].map(|failures| range(backoff, failures)), [(10, 10); 2]);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_delays() {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let series = |seed| {
            let mut rng = fastrand::Rng::with_seed(seed);
            (0..8).map(|failures| backoff.delay(failures, &mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(series(5), series(5));
        assert_ne!(series(5), series(6));
    }
}
