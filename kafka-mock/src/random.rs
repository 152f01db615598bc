//! What is left to chance, from a seed.

use std::time::Duration;

/// A SplitMix64 generator: the same seed gives the same numbers on every machine.
#[derive(Debug, Default)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// At least 0, and less than 1.
    pub(crate) fn chance(&mut self) -> f64 {
        const STEPS: u64 = 1 << 53;
        (self.next() >> 11) as f64 / STEPS as f64
    }

    /// A time between these two; the first where they are not in order.
    pub(crate) fn between(&mut self, shortest: Duration, longest: Duration) -> Duration {
        match longest.checked_sub(shortest) {
            Some(spread) if !spread.is_zero() => {
                // A float holds fewer digits than a duration, and may come out beyond its end.
                let part = Duration::try_from_secs_f64(spread.as_secs_f64() * self.chance());
                shortest + part.unwrap_or(spread).min(spread)
            }
            _ => shortest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_between_their_bounds_whatever_these_are() {
        let mut random = Random::new(7);
        let (zero, second) = (Duration::ZERO, Duration::from_secs(1));
        for (shortest, longest) in [(zero, second), (second, Duration::MAX), (zero, Duration::from_nanos(1))]
        {
            for _ in 0..1000 {
                assert!((shortest..=longest).contains(&random.between(shortest, longest)));
            }
        }
        assert_eq!(random.between(second, zero), second);
        assert_eq!(random.between(Duration::MAX, Duration::MAX), Duration::MAX);
    }
}
