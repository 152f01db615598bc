//! [`Evidence`]: what is known of whether a batch is in the log, or may get there.
//!
//! What happens to its attempts and around it is noted here, one method for each kind of event; what follows from the evidence of
//! several batches together the ledger works out (`ledger/gaps.rs`). It speaks of the numbers that a batch has: with others it
//! begins anew.

use super::disposition::Appended;
use crate::planted::planted;

/// What is known of the attempts of one batch, and of what stands around it.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    /// An attempt that may have been appended, or may still be, has no answer that settles it.
    doubt: bool,
    /// The last attempt went to who leads the partition now, as far as is known.
    is_current: bool,
    /// An attempt was lost with its connection, without an answer: it may still lie with a broker, which may append it. One
    /// that was answered is dealt with, whatever the answer.
    is_at_large: bool,
    /// Attempts that nobody waits for any more, and whose calls are not back.
    abandoned: Vec<u32>,
    /// A later batch was acknowledged: with numbers, this one is in the log, or gets there out of order if at all.
    is_overtaken: bool,
    /// It was sent to another topic of the same name, which brokers may have taken for this one.
    is_displaced: bool,
    /// When the leader of now refused it for a gap, by the number of that refusal, if since then neither it nor one before it was
    /// sent or came back.
    refused: Option<u64>,
}

