//! What a partition remembers of each idempotent producer: its epoch and the numbers of its last batches.

use std::collections::{BTreeMap, VecDeque};

use kafka_batch::BatchHeader;
use kafka_wire::{ErrorCode, ProducerEpoch, ProducerId};

/// The numbers an idempotent producer gave to a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchNumbers {
    pub(crate) producer: ProducerId,
    pub(crate) epoch: ProducerEpoch,
    /// Sequence of the first record, 0 to `i32::MAX`.
    pub(crate) first: i32,
    /// Sequence of the last record; smaller than `first` where the batch crosses the wrap.
    pub(crate) last: i32,
}

impl BatchNumbers {
    /// Those of a batch, if its producer is idempotent.
    pub(crate) fn of(header: &BatchHeader) -> Option<Self> {
        let (producer, epoch) = (header.producer_id, header.producer_epoch);
        (producer.0 >= 0).then(|| Self::new(producer, epoch, header.base_sequence, header.record_count))
    }

    /// The numbers of `count` records from `first` on. A batch has at least one record.
    pub(crate) fn new(producer: ProducerId, epoch: ProducerEpoch, first: i32, count: i32) -> Self {
        Self { producer, epoch, first, last: sequence_after(first, count.saturating_sub(1)) }
    }
}

/// Where a batch went when it was first appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) base_offset: i64,
    pub(crate) max_timestamp: i64,
}

/// What the numbers of a batch say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The next batch of its producer, or the first one seen of it.
    Next,
    /// One of the last batches again: it is in the log already, and this is where.
    Duplicate(Appended),
    /// Numbers that cannot be next.
    Refused(ErrorCode),
}

/// The producers a partition knows, each with the last [`REMEMBERED_BATCHES`] batches.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    by_id: BTreeMap<ProducerId, ProducerState>,
}

#[derive(Debug)]
struct ProducerState {
    epoch: ProducerEpoch,
    batches: VecDeque<(i32, i32, Appended)>,
    /// Wall time of the last append, for expiry.
    last_append: i64,
}

impl Producers {
    /// Judges a batch by its numbers, changing nothing.
    ///
    /// An unknown producer may start with any epoch and any sequence: its state may have been lost to expiry or retention.
    pub(crate) fn judge(&self, numbers: BatchNumbers, now: i64) -> Verdict {
        let Some(state) = self.by_id.get(&numbers.producer).filter(|state| !state.expired(now)) else {
            return Verdict::Next;
        };
        if numbers.epoch < state.epoch {
            return Verdict::Refused(ErrorCode::INVALID_PRODUCER_EPOCH);
        }
        if numbers.epoch > state.epoch {
            return match numbers.first {
                0 => Verdict::Next,
                _ => Verdict::Refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER),
            };
        }
        let again =
            state.batches.iter().find(|&&(first, last, _)| (first, last) == (numbers.first, numbers.last));
        if let Some(&(_, _, appended)) = again {
            return Verdict::Duplicate(appended);
        }
        match state.batches.back() {
            Some(&(_, last, _)) if sequence_after(last, 1) != numbers.first => {
                Verdict::Refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
            }
            _ => Verdict::Next,
        }
    }

    /// Whether a broker has forgotten a batch that it once remembered, having restarted when the log ended at `restart`: of
    /// what was appended before, it knows the last batch of each producer, which is all that a snapshot holds.
    pub(crate) fn is_forgotten(&self, producer: ProducerId, batch: Appended, restart: i64) -> bool {
        let later = self.by_id.get(&producer).into_iter().flat_map(|state| &state.batches);
        let mut later = later.map(|(_, _, appended)| appended.base_offset);
        later.any(|offset| batch.base_offset < offset && offset < restart)
    }

    /// Remembers a batch that was appended, of so many producers at most.
    pub(crate) fn record(&mut self, numbers: BatchNumbers, appended: Appended, now: i64, most: usize) {
        if !self.by_id.contains_key(&numbers.producer) {
            self.make_room(now, most);
        }
        let state = self.by_id.entry(numbers.producer).or_insert_with(|| ProducerState {
            epoch: numbers.epoch,
            batches: VecDeque::with_capacity(REMEMBERED_BATCHES),
            last_append: now,
        });
        if state.epoch != numbers.epoch || state.expired(now) {
            state.epoch = numbers.epoch;
            state.batches.clear();
        }
        if state.batches.len() == REMEMBERED_BATCHES {
            state.batches.pop_front();
        }
        state.batches.push_back((numbers.first, numbers.last, appended));
        state.last_append = now;
    }

    /// The log lost what stood from `end` on: known of a producer is what the batches that are left say, be it under an older
    /// epoch. Who was forgotten stays so.
    pub(crate) fn reload(&mut self, end: i64, log: impl Iterator<Item = (BatchNumbers, Appended)>) {
        let before = std::mem::take(&mut self.by_id);
        for (numbers, appended) in log {
            if let Some(state) = before.get(&numbers.producer) {
                self.record(numbers, appended, state.last_append, usize::MAX);
            }
        }
        // What was dropped from the log for its age is remembered all the same.
        for (id, mut state) in before {
            state.batches.retain(|(_, _, appended)| appended.base_offset < end);
            let is_more = self.by_id.get(&id).is_none_or(|reloaded| {
                reloaded.epoch == state.epoch && reloaded.batches.len() < state.batches.len()
            });
            if is_more && !state.batches.is_empty() {
                self.by_id.insert(id, state);
            }
        }
    }

    /// Forgets the producers that expired and, should all be young, the one that was silent longest.
    fn make_room(&mut self, now: i64, most: usize) {
        if self.by_id.len() < most {
            return;
        }
        self.by_id.retain(|_, state| !state.expired(now));
        // More than one only where partitions came since, so that each may remember fewer.
        while self.by_id.len() >= most.max(1) {
            let silent = self.by_id.iter().min_by_key(|(_, state)| state.last_append).map(|(&id, _)| id);
            if let Some(id) = silent {
                self.by_id.remove(&id);
            }
        }
    }
}

