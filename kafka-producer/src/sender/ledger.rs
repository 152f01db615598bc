//! [`Ledger`]: the unresolved batches of one partition, in order, and their numbers.
//!
//! A batch enters when it is drained and leaves when it is resolved. It gets its sequence when it is first sent,
//! and keeps it until an answer proves that it was not appended *and* the whole partition is renumbered under a new
//! epoch (a bump).
//!
//! # Invariants
//! * Batches are in the order of their records. Those with a sequence come first, and their sequences follow one
//!   another, but for gaps left by batches that were given up; a gap always comes with a wish to bump.
//! * A batch is sent only if all before it are in flight: a retry goes before anything newer.
//! * No batch gets its first sequence while a bump is wanted.
//! * From the oldest unresolved batch on, no more than a broker remembers are sent, those included that were acknowledged
//!   since: an older one would be taken for out of order although it was appended.
//! * A batch in doubt that is refused for a gap stays so until all those behind it that are in doubt are refused, too: a
//!   broker that was restarted remembers the last batch, and no other.
//! * Until this leader has shown lately that it knows the producer id, one batch is in flight at a time: brokers
//!   take any sequence from an id they do not know, so that a second batch could be appended although the first was
//!   refused.

mod gaps;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use self::gaps::GivenUp;
use super::{
    evidence::Evidence,
    outbox::Link,
    sequence::{Identity, advance},
};
use crate::{delivery::Outcome, planted::planted, timeline::Timeline};

/// The unresolved batches of a partition. `B` is the sealed batch.
#[derive(Debug)]
pub(super) struct Ledger<B> {
    entries: VecDeque<Entry<B>>,
    /// Who numbers the batches of this partition; others may have gone on to a new epoch already.
    identity: Identity,
    /// The sequence the next new batch gets.
    next: i32,
    /// A bump is wanted: see [`is_settled`](Self::is_settled).
    bump: bool,
    /// Batches of this epoch that were given up and may be in the log, or get there. No more than had numbers when the first
    /// of them was given up: from then on a bump is wanted.
    given_up: Vec<GivenUp>,
    last_key: u64,
    /// The [ordinal](Entry::ordinal) that the next batch gets.
    next_ordinal: u64,
    /// When an answer of the partition's leader last showed that it knew the producer id.
    known_at: Option<Instant>,
    /// The offset after the last record that was acknowledged: what comes later stands behind it.
    told_end: i64,
    /// The sequence after the last batch of this identity that was acknowledged while none before it was unresolved.
    acknowledged: Option<i32>,
    /// How many batches were refused for a gap.
    refusals: u64,
    /// How many batches may be in flight: what a broker remembers, or fewer.
    max_in_flight: usize,
}

/// A batch without a final answer.
#[derive(Debug)]
pub(super) struct Entry<B> {
    /// Names the entry for as long as it lives.
    pub(super) key: u64,
    pub(super) sequence: Option<i32>,
    pub(super) count: u32,
    /// Whether it is in the log, for all that is known.
    pub(super) evidence: Evidence,
    /// When its first record came.
    pub(super) begun: Instant,
    /// When it is given up.
    pub(super) deadline: Instant,
    /// How often it was sent.
    pub(super) attempts: u32,
    /// How often in a row it went on to another leader at once; and whether it has to pause before it does so again.
    hops: u32,
    must_rest: bool,
    /// How many batches of the partition were sent before it was first sent under the numbers it has.
    ordinal: Option<u64>,
    pub(super) place: Place,
    pub(super) outcome: Arc<Outcome>,
    /// None while it is sealed or split elsewhere.
    pub(super) batch: Option<B>,
    /// The size counted against `max.request.size`.
    pub(super) size: usize,
    /// When it left its lane.
    pub(super) entered: Instant,
    /// When it could first be sent.
    pub(super) sealed: Option<Instant>,
    /// Since when it is not on the wire.
    pub(super) idle_since: Instant,
    /// When its last back-off ends or ended, if it had one.
    pub(super) rests_until: Option<Instant>,
    /// What came of the attempts that failed.
    pub(super) timeline: Timeline,
}

/// What is left of a batch that was acknowledged. An entry is large; this much of it is still wanted.
#[derive(Debug)]
pub(super) struct Acknowledged<B> {
    pub(super) outcome: Arc<Outcome>,
    pub(super) batch: Option<B>,
    pub(super) count: u32,
    pub(super) begun: Instant,
    pub(super) attempts: u32,
    /// It stands behind all that was acknowledged before.
    pub(super) is_in_place: bool,
}

