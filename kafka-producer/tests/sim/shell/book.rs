//! What the users of a simulation know of their records, and what must be so in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kafka_wire::ErrorCode;

use super::net::{Net, Stored};
use crate::{Delivery, Persistence, sim::is_strangers};

/// A record's name: who sent it, and the how-manieth of his it is.
pub(super) type Id = (u16, u32);

/// What is known of every record. Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Book(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    fates: BTreeMap<Id, Fate>,
    /// How many records were accepted with a delivery.
    accepted: u64,
    /// How many records without key or partition went to each partition of a topic, and how many bytes.
    anywhere: BTreeMap<String, BTreeMap<i32, (usize, usize)>>,
    violations: Vec<String>,
}

/// What was said of a record to its user.
enum Fate {
    /// It is still the user's: it was refused, or its future was dropped before it was ready.
    Kept,
    /// It may have been accepted: its future was dropped after others of the same call had been accepted.
    Unknown,
    /// It was acknowledged, without an offset.
    Acknowledged,
    /// It was accepted. The twin only looks on.
    Accepted { twin: Delivery, order: Option<u64>, size: usize },
}

/// How strong the promise is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Promise {
    /// No duplicates, and the order of `send`.
    pub(super) is_idempotent: bool,
    /// What is acknowledged is in the log.
    pub(super) is_acknowledged: bool,
}

