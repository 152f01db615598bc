//! [`Outlet`]: what leaves the sender, and whether all of it has left.
//!
//! # Invariants
//! * Each batch that entered a ledger leaves by [`resolve`](Outlet::resolve), once; `unresolved` says how many have not.
//! * A batch that is out of its ledger and not resolved yet is `on_its_way`: a panic in between does not lose it.

use std::sync::Arc;

use kafka_wire::{ErrorCode, NodeId, TopicName};

use super::{
    Effects, Resolution, Sealed,
    log::{Event, LogBudget},
};
use crate::{
    delivery::{BatchResult, Outcome},
    error::{Failure, FailureKind, Persistence},
    planted::planted,
    stats::Counters,
};

/// What is to be done outside, what is counted, and what is logged.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) effects: Effects,
    pub(super) counters: Counters,
    pub(super) log: LogBudget,
    /// Batches in all ledgers.
    unresolved: usize,
    /// The batch that is on its way into its ledger or out of it. A panic would lose it otherwise.
    on_its_way: Option<OnItsWay>,
    /// An error that no later batch can escape, and what there is to say about it.
    fatal: Option<ErrorCode>,
    fatal_reason: Option<Arc<str>>,
}

/// A batch that is in no ledger for a moment.
#[derive(Debug)]
struct OnItsWay {
    outcome: Arc<Outcome>,
    count: u32,
    may_be_written: bool,
}

impl Outlet {
    pub(super) fn new() -> Self {
        Self {
            effects: Effects::default(),
            counters: Counters::default(),
            log: LogBudget::new(),
            unresolved: 0,
            on_its_way: None,
            fatal: None,
            fatal_reason: None,
        }
    }

    pub(super) fn is_drained(&self) -> bool {
        self.unresolved == 0
    }

    pub(super) fn fatal(&self) -> Option<ErrorCode> {
        self.fatal
    }

    pub(super) fn fatal_reason(&self) -> Option<&Arc<str>> {
        self.fatal_reason.as_ref()
    }

    /// A node's pump is to look.
    pub(super) fn wake(&mut self, node: NodeId) {
        self.effects.wake(node);
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.effects.events.push(event);
    }

    /// So many batches entered ledgers.
    pub(super) fn enter(&mut self, batches: usize) {
        self.unresolved += batches;
    }

    /// A batch is about to leave its ledger.
    pub(super) fn note_on_its_way(&mut self, outcome: &Arc<Outcome>, count: u32, may_be_written: bool) {
        self.on_its_way = Some(OnItsWay { outcome: Arc::clone(outcome), count, may_be_written });
    }

    /// A batch that left its ledger has its result.
    pub(super) fn resolve(
        &mut self,
        outcome: Arc<Outcome>,
        batch: Option<Sealed>,
        attempts: u32,
        result: BatchResult,
    ) {
        self.unresolved = self.unresolved.saturating_sub(1);
        if planted!(MemoryKept) && attempts > 1 {
            std::mem::forget(batch.clone());
        }
        if planted!(ResolveTwice) && attempts > 1 {
            let result = BatchResult::Acknowledged { base_offset: -1, log_append_time: None };
            self.effects.resolved.push(Resolution { outcome: Arc::clone(&outcome), result });
        }
        self.effects.released.extend(batch);
        self.tell_result(outcome, result);
        self.on_its_way = None;
    }

    /// The parts of a batch have taken its place: so many more than it was.
    pub(super) fn replace(
        &mut self,
        outcome: Arc<Outcome>,
        children: Box<[(u32, Arc<Outcome>)]>,
        more: usize,
    ) {
        self.unresolved += more;
        self.tell_result(outcome, BatchResult::Split(children));
        self.on_its_way = None;
    }

    /// A batch that was in no ledger has its result.
    pub(super) fn tell_result(&mut self, outcome: Arc<Outcome>, result: BatchResult) {
        self.effects.resolved.push(Resolution { outcome, result });
    }

    /// A batch is given up.
    pub(super) fn note_given_up(
        &mut self,
        (topic, partition): (&TopicName, i32),
        records: u32,
        reason: FailureKind,
        persistence: Persistence,
    ) {
        self.counters.failed += u64::from(records);
        if self.log.take() {
            let topic = topic.clone();
            self.tell(Event::GivenUp { topic, partition, records, reason, persistence });
        }
    }

    /// A leader lacks what was acknowledged before: nobody can bring that back, but somebody should know.
    pub(super) fn note_loss(&mut self, topic: &TopicName, partition: i32) {
        self.counters.losses += 1;
        if self.log.take() {
            self.tell(Event::Lost { topic: topic.clone(), partition });
        }
    }

    /// What there is to say of a failure for which nothing is said yet: why no batch can escape it.
    pub(super) fn explain_fatal(&self, kind: FailureKind) -> Option<String> {
        let is_fatal = self.fatal.is_some_and(|code| kind == FailureKind::Rejected(code));
        self.fatal_reason.as_deref().filter(|_| is_fatal).map(str::to_owned)
    }

    /// No later batch can fare better.
    pub(super) fn give_up_all(&mut self, code: ErrorCode, why: Option<Arc<str>>) {
        if let Some(why) = why {
            self.fatal_reason.get_or_insert(why);
        }
        self.tell(Event::Fatal(code));
        self.fatal.get_or_insert(code);
        self.effects.fatal = self.fatal;
    }

    /// After a panic: each batch that was in a ledger, or on its way, gets a true answer. What was to be done before is still to
    /// be done.
    pub(super) fn tear_down(
        &mut self,
        kind: FailureKind,
        batches: impl Iterator<Item = (Arc<Outcome>, u32, Persistence, Option<Sealed>)>,
    ) {
        let mut owed = Effects::default();
        let on_its_way = self.on_its_way.take().map(|OnItsWay { outcome, count, may_be_written }| {
            let persistence = match may_be_written {
                true => Persistence::PossiblyPersisted,
                false => Persistence::NotPersisted,
            };
            (outcome, count, persistence, None)
        });
        for (outcome, count, persistence, batch) in batches.chain(on_its_way) {
            self.counters.failed += u64::from(count);
            let failure = Failure::new(outcome.topic().clone(), outcome.partition(), kind, persistence);
            let result = BatchResult::Failed(Arc::new(failure));
            owed.resolved.push(Resolution { outcome, result });
            owed.released.extend(batch);
        }
        self.unresolved = 0;
        let before = std::mem::take(&mut self.effects);
        self.owe(before);
        self.owe(owed);
    }

    /// Adds to what is to be done outside what a panic kept from being done: each batch gets one answer, the first that was found
    /// for it.
    pub(super) fn owe(&mut self, effects: Effects) {
        for resolution in effects.resolved {
            let mut known = self.effects.resolved.iter();
            let is_known = known.any(|other| Arc::ptr_eq(&other.outcome, &resolution.outcome));
            if !is_known && !resolution.outcome.is_resolved() {
                self.effects.resolved.push(resolution);
            }
        }
        self.effects.released.extend(effects.released);
        self.effects.events.extend(effects.events);
    }
}
