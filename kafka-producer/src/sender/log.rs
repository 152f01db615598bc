//! A bound on what is logged.

use std::time::{Duration, Instant};

/// Lets through so many lines a second, and counts the others.
#[derive(Debug)]
pub(super) struct LogBudget {
    left: u32,
    held_back: u64,
    refill_at: Option<Instant>,
}

impl LogBudget {
    pub(super) const fn new() -> Self {
        Self { left: LINES, held_back: 0, refill_at: None }
    }

    /// Whether a line may be logged.
    pub(super) fn take(&mut self) -> bool {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => {
                self.held_back += 1;
                false
            }
        }
    }

    /// Time has passed.
    pub(super) fn refill(&mut self, now: Instant) {
        if self.refill_at.is_some_and(|at| now < at) {
            return;
        }
        if self.held_back > 0 {
            tracing::warn!(batches = self.held_back, "more batches were given up");
        }
        *self = Self { refill_at: now.checked_add(PERIOD), ..Self::new() };
    }
}

/// Lines in a period.
const LINES: u32 = 10;
const PERIOD: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn so_many_lines_and_no_more_until_the_next_period() {
        let start = Instant::now();
        let mut log = LogBudget::new();
        log.refill(start);
        assert_eq!((0..100).filter(|_| log.take()).count(), 10);
        log.refill(start + PERIOD / 2);
        assert!(!log.take());
        log.refill(start + PERIOD);
        assert!(log.take());
    }
}
