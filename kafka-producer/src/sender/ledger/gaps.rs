//! What a refusal for a gap proves, from the evidence of all batches of a partition together; `docs/reliability.md` has the whole
//! argument.

use std::time::Instant;

use super::{super::sequence::advance, Entry, Evidence, Ledger, Place};
use crate::planted::planted;

/// A batch that was given up, of which nobody knows whether it is in the log.
#[derive(Debug)]
pub(super) struct GivenUp {
    key: u64,
    span: Span,
    evidence: Evidence,
    /// When the leader of now refused the one right behind it: then this one was not the last one in the log.
    passed: Option<u64>,
}

impl GivenUp {
    /// Another leader: who knows what is the last one in its log.
    pub(super) fn forget_leader(&mut self) {
        self.passed = None;
    }

    /// Whether it was not the last one in the log when another one was refused: see [`Evidence::was_absent`].
    fn was_passed(&self, refusal: u64) -> bool {
        self.passed.is_some_and(|passed| passed > refusal || !self.evidence.is_out())
    }
}

/// The numbers of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    first: i32,
    /// The number after the last one.
    pub(super) next: i32,
}

impl<B> Ledger<B> {
    /// The call with the attempt of an entry that is in flight is waited for no longer: it is sent again elsewhere, from then
    /// on.
    pub(in crate::sender) fn abandon(&mut self, at: usize, from: Instant) {
        let Some(entry) = self.entries.get_mut(at) else { return };
        entry.evidence.note_abandoned(entry.attempts);
        entry.place = Place::Waiting(from);
    }

    /// A call came back with an attempt that nobody waits for, answered or lost. It may have been appended at any time until
    /// now: that its batch, or one behind it, was refused for a gap says nothing any more.
    pub(in crate::sender) fn note_back(&mut self, key: u64, attempt: u32, is_lost: bool) {
        // Not there if it was acknowledged since, or if all have gone on to another epoch, of which its numbers are not.
        let first = match self.find(key) {
            Some(at) => {
                let entry = &mut self.entries[at];
                entry.sequence.filter(|_| entry.evidence.note_back(attempt, is_lost))
            }
            None => self.given_up.iter_mut().find(|it| it.key == key).and_then(|it| {
                let is_back = it.evidence.note_back(attempt, is_lost);
                it.passed = it.passed.filter(|_| !is_back);
                is_back.then_some(it.span.first)
            }),
        };
        let Some(first) = first else { return };
        let behind =
            self.entries.iter_mut().filter(|entry| entry.sequence.is_some_and(|it| !is_before(it, first)));
        behind.for_each(|entry| entry.evidence.reopen());
    }

    /// Whether an entry may be in the log, or get there, although nobody sends it again. `is_answered`: if it is in flight,
    /// this attempt is not meant.
    pub(in crate::sender) fn is_doubtful(&self, at: usize, is_answered: bool) -> bool {
        self.entries.get(at).is_some_and(|entry| {
            let is_waited_for = entry.is_in_flight() && !is_answered;
            // With another one before it, a gap that was proven may be closed.
            entry.evidence.is_in_doubt() || is_waited_for || at > 0 && entry.evidence.is_out()
        })
    }

    /// An entry was taken out from `at`, and nobody knows whether it is in the log.
    pub(super) fn lose_track(&mut self, entry: &Entry<B>, at: usize, is_answered: bool) {
        let Some(span) = entry.span() else { return };
        let mut evidence = entry.evidence.clone();
        if entry.is_in_flight() && !is_answered {
            evidence.note_abandoned(entry.attempts);
        }
        let behind = self.entries.get(at).filter(|behind| behind.sequence == Some(span.next));
        let passed = behind.and_then(|behind| behind.evidence.refused());
        self.given_up.push(GivenUp { key: entry.key, span, evidence, passed });
    }