impl Book {
    pub(super) fn violate(&self, what: impl Into<String>) {
        let mut pages = self.lock();
        if pages.violations.len() < MAX_VIOLATIONS {
            pages.violations.push(what.into());
        }
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    pub(super) fn kept(&self, id: Id) {
        self.lock().fates.insert(id, Fate::Kept);
    }

    pub(super) fn unknown(&self, id: Id) {
        self.lock().fates.insert(id, Fate::Unknown);
    }

    pub(super) fn acknowledged(&self, id: Id) {
        self.lock().fates.insert(id, Fate::Acknowledged);
    }

    pub(super) fn accepted(&self, id: Id, delivery: &Delivery, size: usize) {
        let mut pages = self.lock();
        let order = Some(pages.accepted);
        pages.accepted += 1;
        pages.fates.insert(id, Fate::Accepted { twin: delivery.twin(), order, size });
    }

    /// As [`accepted`](Self::accepted), where others may have sent in between.
    pub(super) fn accepted_late(&self, id: Id, delivery: &Delivery, size: usize) {
        let twin = delivery.twin();
        self.lock().fates.insert(id, Fate::Accepted { twin, order: None, size });
    }

    /// A record that could go anywhere was accepted.
    pub(super) fn went_anywhere(&self, delivery: &Delivery, size: usize) {
        let mut pages = self.lock();
        let partitions = pages.anywhere.entry(delivery.topic().to_owned()).or_default();
        let (count, bytes) = partitions.entry(delivery.partition()).or_default();
        (*count, *bytes) = (*count + 1, *bytes + size);
    }

    /// Records that could go anywhere have gone on when a batch was full, and so to every partition, if they were enough.
    pub(super) fn check_spread(&self, topics: &[(String, i32)], batch_limit: usize) {
        for (topic, count) in topics {
            let went = self.lock().anywhere.get(topic).cloned().unwrap_or_default();
            let (records, bytes) = went.values().fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
            let batches = records.min(bytes / batch_limit.max(1));
            if batches >= ROUNDS * *count as usize && went.len() < *count as usize {
                let what = format!(
                    "{records} records of {bytes} bytes went to {went:?} of {topic}, which has {count}"
                );
                self.violate(format!("{what} partitions; a batch holds {batch_limit} (sticky)"));
            }
        }
    }

    /// Whether a record has no answer yet. None if that is not known: its user has not been told that it was accepted.
    pub(super) fn is_unresolved(&self, id: Id) -> Option<bool> {
        match self.lock().fates.get(&id)? {
            Fate::Unknown => None,
            fate => Some(fate.is_unresolved()),
        }
    }

    /// Records accepted so far whose answer is not there yet.
    pub(super) fn unresolved(&self) -> Vec<Id> {
        let pages = self.lock();
        let open = pages.fates.iter().filter(|(_, fate)| fate.is_unresolved());
        open.map(|(id, _)| *id).collect()
    }

    /// Bytes of keys and values that were accepted and have no answer yet: so much memory at least is taken.
    pub(super) fn unresolved_bytes(&self) -> usize {
        let pages = self.lock();
        let sizes = pages.fates.values().map(|fate| match fate {
            Fate::Accepted { size, .. } if fate.is_unresolved() => *size,
            _ => 0,
        });
        sizes.sum()
    }

    /// Whether a record of the partition was given up, and may be in the log.
    pub(super) fn has_stray(&self, topic: &str, partition: i32) -> bool {
        let is_stray = |fate: &Fate| match fate {
            Fate::Accepted { twin, .. } if (twin.topic(), twin.partition()) == (topic, partition) => {
                let given_up = twin.peek().and_then(Result::err);
                given_up.is_some_and(|error| error.persistence() == Persistence::PossiblyPersisted)
            }
            _ => false,
        };
        self.lock().fates.values().any(is_stray)
    }

    /// How many records were delivered, and how many failed.
    pub(super) fn counts(&self) -> (u64, u64) {
        let pages = self.lock();
        let mut counts = (0, 0);
        for fate in pages.fates.values() {
            if let Fate::Accepted { twin, .. } = fate {
                match twin.peek() {
                    Some(Ok(_)) => counts.0 += 1,
                    Some(Err(_)) => counts.1 += 1,
                    None => {}
                }
            }
        }
        counts
    }

    /// All that is wrong once the producer is gone: I1 to I6 of what is promised.
    pub(super) fn verify(&self, net: &Net, topics: &[(String, i32)], promise: Promise) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut found: BTreeMap<Id, Vec<(&str, i32, i64)>> = BTreeMap::new();
        let pages = self.lock();
        for (topic, count) in topics {
            for partition in 0..*count {
                let log = net.log(topic, partition);
                for (id, offset) in read(&log, &mut wrong) {
                    found.entry(id).or_default().push((topic, partition, offset));
                }
                if promise.is_idempotent {
                    pages.check_order(&log, &format!("{topic}-{partition}"), &mut wrong);
                }
            }
        }
        let lived_on: BTreeSet<Id> = found.keys().copied().collect();
        let ended = net.ended_logs();
        for (topic, partition, log) in &ended {
            for (id, offset) in read(log, &mut wrong) {
                found.entry(id).or_default().push((topic, *partition, offset));
            }
            if promise.is_idempotent {
                pages.check_order(log, &format!("{topic}-{partition} of a cluster that ended"), &mut wrong);
            }
        }
        let mut deleted: BTreeMap<Id, Vec<(&str, i32, i64)>> = BTreeMap::new();
        let deleted_logs = net.deleted_logs();
        for (topic, partition, log) in &deleted_logs {
            for (id, offset) in read(log, &mut wrong) {
                deleted.entry(id).or_default().push((topic, *partition, offset));
            }
            if promise.is_idempotent {
                pages.check_order(log, &format!("{topic}-{partition} that was deleted"), &mut wrong);
            }
        }
        for id in found.keys().filter(|id| !pages.fates.contains_key(*id)) {
            wrong.push(format!("record {id:?} is in the log, and nobody sent it (I2)"));
        }
        for (id, fate) in &pages.fates {
            let places = found.get(id).map_or(&[][..], Vec::as_slice);
            if promise.is_idempotent && places.len() > 1 {
                wrong.push(format!("record {id:?} is in the log {} times: {places:?} (I2)", places.len()));
            }
            let is_lost = !places.is_empty() && !lived_on.contains(id) && !net.is_vouched_for(*id);
            if is_lost && promise.is_acknowledged && fate.is_acknowledged() {
                wrong.push(format!("record {id:?} was acknowledged by a cluster that has it in no log (I1)"));
            }
            // What is said to be there may have been there.
            let was_there = deleted.get(id).filter(|_| fate.is_said_to_be_there());
            let all: Vec<_> = places.iter().chain(was_there.into_iter().flatten()).copied().collect();
            let places = all.as_slice();
            wrong.extend(
                fate.contradiction(places, promise)
                    .map(|what| format!("record {id:?} {what}, log: {places:?}")),
            );
        }
        wrong
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    /// I3: a partition's log has the order in which its records were accepted.
    fn check_order(&self, log: &[Stored], place: &str, wrong: &mut Vec<String>) {
        let mut last_of: BTreeMap<u16, u32> = BTreeMap::new();
        let mut last = None;
        for (id, offset) in read(log, &mut Vec::new()) {
            if let Some(before) = last_of.insert(id.0, id.1) {
                if before >= id.1 {
                    wrong.push(format!("{place}: at {offset} record {id:?} stands behind {before} (I3)"));
                }
            }
            if let Some(Fate::Accepted { order: Some(order), .. }) = self.fates.get(&id) {
                if last.is_some_and(|last| last > *order) {
                    wrong.push(format!("{place}: at {offset} record {id:?} was accepted earlier (I3)"));
                }
                last = Some(*order);
            }
        }
    }
}

impl Fate {
    fn is_unresolved(&self) -> bool {
        matches!(self, Self::Accepted { twin, .. } if twin.peek().is_none())
    }

