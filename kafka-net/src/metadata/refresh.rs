//! When metadata is wanted: on request, by age, and not too often (KIP-580). The pauses after failures are the
//! [`Enquiry`](crate::Enquiry)'s.

use std::time::{Duration, Instant};

use crate::backoff::{Backoff, FREE_FAILURES, LEAST_PAUSE};

/// The timing of updates; knows nothing of what they contain.
#[derive(Debug)]
pub(crate) struct Refresh {
    max_age: Duration,
    backoff: Backoff,
    rng: fastrand::Rng,
    /// Somebody needs an update before the view is too old.
    requested: bool,
    last_success: Option<Instant>,
    /// No update before this.
    allowed: Option<Instant>,
    /// Answers in a row that brought nothing new, or not what was hoped for.
    fruitless: u32,
    /// When the last answer came, and how many in a row came soon after the one before.
    last_answer: Option<Instant>,
    quick: u32,
    /// When the first attempt since the last success was made.
    trying_since: Option<Instant>,
}

impl Refresh {
    pub(crate) fn new(max_age: Duration, backoff: Backoff, rng: fastrand::Rng) -> Self {
        Self {
            max_age,
            backoff,
            rng,
            requested: true,
            last_success: None,
            allowed: None,
            fruitless: 0,
            last_answer: None,
            quick: 0,
            trying_since: None,
        }
    }

    pub(crate) fn request(&mut self) {
        self.requested = true;
    }

    /// When the next update of everything is due; `None` is never.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        let wanted = match self.last_success {
            Some(last) if !self.requested => last.checked_add(self.max_age)?,
            _ => now,
        };
        Some(self.allowed.map_or(wanted, |allowed| allowed.max(wanted)))
    }

    /// When new topics may be asked for: at once, unless updates keep failing.
    pub(crate) fn due_for_new(&self, failures: u32, now: Instant) -> Instant {
        self.allowed.filter(|_| failures > 0).map_or(now, |allowed| allowed.max(now))
    }

    /// An attempt begins, be it only to connect.
    pub(crate) fn trying(&mut self, now: Instant) {
        self.trying_since.get_or_insert(now);
    }

    pub(crate) fn trying_since(&self) -> Option<Instant> {
        self.trying_since
    }

    pub(crate) fn restart_clock(&mut self) {
        self.trying_since = None;
    }

    /// A request for everything is on its way; requests from now on want the one after it.
    pub(crate) fn asked_for_all(&mut self) {
        self.requested = false;
    }

    /// An answer came. `was_full`: it was about every topic; `is_fruitful`: it brought something new, and no errors
    /// that call for another. After one that is, the next question need not wait; but brokers that have something new in each
    /// answer are asked with pauses as well.
    pub(crate) fn succeeded(&mut self, was_full: bool, is_fruitful: bool, now: Instant) {
        self.trying_since = None;
        if was_full {
            self.last_success = Some(now);
        }
        let is_soon = |last: Instant| now.saturating_duration_since(last) < SOON;
        self.quick = if self.last_answer.is_some_and(is_soon) { self.quick.saturating_add(1) } else { 0 };
        self.last_answer = Some(now);
        if is_fruitful {
            self.fruitless = 0;
            let pause = self.backoff.delay(0, &mut self.rng).max(LEAST_PAUSE);
            self.allowed = if self.quick < FREE_FAILURES { None } else { now.checked_add(pause) };
        } else {
            self.allowed = now.checked_add(self.backoff.delay(self.fruitless, &mut self.rng));
            self.fruitless = self.fruitless.saturating_add(1);
        }
    }

    /// A delay after so many failures that are counted elsewhere.
    pub(crate) fn delay(&mut self, failures: u32) -> Duration {
        let delay = self.backoff.delay(failures, &mut self.rng);
        if failures < FREE_FAILURES { delay } else { delay.max(LEAST_PAUSE) }
    }

    /// No update for a while, which grows with `failures`.
    pub(crate) fn pause(&mut self, failures: u32, now: Instant) {
        let delay = self.delay(failures);
        self.allowed = self.allowed.max(now.checked_add(delay));
    }

    /// Randomness for delays that are kept elsewhere.
    pub(crate) fn rng(&mut self) -> &mut fastrand::Rng {
        &mut self.rng
    }
}

/// Answers that are no further apart follow one another quickly.
const SOON: Duration = Duration::from_secs(1);