impl Evidence {
    /// Whether it may be in the log, or get there with what is sent again.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.doubt
    }

    pub(super) fn is_current(&self) -> bool {
        self.is_current
    }

    /// Whether an attempt without an answer may still lie with a broker.
    pub(super) fn is_out(&self) -> bool {
        self.is_at_large || !self.abandoned.is_empty()
    }

    /// The number of the refusal, while it counts.
    pub(super) fn refused(&self) -> Option<u64> {
        self.refused
    }

    /// The same of one in doubt that is not proven to be there: what stands behind it decides.
    pub(super) fn unsettled(&self) -> Option<u64> {
        self.refused.filter(|_| self.doubt && !self.is_overtaken)
    }

    /// Whether it was not in the log when another one was refused: it was refused later; or earlier, and no attempt was out that
    /// could get it there in between.
    pub(super) fn was_absent(&self, refusal: u64) -> bool {
        self.refused.is_some_and(|its| its > refusal || !self.is_out())
    }

    pub(super) fn is_overtaken(&self) -> bool {
        self.is_overtaken
    }

    pub(super) fn is_displaced(&self) -> bool {
        self.is_displaced
    }

    /// Whether it is in the log, although no answer says so.
    pub(super) fn is_proven(&self) -> bool {
        self.is_overtaken && self.doubt
    }

    /// Whether it is not in the log although a later one is.
    pub(super) fn is_too_late(&self) -> bool {
        self.is_overtaken && !self.doubt
    }

    /// It is sent.
    pub(super) fn note_sent(&mut self) {
        (self.is_current, self.refused) = (true, None);
    }

    /// One before it is sent, and may close a gap: attempts that still lie with a broker may follow, and that it was refused
    /// for the gap says nothing any more.
    pub(super) fn note_sent_before(&mut self) {
        self.doubt |= self.is_out();
        self.refused = None;
    }

    /// An attempt that was waited for has an answer.
    pub(super) fn note_answer(&mut self, appended: Appended) {
        self.doubt &= !planted!(DoubtForgotten);
        self.doubt |= appended == Appended::Maybe;
    }

    /// A response came that does not say what became of an attempt.
    pub(super) fn note_silence(&mut self) {
        self.doubt = true;
    }

    /// An attempt that was waited for was lost.
    pub(super) fn note_lost(&mut self, is_numbered: bool) {
        self.doubt = true;
        self.is_at_large |= is_numbered;
    }

    /// This attempt is waited for no longer.
    pub(super) fn note_abandoned(&mut self, attempt: u32) {
        self.doubt |= !planted!(MoveLeavesNoDoubt);
        self.abandoned.push(attempt);
    }

    /// The call with an attempt that nobody waited for came back, answered or lost. False if there is none.
    pub(super) fn note_back(&mut self, attempt: u32, is_lost: bool) -> bool {
        let found = self.abandoned.iter().position(|it| *it == attempt);
        self.is_at_large |= is_lost && found.is_some();
        found.map(|found| self.abandoned.swap_remove(found)).is_some()
    }

    /// Something may have been appended since it was refused, this one or what was missing before it.
    pub(super) fn reopen(&mut self) {
        self.refused = None;
    }

    /// The leader of now refused it for a gap.
    pub(super) fn note_refused(&mut self, refusal: u64) {
        self.refused = Some(refusal);
    }

    /// When it was refused, it was not in the log. It may get there only by an attempt that is out, and not if the gap before
    /// it is final.
    pub(super) fn refute(&mut self, is_gap_final: bool) {
        self.doubt = !is_gap_final && self.is_out();
    }

    /// A later one is in the log.
    pub(super) fn note_overtaken(&mut self) {
        self.is_overtaken = true;
    }

    /// Another leader, or the same one again: what it refused, nobody knows. What is in the log stays there.
    pub(super) fn forget_leader(&mut self) {
        (self.is_current, self.refused) = (false, None);
    }

    /// What was in the log may be in none any more.
    pub(super) fn forget_log(&mut self) {
        self.is_overtaken = false;
    }

    /// The topic was made again, and brokers tell topics by their names: what was on its way to the old one, the new one may have
    /// taken, whatever its number. That it is there proves nothing of those before it.
    pub(super) fn note_displaced(&mut self) {
        self.is_displaced = true;
    }

    /// It has other numbers: whatever still comes of the old ones is refused.
    pub(super) fn note_renumbered(&mut self) {
        (self.is_at_large, self.is_displaced, self.refused) = (false, false, None);
        self.abandoned.clear();
    }

    /// The evidence of a part, when it is split. Nothing of the whole is out that could still be appended, or it would not be.
    pub(super) fn of_part(&self) -> Self {
        let doubt = self.doubt && !planted!(PartsWithoutDoubt);
        Self { doubt, is_overtaken: self.is_overtaken, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost() -> Evidence {
        let mut evidence = Evidence::default();
        evidence.note_sent();
        evidence.note_lost(true);
        evidence
    }

    #[test]
    fn a_refusal_of_a_later_attempt_settles_no_earlier_one() {
        let mut evidence = lost();
        evidence.note_sent();
        evidence.note_answer(Appended::No);
        assert!(evidence.is_in_doubt());
    }

    #[test]
    fn what_is_out_may_get_there_unless_the_gap_before_it_is_final() {
        let mut evidence = lost();
        evidence.refute(false);
        assert!(evidence.is_in_doubt());
        evidence.refute(true);
        assert!(!evidence.is_in_doubt());
        evidence.note_sent_before();
        assert!(evidence.is_in_doubt(), "the gap may be closed");
    }

    #[test]
    fn what_was_answered_is_not_out() {
        let mut evidence = Evidence::default();
        evidence.note_abandoned(1);
        evidence.note_abandoned(2);
        assert!(evidence.note_back(1, false) && evidence.is_out());
        assert!(evidence.note_back(2, false) && !evidence.is_out());
        assert!(!evidence.note_back(2, true) && !evidence.is_out(), "it is back already");
        assert!(evidence.is_in_doubt(), "what it was answered, nobody looked at");
        evidence.note_abandoned(3);
        assert!(evidence.note_back(3, true) && evidence.is_out());
    }

    #[test]
    fn a_refusal_counts_until_something_may_have_changed() {
        let events: [fn(&mut Evidence); 4] =
            [Evidence::note_sent, Evidence::note_sent_before, Evidence::reopen, Evidence::forget_leader];
        for event in events {
            let mut evidence = lost();
            evidence.note_refused(1);
            event(&mut evidence);
            assert!(evidence.refused().is_none() && evidence.is_in_doubt());
        }
    }

    #[test]
    fn what_was_refused_first_may_have_been_there_later_only_by_an_attempt_that_is_out() {
        let mut evidence = Evidence::default();
        assert!(!evidence.was_absent(2), "nobody asked");
        evidence.note_refused(1);
        assert!(evidence.was_absent(2));
        evidence.note_abandoned(1);
        assert!(!evidence.was_absent(2));
        evidence.note_refused(3);
        assert!(evidence.was_absent(2));
    }

    #[test]
    fn what_is_overtaken_is_in_the_log_or_comes_too_late() {
        let mut evidence = lost();
        evidence.note_refused(1);
        evidence.note_overtaken();
        assert!(evidence.is_proven() && !evidence.is_too_late());
        assert_eq!(evidence.unsettled(), None, "its refusal proves nothing any more");
        evidence.forget_leader();
        assert!(evidence.is_proven(), "what is in the log stays there");
        evidence.forget_log();
        assert!(!evidence.is_proven());
        evidence.refute(true);
        evidence.note_overtaken();
        assert!(evidence.is_too_late());
    }

    #[test]
    fn nothing_of_the_old_numbers_is_out_under_new_ones() {
        let mut evidence = lost();
        evidence.note_abandoned(2);
        evidence.refute(true);
        evidence.note_renumbered();
        assert!(!evidence.is_out());
        evidence.note_sent_before();
        assert!(!evidence.is_in_doubt());
    }
}