impl ProducerState {
    fn expired(&self, now: i64) -> bool {
        now.saturating_sub(self.last_append) > EXPIRATION_MS
    }
}

/// The sequence `count` records after `sequence`: modulo 2^31, so that 0 follows `i32::MAX`.
fn sequence_after(sequence: i32, count: i32) -> i32 {
    sequence.wrapping_add(count) & i32::MAX
}

/// How many batches of a producer a broker can recognise when they come again: the bound on what a client may have in flight.
const REMEMBERED_BATCHES: usize = 5;

/// Producers a partition remembers at most.
pub(crate) const MAX_PRODUCERS: usize = 10_000;

/// `producer.id.expiration.ms`: one day.
const EXPIRATION_MS: i64 = 24 * 60 * 60 * 1000;

#[cfg(test)]
mod tests {
    use super::*;

    const PRODUCER: ProducerId = ProducerId(7);

    fn numbers(epoch: i16, first: i32, count: i32) -> BatchNumbers {
        BatchNumbers::new(PRODUCER, ProducerEpoch(epoch), first, count)
    }

    fn at(base_offset: i64) -> Appended {
        Appended { base_offset, max_timestamp: 1 }
    }

    fn record(producers: &mut Producers, numbers: BatchNumbers, base_offset: i64) {
        producers.record(numbers, at(base_offset), 0, MAX_PRODUCERS);
    }

    /// Six batches of ten records each, epoch 3, sequences 0 to 59, at offsets 100 to 159.
    fn six_batches() -> Producers {
        let mut producers = Producers::default();
        for batch in 0..6 {
            assert_eq!(producers.judge(numbers(3, batch * 10, 10), 0), Verdict::Next);
            record(&mut producers, numbers(3, batch * 10, 10), 100 + i64::from(batch) * 10);
        }
        producers
    }

    #[test]
    fn a_batch_of_the_last_five_is_a_duplicate_at_its_first_offset() {
        let producers = six_batches();
        for batch in 1..6 {
            let expected = Verdict::Duplicate(at(100 + i64::from(batch) * 10));
            assert_eq!(producers.judge(numbers(3, batch * 10, 10), 0), expected);
        }
    }

