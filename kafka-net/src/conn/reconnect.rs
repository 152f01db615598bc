//! When to dial a broker again, and how long that may take.

use std::time::Duration;

use super::{Expectation, Opening};
use crate::{
    backoff::{Backoff, FREE_FAILURES, LEAST_PAUSE},
    config::NetConfig,
    error::NetError,
};

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
    /// Connections in a row that ended soon after they were dialled, whether they were of use or not.
    short_lives: u32,
    /// The version of ApiVersions that the broker took.
    api_versions: Option<i16>,
}

/// What a connection was good for, or an attempt at one.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "built by whoever plays the part of a connection")]
pub struct Life {
    /// It took calls.
    pub was_ready: bool,
    /// How many it took.
    pub calls: u64,
    /// How long it lasted, from dialling on.
    pub lasted: Duration,
}

impl Reconnect {
    /// Nothing has failed yet. `rng` gives the jitter.
    #[must_use]
    pub fn new(config: &NetConfig, rng: fastrand::Rng) -> Self {
        let (backoff, setup) = (config.reconnect(), config.setup());
        Self { backoff, setup, rng, failures: 0, setup_failures: 0, short_lives: 0, api_versions: None }
    }

    /// How the next connection begins: with what is known of the broker, and what is expected of it.
    #[must_use]
    pub fn opening(&self, expectation: Option<Expectation>) -> Opening {
        Opening::new().expecting(expectation).asking_in(self.api_versions)
    }

    /// The broker takes this version of ApiVersions, if a connection has told.
    pub fn note_api_versions(&mut self, version: Option<i16>) {
        self.api_versions = version.or(self.api_versions);
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

    /// A connection, or the attempt at one, ended: how long to wait before the next. Nothing if this side closed it, or it
    /// ended because nobody used it any more; but one that nobody used at all is not replaced at once.
    pub fn ended(&mut self, life: Life, error: &NetError) -> Duration {
        if life.was_ready {
            self.failures = 0;
            self.setup_failures = 0;
        }
        if life.lasted >= LONG {
            self.short_lives = 0;
        }
        if error.is_aborted() || (error.is_idle() && life.calls > 0) {
            return Duration::ZERO;
        }
        if !life.was_ready {
            self.setup_failures = self.setup_failures.saturating_add(1);
        }
        // A broker that hangs up on whoever it has welcomed is dialled with a pause as well.
        let least = if self.short_lives < FREE_FAILURES { Duration::ZERO } else { LEAST_PAUSE };
        let delay = self.backoff.delay(self.failures, &mut self.rng).max(least);
        self.failures = self.failures.saturating_add(1);
        self.short_lives = self.short_lives.saturating_add(1);
        delay
    }
}

/// A connection that lasted so long is no reason to wait before the next.
const LONG: Duration = Duration::from_secs(1);

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
        let life = |was_ready| Life { was_ready, calls: u64::from(was_ready), lasted: Duration::ZERO };
        within(reconnect.setup_timeout(), 8_000, 12_000);
        within(reconnect.ended(life(false), &broken), 40, 60);
        within(reconnect.setup_timeout(), 16_000, 24_000);
        assert_eq!(reconnect.skip(), 1);
        within(reconnect.ended(life(false), &broken), 80, 120);
        within(reconnect.setup_timeout(), 24_000, 30_000);
        within(reconnect.ended(life(true), &broken), 40, 60);
        within(reconnect.ended(life(false), &broken), 80, 120);
        within(reconnect.setup_timeout(), 16_000, 24_000);
        assert_eq!(reconnect.ended(life(true), &NetError::new(Kind::Idle)), Duration::ZERO);
        let unused = Life { calls: 0, ..life(true) };
        within(reconnect.ended(unused, &NetError::new(Kind::Idle)), 40, 60);
        assert_eq!(reconnect.ended(life(false), &NetError::new(Kind::Aborted)), Duration::ZERO);
        within(reconnect.setup_timeout(), 8_000, 12_000);
        assert_eq!(reconnect.skip(), 0);
    }

    #[test]
    fn without_a_back_off_there_is_a_pause_from_the_third_failure_on() {
        let config = NetConfig {
            reconnect_backoff: Duration::ZERO,
            reconnect_backoff_max: Duration::ZERO,
            ..NetConfig::default()
        };
        let broken = NetError::new(Kind::Disconnected { during_setup: false, source: None });
        // Whether it was refused, or hung up on after it took a call.
        for life in [Life::default(), Life { was_ready: true, calls: 1, lasted: Duration::ZERO }] {
            let mut reconnect = Reconnect::new(&config, fastrand::Rng::with_seed(3));
            let pauses: Vec<_> = (0..5).map(|_| reconnect.ended(life, &broken).as_millis()).collect();
            assert_eq!(pauses, [0, 0, 10, 10, 10], "{life:?}");
        }
    }
}
