//! Which of the requests or frames that meet the conditions of a rule it acts on.

use crate::random::Random;

/// The n-th, some of them, or each with a probability; all of them unless something is said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Occasions {
    /// Not on the first so many.
    pub(crate) skip: u64,
    /// So often at the most.
    pub(crate) times: u64,
    /// From 0 to 1.
    pub(crate) probability: f64,
}

impl Default for Occasions {
    fn default() -> Self {
        Self { skip: 0, times: u64::MAX, probability: 1.0 }
    }
}

/// The conditions of a rule that count, for a type with `occasions`.
macro_rules! counts {
    ($rule:ident, $whose:literal) => {
        /// Conditions that count what meets the others.
        impl $rule {
            /// Not the first `count` of them.
            pub fn skip(mut self, count: u64) -> Self {
                self.occasions.skip = count;
                self
            }

            /// `count` times at most; always, unless set.
            pub fn times(mut self, count: u64) -> Self {
                self.occasions.times = count;
                self
            }

            /// Only the `n`-th, counted from 1.
            pub fn nth(self, n: u64) -> Self {
                self.skip(n.saturating_sub(1)).times(1)
            }

            #[doc = concat!("Each with this probability, from 0 to 1, by the ", $whose, "'s seeded generator.")]
            pub fn probability(mut self, probability: f64) -> Self {
                self.occasions.probability = probability;
                self
            }
        }
    };
}

/// How many there were so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    seen: u64,
    fired: u64,
}

impl Tally {
    /// One more has come: whether it is one to act on.
    pub(crate) fn fires(&mut self, on: Occasions, random: &mut Random) -> bool {
        self.seen += 1;
        // A probability that is none takes no number: rules without one do not disturb those with one.
        let fires = self.seen > on.skip
            && self.fired < on.times
            && (on.probability >= 1.0 || random.chance() < on.probability);
        self.fired += u64::from(fires);
        fires
    }

    /// How often it was acted on.
    pub(crate) fn fired(&self) -> u64 {
        self.fired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fired(on: Occasions) -> Vec<u64> {
        let (mut tally, mut random) = (Tally::default(), Random::new(3));
        let fired: Vec<_> = (1..=1000).filter(|_| tally.fires(on, &mut random)).collect();
        assert_eq!(tally.fired(), fired.len() as u64);
        fired
    }

    #[test]
    fn skipped_counted_and_by_chance() {
        let all = Occasions::default();
        assert_eq!(fired(all).len(), 1000);
        assert_eq!(fired(Occasions { skip: 2, times: 3, ..all }), [3, 4, 5]);
        assert!(fired(Occasions { probability: 0.0, ..all }).is_empty());
        let half = fired(Occasions { probability: 0.5, times: 100, ..all });
        assert_eq!(half.len(), 100);
        assert!((150..250).contains(&half[99]), "{half:?}");
        assert_eq!(
            half,
            fired(Occasions { probability: 0.5, times: 100, ..all }),
            "the same seed, the same fate"
        );
    }
}