    #[test]
    fn what_an_unclean_election_took_is_expected_again() {
        let mut producers = six_batches();
        // The log begins at 110: what stood before it was too old.
        let log = |end| {
            (1..6)
                .map(|batch| (numbers(3, batch * 10, 10), at(100 + i64::from(batch) * 10)))
                .take_while(move |(_, appended)| appended.base_offset < end)
        };
        producers.reload(140, log(140));
        assert_eq!(producers.judge(numbers(3, 40, 10), 0), Verdict::Next);
        assert_eq!(producers.judge(numbers(3, 30, 10), 0), Verdict::Duplicate(at(130)));
        assert_eq!(producers.judge(numbers(3, 10, 10), 0), Verdict::Duplicate(at(110)));
        producers.reload(0, log(0));
        assert_eq!(producers.judge(numbers(2, 7, 1), 0), Verdict::Next, "nobody is known any more");
    }

    #[test]
    fn a_restart_leaves_the_last_batch_of_each_producer_and_what_came_after() {
        let mut producers = six_batches();
        let forgotten = |producers: &Producers, restart| {
            (1..6).filter(|batch| producers.is_forgotten(PRODUCER, at(100 + batch * 10), restart)).collect()
        };
        let none: Vec<i64> = forgotten(&producers, 0);
        assert_eq!(none, []);
        let all_but_one: Vec<i64> = forgotten(&producers, 160);
        assert_eq!(all_but_one, [1, 2, 3, 4]);
        let before: Vec<i64> = forgotten(&producers, 140);
        assert_eq!(before, [1, 2], "the third was the last one then, the others came later");
        let another = BatchNumbers { producer: ProducerId(8), ..numbers(3, 0, 10) };
        record(&mut producers, another, 160);
        assert!(!producers.is_forgotten(ProducerId(8), at(160), 170));
        assert!(!producers.is_forgotten(PRODUCER, at(150), 170), "others do not count");
    }

    #[test]
    fn what_an_unclean_election_left_is_known_again_under_an_older_epoch() {
        let mut producers = six_batches();
        let log: Vec<_> =
            (0..6).map(|batch| (numbers(3, batch * 10, 10), at(100 + i64::from(batch) * 10))).collect();
        record(&mut producers, numbers(4, 0, 1), 160);
        producers.reload(150, log.into_iter().take(5));
        let out_of_order = Verdict::Refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
        assert_eq!(producers.judge(numbers(4, 1, 1), 0), out_of_order, "a newer epoch begins at zero");
        assert_eq!(producers.judge(numbers(4, 0, 1), 0), Verdict::Next);
        assert_eq!(producers.judge(numbers(3, 50, 10), 0), Verdict::Next);
        for batch in 0..5 {
            let expected = Verdict::Duplicate(at(100 + i64::from(batch) * 10));
            assert_eq!(
                producers.judge(numbers(3, batch * 10, 10), 0),
                expected,
                "the last five that are left"
            );
        }
    }

    #[test]
    fn with_more_partitions_each_remembers_fewer() {
        let mut producers = Producers::default();
        for id in 0..100 {
            let numbers = BatchNumbers::new(ProducerId(id), ProducerEpoch(0), 0, 1);
            producers.record(numbers, at(id), id, if id < 50 { 50 } else { 10 });
        }
        assert_eq!(producers.by_id.keys().map(|id| id.0).collect::<Vec<_>>(), (90..100).collect::<Vec<_>>());
    }

    #[test]
    fn the_sixth_last_batch_is_out_of_order() {
        let verdict = six_batches().judge(numbers(3, 0, 10), 0);
        assert_eq!(verdict, Verdict::Refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
    }

    #[test]
    fn a_gap_an_overlap_or_another_length_is_out_of_order() {
        let producers = six_batches();
        for wrong in [numbers(3, 61, 1), numbers(3, 55, 10), numbers(3, 50, 9), numbers(3, 0, 60)] {
            assert_eq!(
                producers.judge(wrong, 0),
                Verdict::Refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER),
                "{wrong:?}"
            );
        }
        assert_eq!(producers.judge(numbers(3, 60, 1), 0), Verdict::Next);
    }

