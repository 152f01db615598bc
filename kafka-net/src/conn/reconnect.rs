//! When to dial a broker again, and how long that may take.

use std::time::Duration;

use crate::{backoff::Backoff, config::NetConfig, error::NetError};

/// The memory of one broker's failed connections: the backoff before the next (KIP-144), and the growing time-out of
/// its set-up (KIP-601). Without a socket or a clock; [`io::keep_connected`](crate::io::keep_connected) obeys it.
#[derive(Debug, Clone)]
pub struct Reconnect {
    backoff: Backoff,
    setup: Backoff,
    rng: fastrand::Rng,
    /// Connections that ended in a row, the last one that was of use included.
    failures: u32,
    /// Connections in a row that were never of use.
    setup_failures: u32,
}

impl Reconnect {
    /// Nothing has failed yet. `rng` gives the jitter.
    #[must_use]
    pub fn new(config: &NetConfig, rng: fastrand::Rng) -> Self {
        Self { backoff: config.reconnect(), setup: config.setup(), rng, failures: 0, setup_failures: 0 }
    }

    /// How long the next connection's set-up may take.
    pub fn setup_timeout(&mut self) -> Duration {
        self.setup.delay(self.setup_failures, &mut self.rng)
    }

    /// How many addresses of the name to pass over in the next attempt: one more for each that was of no use.
    #[must_use]
    pub fn skip(&self) -> usize {
        self.setup_failures as usize
    }

    /// A connection, or the attempt at one, ended: how long to wait before the next. Nothing if it ended because
    /// nobody used it or this side closed it.
    pub fn ended(&mut self, was_ready: bool, error: &NetError) -> Duration {
        if was_ready {
            self.failures = 0;
            self.setup_failures = 0;
        }
        if error.is_idle() || error.is_aborted() {
            return Duration::ZERO;
        }
        if !was_ready {
            self.setup_failures = self.setup_failures.saturating_add(1);
        }
        let delay = self.backoff.delay(self.failures, &mut self.rng);
        self.failures = self.failures.saturating_add(1);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn both_delays_grow_with_failures_and_shrink_with_success() {
        let mut reconnect = Reconnect::new(&NetConfig::default(), fastrand::Rng::with_seed(3));
        let broken = NetError::new(Kind::Disconnected { during_setup: true, source: None });
        let within = |duration: Duration, low: u64, high: u64| {
            assert!(
                (low..=high).contains(&(duration.as_millis() as u64)),
                "{duration:?} not in {low}-{high} ms"
            );
        };
        within(reconnect.setup_timeout(), 8_000, 12_000);
        within(reconnect.ended(false, &broken), 40, 60);
        within(reconnect.setup_timeout(), 16_000, 24_000);
        assert_eq!(reconnect.skip(), 1);
        within(reconnect.ended(false, &broken), 80, 120);
        within(reconnect.setup_timeout(), 24_000, 30_000);
        within(reconnect.ended(true, &broken), 40, 60);
        within(reconnect.ended(false, &broken), 80, 120);
        within(reconnect.setup_timeout(), 16_000, 24_000);
        assert_eq!(reconnect.ended(true, &NetError::new(Kind::Idle)), Duration::ZERO);
        assert_eq!(reconnect.ended(false, &NetError::new(Kind::Aborted)), Duration::ZERO);
        within(reconnect.setup_timeout(), 8_000, 12_000);
        assert_eq!(reconnect.skip(), 0);
    }
}