    /// OUT_OF_ORDER for the batch at `at`: what that proves of its attempts, and of those before it. False if nothing: the
    /// answer of a broker that was elected again since, which may have lost what it had.
    ///
    /// A broker takes any number from a producer it does not know, so it knows this one.
    ///
    /// If nothing behind it may be in the log, it is not there either: brokers remember the last batch of a producer,
    /// whatever befalls them. If something may, it proves nothing, since a broker that was restarted remembers no other:
    /// then those behind it are asked for. One that is acknowledged proves that all before it are in the log; when all are
    /// refused, none is.
    ///
    /// So the attempts that were answered did not get it there. Of one that was lost that is proven only if nothing may
    /// close the gap first. Brokers work on requests whose connection is gone: if one that carried a batch before it is still
    /// among them, given up or not, what was sent behind that is appended after all.
    pub(in crate::sender) fn settle_by_gap(&mut self, at: usize, now: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(at).filter(|entry| entry.evidence.is_current()) else {
            return false;
        };
        self.refusals += 1;
        self.known_at = Some(now);
        entry.evidence.note_refused(self.refusals);
        let before = self.given_up.iter_mut().filter(|it| Some(it.span.next) == entry.sequence);
        before.for_each(|it| it.passed = Some(self.refusals));
        for at in 0..self.entries.len() {
            let Some(refusal) = self.entries[at].evidence.unsettled() else { continue };
            let may_follow = self.may_follow(at, refusal) || self.may_follow_given_up(at, refusal);
            if !may_follow || planted!(GapIsFinal) {
                let is_gap_final = self.is_gap_final(at);
                self.entries[at].evidence.refute(is_gap_final);
            }
        }
        true
    }

    /// Whether one behind the entry at `at` is to be asked for, since the refusal of this one proves nothing before.
    pub(super) fn is_decided_behind(&self, at: usize) -> bool {
        let refusal = self.entries.get(at).and_then(|entry| entry.evidence.refused());
        refusal.is_some_and(|refusal| self.may_follow(at, refusal))
    }

    /// Whether an entry behind the one at `at` may have been in the log when that was refused.
    fn may_follow(&self, at: usize, refusal: u64) -> bool {
        self.entries.range(at + 1..).any(|entry| {
            let may_be_there = entry.evidence.is_in_doubt() || entry.is_in_flight();
            entry.sequence.is_some() && may_be_there && !entry.evidence.was_absent(refusal)
        })
    }

    /// The same of those that were given up, as the last one.
    fn may_follow_given_up(&self, at: usize, refusal: u64) -> bool {
        let Some(sequence) = self.entries.get(at).and_then(|entry| entry.sequence) else { return false };
        let mut behind = self.given_up.iter().filter(|it| is_before(sequence, it.span.first));
        behind.any(|it| !it.was_passed(refusal))
    }

    /// Whether nothing may be appended any more that closes the gap before an entry, but what is sent again.
    fn is_gap_final(&self, at: usize) -> bool {
        let may_close = |entry: &Entry<B>| {
            let evidence = &entry.evidence;
            evidence.is_in_doubt() || entry.is_in_flight() && evidence.refused().is_none()
        };
        let Some(sequence) = self.entries.get(at).and_then(|entry| entry.sequence) else { return false };
        if self.entries.range(..at).any(may_close) {
            return false;
        }
        // What was given up stays out if the batch right before it does.
        let mut out: Vec<i32> =
            self.entries.range(..at).filter_map(|entry| Some(entry.span()?.next)).collect();
        let strays = self.given_up.iter().filter(|it| it.evidence.is_out()).map(|it| it.span);
        let mut strays: Vec<Span> = strays.filter(|stray| is_before(stray.first, sequence)).collect();
        strays.sort_unstable_by_key(|stray| stray.first.wrapping_sub(sequence) & i32::MAX);
        strays.iter().all(|stray| {
            let is_out = out.contains(&stray.first);
            out.push(stray.next);
            is_out
        })
    }
}

impl<B> Entry<B> {
    pub(super) fn span(&self) -> Option<Span> {
        self.sequence.map(|first| Span { first, next: advance(first, self.count as i32) })
    }
}

/// Whether a batch of the same epoch is older, by its sequence. Sequences wrap, and few are out at a time.
fn is_before(sequence: i32, other: i32) -> bool {
    let distance = other.wrapping_sub(sequence) & i32::MAX;
    distance != 0 && distance < i32::MAX / 2
}
