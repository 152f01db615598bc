//! [`Offers`]: what partitions offer to a node.
//!
//! # Invariants
//! * A partition makes one offer at a time, to its leader: all others of it are void, wherever they still are. Its [`Standing`]
//!   says which one counts.
//! * An offer stands only while something can be sent, now (`sendable`) or from a time on (`later`). Whatever ends another kind
//!   of wait offers the partition again.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use super::super::LaneId;

/// A partition has something for a node. Void if the partition has made another offer since.
#[derive(Debug, Clone, Copy)]
pub(in crate::sender) struct Offer {
    pub(in crate::sender) lane: LaneId,
    number: u64,
}

/// What a partition knows of its offer.
#[derive(Debug, Default)]
pub(in crate::sender) struct Standing {
    /// The number of the offer to its leader that stands, if one does.
    offer: Option<u64>,
    /// That offer holds from a later time on.
    rests: bool,
}

impl Standing {
    /// Whether this offer is the one that stands.
    pub(in crate::sender) fn is(&self, offer: Offer) -> bool {
        self.offer == Some(offer.number)
    }

    /// No offer stands any more.
    pub(in crate::sender) fn withdraw(&mut self) {
        *self = Self::default();
    }

    /// An offer that rested holds from now on. False if it does not stand.
    pub(in crate::sender) fn ripen(&mut self, offer: Offer) -> bool {
        let stands = self.is(offer);
        self.rests &= !stands;
        stands
    }

    /// Makes an offer with the next number, unless one stands. One that rests may hold from now on: it is looked at again.
    pub(super) fn renew(&mut self, lane: LaneId, last: &mut u64) -> Option<Offer> {
        if self.offer.is_some() && !self.rests {
            return None;
        }
        *last += 1;
        *self = Self { offer: Some(*last), rests: false };
        Some(Offer { lane, number: *last })
    }
}

/// What partitions offer to a node.
#[derive(Debug, Default)]
pub(in crate::sender) struct Offers {
    /// Partitions with a batch in the ledger that can be sent, in turn.
    sendable: VecDeque<Offer>,
    /// Partitions with a batch that can be sent from a time on, by that time and the offer's number.
    later: BTreeMap<(Instant, u64), LaneId>,
}

impl Offers {
    /// An offer holds, behind all others.
    pub(in crate::sender) fn add(&mut self, offer: Offer) {
        self.sendable.push_back(offer);
    }

    /// The first offer that holds, without looking whether it stands.
    pub(in crate::sender) fn pop(&mut self) -> Option<Offer> {
        self.sendable.pop_front()
    }

    /// An offer that was [taken out](Self::pop) is the next one again.
    pub(in crate::sender) fn put_back(&mut self, offer: Offer) {
        self.sendable.push_front(offer);
    }

    /// An offer that was taken out holds from a time on.
    pub(in crate::sender) fn rest(&mut self, offer: Offer, standing: &mut Standing, time: Instant) {
        standing.rests = true;
        self.later.insert((time, offer.number), offer.lane);
    }

    /// Those that rested until now hold, if their partitions say so: see [`Standing::ripen`].
    pub(super) fn ripen(&mut self, mut stands: impl FnMut(Offer) -> bool, now: Instant) {
        while let Some(first) = self.later.first_entry().filter(|first| first.key().0 <= now) {
            let ((_, number), lane) = first.remove_entry();
            let offer = Offer { lane, number };
            if stands(offer) {
                self.sendable.push_back(offer);
            }
        }
    }

    /// From when on the first of those that rest holds.
    pub(in crate::sender) fn next(&self) -> Option<Instant> {
        self.later.first_key_value().map(|((time, _), _)| *time)
    }

    pub(super) fn sendable(&self) -> impl Iterator<Item = Offer> {
        self.sendable.iter().copied()
    }

    pub(in crate::sender) fn sendable_count(&self) -> usize {
        self.sendable.len()
    }

    pub(super) fn has_sendable(&self) -> bool {
        !self.sendable.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.sendable.len() + self.later.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sendable.is_empty() && self.later.is_empty()
    }
}