/// Where the bytes of a batch are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Being sealed, outside every lock.
    Sealing,
    /// Being split, outside every lock.
    Splitting,
    /// Here, not to be sent before this.
    Waiting(Instant),
    /// In a call that went by this link.
    InFlight { link: Link, since: Instant },
}

/// What a batch needs to enter the ledger.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) count: u32,
    pub(super) begun: Instant,
    pub(super) entered: Instant,
    pub(super) deadline: Instant,
    pub(super) outcome: Arc<Outcome>,
    pub(super) size: usize,
}

/// Whether a partition has something to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Candidate {
    /// The entry at this index, now.
    Now(usize),
    /// Something, from this time on.
    At(Instant),
    /// Nothing until something else happens.
    None,
}

impl<B> Ledger<B> {
    pub(super) fn new(max_in_flight: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            identity: Identity::NONE,
            next: 0,
            bump: false,
            given_up: Vec::new(),
            last_key: 0,
            next_ordinal: 0,
            known_at: None,
            told_end: 0,
            acknowledged: None,
            refusals: 0,
            max_in_flight,
        }
    }

    /// Whether one more batch may enter.
    pub(super) fn has_room(&self) -> bool {
        self.entries.len() < self.max_in_flight || planted!(SixthBatch) && self.entries.len() < 9
    }

    /// How many batches are unresolved.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry<B>> {
        self.entries.iter()
    }

    pub(super) fn into_entries(self) -> impl Iterator<Item = Entry<B>> {
        self.entries.into_iter()
    }

    pub(super) fn entry(&self, at: usize) -> Option<&Entry<B>> {
        self.entries.get(at)
    }

    pub(super) fn entry_mut(&mut self, at: usize) -> Option<&mut Entry<B>> {
        self.entries.get_mut(at)
    }

    pub(super) fn find(&self, key: u64) -> Option<usize> {
        self.entries.iter().position(|entry| entry.key == key)
    }

    /// The entry that waits for the answer to this attempt. None if it is resolved, or was sent again since.
    pub(super) fn awaiting(&self, key: u64, attempt: u32) -> Option<usize> {
        let at = self.find(key)?;
        let entry = &self.entries[at];
        (entry.attempts == attempt && matches!(entry.place, Place::InFlight { .. })).then_some(at)
    }

    /// Takes a drained batch in, behind all others, and gives its key.
    pub(super) fn enter(&mut self, arrival: Arrival) -> u64 {
        self.last_key += 1;
        let Arrival { count, begun, entered, deadline, outcome, size } = arrival;
        self.entries.push_back(Entry {
            key: self.last_key,
            sequence: None,
            count,
            evidence: Evidence::default(),
            begun,
            deadline,
            attempts: 0,
            hops: 0,
            must_rest: false,
            ordinal: None,
            place: Place::Sealing,
            outcome,
            batch: None,
            size,
            entered,
            sealed: None,
            idle_since: begun,
            rests_until: None,
            timeline: Timeline::default(),
        });
        self.last_key
    }

    /// The identity and the sequence that the newest batch will be sent with, if all goes well.
    pub(super) fn expected(&self, identity: Identity) -> (Identity, i32) {
        let fresh = self.identity != identity;
        let start = if fresh { 0 } else { self.next };
        let before = self.entries.iter().rev().skip(1).take_while(|entry| entry.sequence.is_none());
        (identity, before.fold(start, |next, entry| advance(next, entry.count as i32)))
    }

    /// What to send next, numbered by `identity` where it has no number yet. `None`: batches go out unnumbered.
    ///
    /// All batches before it are in flight. While a bump is wanted, it is one in doubt that is asked for with its old
    /// numbers. Those before it need not be that are proven not appended, since behind a gap the leader refuses it if it does
    /// not have it; nor those of which the answer for it decides (see [`settle_by_gap`](Self::settle_by_gap)).
    pub(super) fn candidate(&self, now: Instant, identity: Option<Numbers>) -> Candidate {
        let is_known = identity.is_none() || self.is_known(now) || planted!(PipelineToStrangers);
        let is_passed_over = |at: usize, entry: &Entry<B>| {
            let has_answered = || !entry.evidence.is_in_doubt() || self.is_decided_behind(at);
            self.bump && is_known && entry.sequence.is_some() && has_answered()
        };
        let mut in_flight = 0;
        let mut found = (0..).zip(&self.entries).position(|(at, entry)| {
            let is_out = entry.is_in_flight();
            in_flight += usize::from(is_out);
            !is_out && !is_passed_over(at, entry)
        });
        if planted!(RetryOutOfOrder) {
            found = self.entries.iter().rposition(|entry| !matches!(entry.place, Place::InFlight { .. }));
        }
        let Some(at) = found else { return Candidate::None };
        let entry = &self.entries[at];
        let Place::Waiting(from) = entry.place else { return Candidate::None };
        // A broker remembers no more. Parts of a split batch wait here.
        let is_beyond_memory = !planted!(SixthBatch)
            && (in_flight >= self.max_in_flight
                || (identity.is_some()
                    && !self.bump
                    && entry.ordinal.is_none()
                    && self.span() >= self.max_in_flight as u64));
        if is_beyond_memory || (in_flight > 0 && !is_known) {
            return Candidate::None;
        }
        let allowed = match (identity, entry.sequence) {
            (None, _) => true,
            // Proven not appended, and about to be renumbered: sent again with its old number only if that is needed
            // to settle one behind it.
            (Some(_), Some(_)) => {
                !self.bump || self.entries.range(at..).any(|entry| entry.evidence.is_in_doubt())
            }
            (Some(Numbers::Wanted), None) => false,
            (Some(Numbers::Fading(identity)), None) => !self.bump && self.identity == identity,
            (Some(Numbers::By(identity)), None) => {
                !self.bump && (self.identity == identity || self.entries[0].sequence.is_none())
            }
        };
        match allowed {
            true if from <= now => Candidate::Now(at),
            true => Candidate::At(from),
            false => Candidate::None,
        }
    }

    /// How many batches were sent since the oldest one that is unresolved, itself included.
    fn span(&self) -> u64 {
        let oldest = self.entries.iter().filter_map(|entry| entry.ordinal).min();
        oldest.map_or(0, |oldest| self.next_ordinal - oldest)
    }

    /// Whether the leader can be relied on to refuse a gap.
    fn is_known(&self, now: Instant) -> bool {
        self.known_at.is_some_and(|at| now.saturating_duration_since(at) < KNOWN_FOR)
    }

    /// Sends an entry that [`candidate`](Self::candidate) named: numbers it if need be, and gives its number, who
    /// numbered it, and which attempt this is.
    pub(super) fn send(
        &mut self,
        at: usize,
        link: Link,
        now: Instant,
        identity: Option<Identity>,
    ) -> (Identity, i32, u32) {
        if let (Some(identity), None) = (identity, self.entries[at].sequence) {
            if self.identity != identity {
                debug_assert!(at == 0, "another epoch's batches are resolved first");
                self.go_on_as(identity);
            }
            self.entries[at].sequence = Some(self.next);
            self.next = advance(self.next, self.entries[at].count as i32);
        }
        self.entries.range_mut(at + 1..).for_each(|behind| behind.evidence.note_sent_before());
        let entry = &mut self.entries[at];
        if entry.ordinal.is_none() {
            entry.ordinal = Some(self.next_ordinal);
            self.next_ordinal += 1;
        }
        entry.attempts += 1;
        entry.must_rest = false;
        entry.evidence.note_sent();
        entry.place = Place::InFlight { link, since: now };
        match entry.sequence {
            Some(sequence) => (self.identity, sequence, entry.attempts),
            None => (Identity::NONE, NO_SEQUENCE, entry.attempts),
        }
    }

    /// Puts an entry back to be sent from `from` on.
    pub(super) fn requeue(&mut self, at: usize, from: Instant) {
        if let Some(entry) = self.entries.get_mut(at) {
            entry.place = Place::Waiting(from);
            entry.rests_until = Some(from);
        }
    }

    /// Whether an entry may go on to another leader at once. Brokers that name each other as the leader would else be asked in
    /// turn without a pause.
    pub(super) fn may_hop(&mut self, at: usize) -> bool {
        let Some(entry) = self.entries.get_mut(at) else { return false };
        entry.must_rest = entry.hops >= MAX_HOPS;
        entry.hops = if entry.must_rest { 0 } else { entry.hops + 1 };
        !entry.must_rest
    }

    /// What waits for its back-off to end waits no longer: the reason for it may be gone.
    pub(super) fn end_rest(&mut self, now: Instant) {
        for entry in self.entries.iter_mut().filter(|entry| !entry.must_rest) {
            if let Place::Waiting(from) = &mut entry.place {
                *from = (*from).min(now);
                entry.rests_until = entry.rests_until.map(|until| until.min(now));
            }
        }
    }

    /// Takes an acknowledged entry out.
    ///
    /// Its number says that those before it were appended too: the leader would have refused it for a gap. But not where its
    /// offset says that the log is another one, or was cut off; nor if it was on its way to another topic of the same name.
    pub(super) fn acknowledge(
        &mut self,
        at: usize,
        base_offset: i64,
        now: Instant,
    ) -> Option<Acknowledged<B>> {
        let entry = self.entries.remove(at)?;
        let is_in_place = self.note_place(&entry, base_offset);
        if let (0, Some(span)) = (at, entry.span()) {
            self.acknowledged = Some(span.next);
        }
        if is_in_place {
            if entry.sequence.is_some() && entry.evidence.is_current() {
                self.known_at = Some(now);
            }
            let proven = if entry.evidence.is_displaced() { 0 } else { at };
            self.entries.range_mut(..proven).for_each(|before| before.evidence.note_overtaken());
            // The gap before it may have been this one.
            self.entries.range_mut(at..).for_each(|behind| behind.evidence.reopen());
        } else {
            self.forget_log();
        }
        let Entry { outcome, batch, count, begun, attempts, .. } = entry;
        Some(Acknowledged { outcome, batch, count, begun, attempts, is_in_place })
    }

    /// Where a batch stands that was acknowledged. False if records stood there that were acknowledged before: the log does
    /// not have them any more.
    fn note_place(&mut self, entry: &Entry<B>, base_offset: i64) -> bool {
        // What was sent before a leader came may have been answered by that of a topic that is no more.
        let evidence = &entry.evidence;
        if base_offset < 0 || evidence.is_overtaken() || !evidence.is_current() {
            return true;
        }
        let told_end =
            std::mem::replace(&mut self.told_end, base_offset.saturating_add(i64::from(entry.count)));
        base_offset >= told_end
    }

    /// Whether the leader lacks what was acknowledged: it refuses the number that comes right after that, and has none of
    /// those behind it. Told once.
    pub(super) fn take_loss(&mut self) -> bool {
        let is_missing = |it: &Evidence| it.refused().is_some() && !it.is_in_doubt() && it.is_current();
        let head = self.entries.front().filter(|head| is_missing(&head.evidence));
        let has_lost = head.is_some_and(|head| head.sequence.is_some() && head.sequence == self.acknowledged);
        if has_lost {
            self.note_loss();
        }
        has_lost
    }

    /// What was acknowledged is known to be lost: where what comes next will stand says nothing more about that.
    fn note_loss(&mut self) {
        (self.told_end, self.acknowledged) = (0, None);
    }

    /// The partition has another leader: who knows what it knows of the producer. What is in the log stays there.
    pub(super) fn forget(&mut self) {
        self.known_at = None;
        self.entries.iter_mut().for_each(|entry| entry.evidence.forget_leader());
        self.given_up.iter_mut().for_each(GivenUp::forget_leader);
    }

    /// What was in the log may be in none any more.
    fn forget_log(&mut self) {
        self.forget();
        self.entries.iter_mut().for_each(|entry| entry.evidence.forget_log());
    }

    /// An entry that is not in the log although a later one is: the leader did not know the producer when it took that.
    /// Sent again, this one would be out of order.
    pub(super) fn overtaken(&self) -> Option<usize> {
        let is_behind = |entry: &Entry<B>| entry.sequence.is_some() && entry.evidence.is_too_late();
        self.entries.iter().position(|entry| is_behind(entry) && !entry.is_in_flight())
    }

    /// It is another partition under the same name, and its offsets begin anew. `is_by_name`: requests name it by no id.
    pub(super) fn start_over(&mut self, is_by_name: bool) {
        self.forget_log();
        self.note_loss();
        let sent = self.entries.iter_mut().filter(|entry| is_by_name && entry.sequence.is_some());
        sent.for_each(|entry| entry.evidence.note_displaced());
    }

    /// It is a partition of another cluster. What may be in the old log has been given up; nothing of what was sent there, or
    /// answered, counts any more.
    pub(super) fn move_to_another_cluster(&mut self) {
        for entry in &mut self.entries {
            (entry.sequence, entry.ordinal, entry.evidence) = (None, None, Evidence::default());
        }
        self.identity = Identity::NONE;
        (self.next, self.bump) = (0, false);
        self.given_up.clear();
        self.known_at = None;
        self.note_loss();
    }

    /// Takes an entry out that is given up. The number it leaves unused, or possibly used, makes a bump necessary.
    pub(super) fn give_up(&mut self, at: usize, is_answered: bool) -> Option<Entry<B>> {
        let is_doubtful = self.is_doubtful(at, is_answered);
        let entry = self.entries.remove(at)?;
        if is_doubtful && !entry.is_proven() {
            self.lose_track(&entry, at, is_answered);
        }
        if let (true, Some(sequence)) = (planted!(ReuseSequence) && at == self.entries.len(), entry.sequence)
        {
            self.next = sequence;
            return Some(entry);
        }
        self.bump |= entry.sequence.is_some() && !planted!(NoBumpAfterLoss);
        Some(entry)
    }

    /// A bump is needed.
    pub(super) fn want_bump(&mut self) {
        self.bump = true;
    }

    /// Whether a bump is wanted and can be made: each numbered batch is proven not appended.
    pub(super) fn is_settled(&self) -> bool {
        self.bump
            && self.entries.iter().all(|entry| {
                let is_doubtful = entry.evidence.is_in_doubt() && !planted!(RenumberInDoubt);
                let is_out = matches!(entry.place, Place::InFlight { .. }) && !planted!(BumpWhileOut);
                entry.sequence.is_none() || !(is_doubtful || is_out)
            })
    }

    /// Whether its batches wait for a producer id that is not this one, whose epochs are used up.
    pub(super) fn waits_for_another_than(&self, old: Identity) -> bool {
        let is_fresh = || self.identity != old && self.entries.iter().all(|entry| entry.sequence.is_none());
        self.is_settled() || is_fresh()
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// Numbers the batches anew, from zero, under a new epoch or producer id. They keep their back-off, so that a
    /// broker that refuses each epoch is not asked without end.
    pub(super) fn renumber(&mut self, identity: Identity) {
        debug_assert!(self.is_settled(), "only batches proven not appended are renumbered");
        debug_assert!(self.identity != identity, "under another epoch");
        self.bump = false;
        self.go_on_as(identity);
        for entry in self.entries.iter_mut().filter(|entry| entry.sequence.is_some()) {
            entry.ordinal = None;
            entry.evidence.note_renumbered();
            entry.sequence = Some(self.next);
            self.next = advance(self.next, entry.count as i32);
        }
    }

    fn go_on_as(&mut self, identity: Identity) {
        if self.identity.id != identity.id {
            self.known_at = None;
        }
        self.identity = identity;
        // Whatever still comes of them is refused for its epoch.
        self.given_up.clear();
        self.acknowledged = None;
        self.next = 0;
    }

    /// Replaces a batch that was too large by its parts, which take its numbers, its deadline, what is in doubt about it,
    /// and its place.
    pub(super) fn replace(&mut self, key: u64, parts: Vec<(Arc<Outcome>, u32, usize, B)>, now: Instant) {
        let Some(at) = self.find(key) else { return };
        let Some(whole) = self.entries.remove(at) else { return };
        let mut sequence = whole.sequence;
        for (offset, (outcome, count, size, batch)) in parts.into_iter().enumerate() {
            self.last_key += 1;
            let entry = Entry {
                key: self.last_key,
                sequence,
                count,
                evidence: whole.evidence.of_part(),
                begun: whole.begun,
                deadline: whole.deadline,
                attempts: 0,
                hops: 0,
                must_rest: false,
                ordinal: None,
                place: Place::Waiting(now),
                outcome,
                batch: Some(batch),
                size,
                entered: whole.entered,
                sealed: Some(now),
                idle_since: whole.idle_since,
                rests_until: None,
                timeline: whole.timeline.clone(),
            };
            sequence = sequence.map(|base| advance(base, count as i32));
            self.entries.insert(at + offset, entry);
        }
    }
}