    /// Acknowledged, or failed although it was written.
    fn is_said_to_be_there(&self) -> bool {
        let error = match self {
            Self::Accepted { twin, .. } => twin.peek().and_then(Result::err),
            _ => None,
        };
        self.is_acknowledged() || error.is_some_and(|it| it.persistence() == Persistence::Persisted)
    }

    fn is_acknowledged(&self) -> bool {
        match self {
            Self::Acknowledged => true,
            Self::Accepted { twin, .. } => matches!(twin.peek(), Some(Ok(_))),
            Self::Kept | Self::Unknown => false,
        }
    }

    /// What the log says against what the user was told.
    fn contradiction(&self, places: &[(&str, i32, i64)], promise: Promise) -> Option<String> {
        let is_there = !places.is_empty();
        match self {
            Self::Kept => is_there.then(|| "was not accepted, and was written (I6)".to_owned()),
            Self::Unknown => None,
            Self::Acknowledged => (promise.is_acknowledged && !is_there)
                .then(|| "was acknowledged by a sink, and is lost (I1)".to_owned()),
            Self::Accepted { twin, .. } => match twin.peek() {
                None => Some("has no answer (I5)".to_owned()),
                Some(Ok(_)) if !promise.is_acknowledged => None,
                Some(Ok(_)) if !is_there => Some("was acknowledged, and is lost (I1)".to_owned()),
                Some(Ok(metadata)) => {
                    let offset = metadata.offset?;
                    let here =
                        |place: &(&str, i32, i64)| *place == (twin.topic(), metadata.partition, offset);
                    (!places.iter().any(here)).then(|| format!("was acknowledged as {metadata:?} (I4)"))
                }
                Some(Err(error))
                    if promise.is_idempotent
                        && error.code() == Some(ErrorCode::DUPLICATE_SEQUENCE_NUMBER) =>
                {
                    Some(format!("was given up because a broker has it: {error} (I1)"))
                }
                Some(Err(error)) => match error.persistence() {
                    Persistence::NotPersisted if is_there => {
                        Some(format!("was said not to be written: {error} (I6)"))
                    }
                    Persistence::Persisted if !is_there => {
                        Some(format!("was said to be written: {error} (I6)"))
                    }
                    _ => None,
                },
            },
        }
    }
}

/// The value of a record, of at least [`MIN_VALUE`] bytes.
pub(super) fn value(id: Id, size: usize) -> Vec<u8> {
    let size = size.max(MIN_VALUE);
    let mut value = Vec::with_capacity(size);
    value.extend(id.0.to_be_bytes());
    value.extend(id.1.to_be_bytes());
    value.extend(u32::try_from(size).expect("a small record").to_be_bytes());
    value.extend((MIN_VALUE..size).map(|at| pattern(id, at)));
    value
}

fn pattern(id: Id, at: usize) -> u8 {
    (usize::from(id.0) * 31 + id.1 as usize * 7 + at) as u8
}

/// The records of a log with their offsets; what is no record of ours is wrong.
fn read(log: &[Stored], wrong: &mut Vec<String>) -> Vec<(Id, i64)> {
    let mut ids = Vec::new();
    let mut next = None;
    for stored in log {
        if next.is_some_and(|next| next != stored.offset) {
            wrong.push(format!("offset {} where {next:?} was expected (I4)", stored.offset));
        }
        next = Some(stored.offset + 1);
        match parse(&stored.value) {
            Some(id) => ids.push((id, stored.offset)),
            None if is_strangers(&stored.value) => {}
            None => wrong.push(format!("at {} stands what nobody wrote (I2)", stored.offset)),
        }
    }
    ids
}

/// The record with this value.
pub(super) fn parse(value: &[u8]) -> Option<Id> {
    let (user, rest) = value.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let (size, rest) = rest.split_first_chunk()?;
    let id = (u16::from_be_bytes(*user), u32::from_be_bytes(*number));
    let whole = u32::from_be_bytes(*size) as usize == value.len();
    let intact = rest.iter().zip(MIN_VALUE..).all(|(byte, at)| *byte == pattern(id, at));
    (whole && intact).then_some(id)
}

/// The size of what every value begins with.
const MIN_VALUE: usize = 10;

/// Batches for each partition, after which there is none without.
const ROUNDS: usize = 6;

const MAX_VIOLATIONS: usize = 20;
