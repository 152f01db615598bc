//! Which cluster this is, and when another one may take its place (KIP-1242).
//!
//! The first id that a broker names is kept. What a broker of another cluster says is not believed: its address leads
//! elsewhere, be it by a mistake or because the address was given to somebody else. But a cluster may also be gone for
//! good, and begun anew under the same addresses. That shows in what its addresses *answer*; that they are silent proves
//! nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{config::Endpoint, conn::Expectation};

/// The cluster that is kept to, and what its addresses have said since it was last heard.
#[derive(Debug)]
pub(super) struct Kept {
    /// Whether brokers are held against it at all (`metadata.cluster.check.enable`).
    checks: bool,
    /// Whether another one may take its place (`metadata.recovery.strategy`).
    yields: bool,
    /// How long it may be unheard (`metadata.recovery.rebootstrap.trigger.ms`).
    patience: Duration,
    id: Option<Arc<str>>,
    bootstrap: BTreeSet<Endpoint>,
    /// The brokers of its last view, which stay known through a return to the bootstrap list.
    brokers: BTreeSet<Endpoint>,
    /// The addresses where another cluster has answered last, with its id if it named one.
    others: BTreeMap<Endpoint, Option<Arc<str>>>,
    /// The first attempt since it was last heard.
    unheard_since: Option<Instant>,
}

/// What an id in an answer means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Go on.
    Same,
    /// It takes the place of the one that was kept.
    Changed { from: Arc<str> },
    /// It is not to be believed.
    Other,
}

impl Kept {
    pub(super) fn new(checks: bool, yields: bool, patience: Duration, bootstrap: &[Endpoint]) -> Self {
        Self {
            checks,
            yields,
            patience,
            id: None,
            bootstrap: bootstrap.iter().cloned().collect(),
            brokers: BTreeSet::new(),
            others: BTreeMap::new(),
            unheard_since: None,
        }
    }

    pub(super) fn id(&self) -> Option<&Arc<str>> {
        self.id.as_ref()
    }

    /// What a broker must show before it is told anything.
    pub(super) fn expectation(&self) -> Option<Expectation> {
        let id = self.id.clone().filter(|_| self.checks)?;
        Some(Expectation { cluster: id, for_good: !self.yields })
    }

    /// Somebody is asked, or dialled to be asked.
    pub(super) fn trying(&mut self, now: Instant) {
        self.unheard_since.get_or_insert(now);
    }

    /// A broker of the kept cluster has answered.
    pub(super) fn heard(&mut self) {
        self.others.clear();
        self.unheard_since = None;
    }

    /// The brokers of the view are these.
    pub(super) fn note_brokers(&mut self, brokers: impl Iterator<Item = Endpoint>) {
        self.brokers = brokers.collect();
    }

    /// A broker of another cluster answers at an address: of this one, if it has said so.
    pub(super) fn note_other(&mut self, address: &Endpoint, id: Option<&str>, now: Instant) {
        self.trying(now);
        // The table has no more entries than there are addresses.
        if self.addresses().any(|known| known == address) {
            self.others.insert(address.clone(), id.map(Arc::from));
        }
    }

    /// An answer of the broker at an address names its cluster, or none. `is_last`: there is nobody who could be asked before
    /// another cluster is believed in for lack of this one.
    pub(super) fn judge(
        &mut self,
        address: &Endpoint,
        id: Option<&str>,
        is_last: bool,
        now: Instant,
    ) -> Verdict {
        let Some(id) = id else {
            // Unknown: that proves nothing, neither for nor against it.
            self.others.remove(address);
            return Verdict::Same;
        };
        match self.id.clone() {
            Some(kept) if *kept != *id => {
                if self.checks {
                    self.note_other(address, Some(id), now);
                    let is_gone = self.is_taken_over_by(id) || (is_last && self.is_unheard(now));
                    if !(self.yields && is_gone) {
                        return Verdict::Other;
                    }
                }
                self.keep(id);
                Verdict::Changed { from: kept }
            }
            Some(_) => {
                self.heard();
                Verdict::Same
            }
            None => {
                self.keep(id);
                Verdict::Same
            }
        }
    }

    /// Whether no broker of the view is of this cluster any more, by their own words: those of the bootstrap list may know
    /// where it is.
    pub(super) fn is_gone_from_view(&self) -> bool {
        self.yields && !self.brokers.is_empty() && self.brokers.iter().all(|it| self.others.contains_key(it))
    }

    /// Whether another cluster has answered last at an address.
    pub(super) fn is_other(&self, address: &Endpoint) -> bool {
        self.others.contains_key(address)
    }

    /// The brokers of the last view that the bootstrap list does not have, if there is reason to ask them, too.
    pub(super) fn more_addresses(&self) -> impl Iterator<Item = &Endpoint> {
        let is_wanted = !self.others.is_empty();
        self.brokers.iter().filter(move |address| is_wanted && !self.bootstrap.contains(*address))
    }

    /// Whether every address known has answered, and is of that other cluster now.
    fn is_taken_over_by(&self, id: &str) -> bool {
        self.addresses().all(|address| self.others.get(address).is_some_and(|it| it.as_deref() == Some(id)))
    }

    fn is_unheard(&self, now: Instant) -> bool {
        let deadline = self.unheard_since.and_then(|since| since.checked_add(self.patience));
        deadline.is_some_and(|deadline| deadline <= now)
    }

    fn keep(&mut self, id: &str) {
        self.id = Some(Arc::from(id));
        self.heard();
    }

    fn addresses(&self) -> impl Iterator<Item = &Endpoint> {
        self.bootstrap.iter().chain(&self.brokers)
    }
}