#[cfg(test)]
impl<B> Ledger<B> {
    /// As if so many batches had gone before.
    pub(super) fn set_next(&mut self, next: i32) {
        self.next = next;
    }

    /// As if so many bumps had gone before.
    pub(super) fn set_identity(&mut self, identity: Identity) {
        self.identity = identity;
    }
}

impl<B> Entry<B> {
    /// It is in the log, although no answer says so.
    pub(super) fn is_proven(&self) -> bool {
        self.sequence.is_some() && self.evidence.is_proven()
    }

    fn is_in_flight(&self) -> bool {
        matches!(self.place, Place::InFlight { .. })
    }
}

/// Who numbers new batches now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// A producer id is wanted first.
    Wanted,
    /// As `Wanted`, but partitions that are well under this one, whose epochs are used up, go on meanwhile.
    Fading(Identity),
    By(Identity),
}

/// How often in a row a batch goes on to another leader at once.
const MAX_HOPS: u32 = 2;

/// How long after its last acknowledgement a leader is relied on to know the producer id. Brokers forget ids that were
/// idle for `producer.id.expiration.ms`, a day by default, and might be set to less; one round trip after a quiet minute
/// costs nothing.
const KNOWN_FOR: Duration = Duration::from_secs(60);

/// The base sequence of a batch without producer id.
const NO_SEQUENCE: i32 = -1;