    #[test]
    fn a_newer_epoch_starts_at_zero_and_forgets_the_older_one() {
        let mut producers = six_batches();
        assert_eq!(
            producers.judge(numbers(4, 60, 10), 0),
            Verdict::Refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
        );
        assert_eq!(producers.judge(numbers(4, 0, 10), 0), Verdict::Next);
        record(&mut producers, numbers(4, 0, 10), 160);
        assert_eq!(producers.judge(numbers(4, 0, 10), 0), Verdict::Duplicate(at(160)));
        assert_eq!(
            producers.judge(numbers(3, 60, 1), 0),
            Verdict::Refused(ErrorCode::INVALID_PRODUCER_EPOCH)
        );
    }

    #[test]
    fn an_older_epoch_is_refused_even_for_a_known_batch() {
        let verdict = six_batches().judge(numbers(2, 50, 10), 0);
        assert_eq!(verdict, Verdict::Refused(ErrorCode::INVALID_PRODUCER_EPOCH));
    }

    #[test]
    fn an_unknown_producer_may_start_anywhere() {
        let producers = Producers::default();
        assert_eq!(producers.judge(numbers(9, 12_345, 3), 0), Verdict::Next);
    }

    #[test]
    fn a_batch_may_cross_the_wrap() {
        let mut producers = Producers::default();
        let crossing = numbers(0, i32::MAX - 1, 3);
        assert_eq!(crossing.last, 0);
        record(&mut producers, crossing, 0);
        assert_eq!(producers.judge(crossing, 0), Verdict::Duplicate(at(0)));
        assert_eq!(producers.judge(numbers(0, 1, 5), 0), Verdict::Next);
        assert_eq!(
            producers.judge(numbers(0, 0, 5), 0),
            Verdict::Refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
        );
    }

    #[test]
    fn a_batch_may_end_exactly_at_the_wrap() {
        let mut producers = Producers::default();
        record(&mut producers, numbers(0, i32::MAX - 2, 3), 0);
        assert_eq!(producers.judge(numbers(0, 0, 1), 0), Verdict::Next);
    }

    #[test]
    fn a_silent_producer_expires() {
        let producers = six_batches();
        assert_eq!(producers.judge(numbers(0, 77, 1), EXPIRATION_MS + 1), Verdict::Next);
        assert_eq!(
            producers.judge(numbers(0, 77, 1), EXPIRATION_MS),
            Verdict::Refused(ErrorCode::INVALID_PRODUCER_EPOCH)
        );
    }

    #[test]
    fn the_producer_silent_longest_makes_room() {
        let mut producers = Producers::default();
        let of = |id| BatchNumbers::new(ProducerId(id), ProducerEpoch(0), 0, 1);
        for id in 0..=MAX_PRODUCERS as i64 {
            producers.record(of(id), at(id), id, MAX_PRODUCERS);
        }
        assert_eq!(producers.by_id.len(), MAX_PRODUCERS);
        let now = MAX_PRODUCERS as i64;
        assert_eq!(producers.judge(of(0), now), Verdict::Next, "the first one was forgotten");
        assert_eq!(producers.judge(of(1), now), Verdict::Duplicate(at(1)));
    }

    #[test]
    fn what_an_older_epoch_wrote_is_no_duplicate_under_a_newer_one() {
        let mut producers = six_batches();
        record(&mut producers, numbers(4, 0, 1), 160);
        for old in [numbers(4, 50, 10), numbers(4, 20, 10)] {
            let verdict = producers.judge(old, 0);
            assert_eq!(verdict, Verdict::Refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER), "{old:?}");
        }
    }

    #[test]
    fn a_producer_that_goes_on_writing_does_not_expire() {
        let mut producers = Producers::default();
        for (day, first) in (0..).zip([0, 10, 20]) {
            let now = day * (EXPIRATION_MS - 1);
            assert_eq!(producers.judge(numbers(3, first, 10), now), Verdict::Next);
            producers.record(numbers(3, first, 10), at(first.into()), now, MAX_PRODUCERS);
            assert_eq!(producers.judge(numbers(3, 0, 10), now), Verdict::Duplicate(at(0)), "day {day}");
        }
    }
}
