//! Sequence numbers: serial-number arithmetic on 31 bits, and who numbers.

use kafka_wire::{ProducerEpoch, ProducerId};

use crate::planted::planted;

/// The number `count` records after `base`: after the largest comes zero.
pub(super) fn advance(base: i32, count: i32) -> i32 {
    debug_assert!(base >= 0 && count >= 0);
    // Both are below 2^31: the sum fits 32 bits without sign, and the mask is the remainder by 2^31.
    let sum = (base as u32).wrapping_add(count as u32);
    if planted!(WrapTooEarly) {
        return (sum % MASK) as i32;
    }
    (sum & MASK) as i32
}

const MASK: u32 = i32::MAX as u32;

/// Who numbers: the producer id with its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: ProducerId,
    pub(crate) epoch: ProducerEpoch,
}

impl Identity {
    /// Nobody: batches go out without numbers.
    pub(crate) const NONE: Self = Self { id: ProducerId(-1), epoch: ProducerEpoch(-1) };

    /// Whether it can number batches, after another one whose epochs are used up: none of its numbers were given then.
    pub(super) fn is_newer_than(self, old: Option<Self>) -> bool {
        let is_one = self.id.0 >= 0 && self.epoch.0 >= 0;
        is_one && old.is_none_or(|old| self.id != old.id || self.epoch.0 > old.epoch.0)
    }

    /// The next epoch of the same id; none where the epochs are used up.
    pub(super) fn bumped(self) -> Option<Self> {
        let epoch = match self.epoch.0.checked_add(1) {
            None if planted!(EpochWraps) => 0,
            epoch => epoch?,
        };
        Some(Self { id: self.id, epoch: ProducerEpoch(epoch) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_wrap_to_zero() {
        assert_eq!(advance(5, 5), 10);
        assert_eq!(advance(i32::MAX, 1), 0);
        assert_eq!(advance(i32::MAX - 5, 10), 4);
        assert_eq!(advance(i32::MAX - 1, 3), 1);
        assert_eq!(advance(0, 0), 0);
    }

    #[test]
    fn epochs_end() {
        let last = Identity { id: ProducerId(7), epoch: ProducerEpoch(i16::MAX - 1) };
        let bumped = last.bumped().expect("one is left");
        assert_eq!(bumped.epoch, ProducerEpoch(i16::MAX));
        assert_eq!(bumped.bumped(), None);
    }
}
