//! [`IdentityMachine`]: who numbers the batches, and who is asked for that.
//!
//! It owns the state of the producer's identity, when there was none, and who did not give one. The state changes in one place,
//! by one table, [`IdentityState::after`], in which each event is a row.
//!
//! # Invariants
//! * Without idempotence there is no identity, whatever happens; with it there is always one, or one is asked for.
//! * An identity that is taken has numbers that were never given: it is another id than the one whose epochs are used up, or a
//!   later epoch of it.
//! * The timers `Identity` and `Elsewhere` are those of the state: set when it is entered, over once they were looked at.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use kafka_net::{Answer, CallResult, ClusterView, Metadata, Pick};
use kafka_wire::{ErrorCode, NodeId};

use super::{
    call::Reply,
    ledger::Numbers,
    sequence::Identity,
    timers::{Due, Timer, Timers},
    waits::Spans,
};

/// The identity of the producer.
#[derive(Debug)]
pub(super) struct IdentityMachine {
    state: IdentityState,
    /// When there was none.
    nameless: Spans,
    refusals: Refusals,
}

/// Whether and how batches are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdentityState {
    /// Idempotence is off.
    Off,
    /// A producer id is to be asked for, not before the time if there is one. `old` is the one whose epochs are used up.
    Wanted {
        not_before: Option<Instant>,
        failures: u32,
        old: Option<Identity>,
    },
    /// A node has been asked for it, or will be. One more is asked after `until`, if there is one.
    Asked {
        failures: u32,
        node: NodeId,
        until: Option<Instant>,
        old: Option<Identity>,
    },
    Known(Identity),
}

/// What can happen to the identity.
#[derive(Debug, Clone, Copy)]
enum IdentityEvent {
    /// A node is asked for a producer id, and one more after the time, if there is one.
    NodeAsked { node: NodeId, until: Option<Instant> },
    /// A node has given one. If it cannot be used, it is asked again from the time on.
    IdGiven { identity: Identity, again: Instant },
    /// A node has refused, or its answer was lost. It is asked again from the time on.
    IdRefused { again: Instant },
    /// The connection of a node is down.
    NodeDown(NodeId),
    /// A partition needs an epoch that none of its numbers were given under.
    EpochNeeded,
    /// What is known is the identity in another cluster.
    ClusterChanged,
}

impl IdentityState {
    /// The transition table: each event is a row, and says what comes of it in which state.
    fn after(self, event: IdentityEvent) -> Self {
        match (event, self) {
            (
                IdentityEvent::NodeAsked { node, until },
                Self::Wanted { failures, old, .. } | Self::Asked { failures, old, .. },
            ) => Self::Asked { failures, node, until, old },
            (IdentityEvent::NodeAsked { .. }, Self::Off | Self::Known(_)) => self,

            // Also where the one who gave it was not waited for any more.
            (
                IdentityEvent::IdGiven { identity, again },
                Self::Wanted { failures, old, .. } | Self::Asked { failures, old, .. },
            ) => match identity.is_newer_than(old) {
                true => Self::Known(identity),
                // Its numbers were given before.
                false => Self::wanted_again(again, failures, old),
            },
            (IdentityEvent::IdGiven { .. }, Self::Off | Self::Known(_)) => self,

            (IdentityEvent::IdRefused { again }, Self::Asked { failures, old, .. }) => {
                Self::wanted_again(again, failures, old)
            }
            // It took long, and another one is asked in a while.
            (IdentityEvent::IdRefused { .. }, Self::Off | Self::Wanted { .. } | Self::Known(_)) => self,

            (IdentityEvent::NodeDown(down), Self::Asked { node, failures, old, .. }) if node == down => {
                Self::Wanted { not_before: None, failures, old }
            }
            (IdentityEvent::NodeDown(_), _) => self,

            (IdentityEvent::EpochNeeded, Self::Known(identity)) => match identity.bumped() {
                Some(next) => Self::Known(next),
                // The epochs are used up.
                None => Self::Wanted { not_before: None, failures: 0, old: Some(identity) },
            },
            (IdentityEvent::EpochNeeded, Self::Off | Self::Wanted { .. } | Self::Asked { .. }) => self,

            (IdentityEvent::ClusterChanged, Self::Off) => self,
            // Whoever was asked was asked in the old cluster: its answer is not taken.
            (IdentityEvent::ClusterChanged, Self::Wanted { .. } | Self::Asked { .. } | Self::Known(_)) => {
                Self::Wanted { not_before: None, failures: 0, old: None }
            }
        }
    }

    fn wanted_again(again: Instant, failures: u32, old: Option<Identity>) -> Self {
        Self::Wanted { not_before: Some(again), failures: failures.saturating_add(1), old }
    }
}

/// Who was asked for a producer id in vain, since there was one last.
#[derive(Debug, Default)]
struct Refusals {
    /// Nodes that do not know InitProducerId: they are no brokers.
    unable: BTreeSet<NodeId>,
    /// Nodes that answered with a code that no broker should give: others are asked first.
    odd: BTreeSet<NodeId>,
    /// How many such answers there were.
    odd_answers: u32,
    /// Until then another one is waited for that is being connected to.
    elsewhere_until: Option<Instant>,
}

/// What came of an answer to InitProducerId.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// There is an identity.
    Given(Identity),
    /// It is asked for again.
    NotYet,
    /// It is asked for again, and what waits for it is told that there is no right to it. What goes on under the `old` one is
    /// not concerned.
    Unauthorised { code: ErrorCode, old: Option<Identity> },
    /// None will ever be given.
    Hopeless { code: ErrorCode, why: Option<Arc<str>> },
}

impl IdentityMachine {
    pub(super) fn new(is_idempotent: bool, timers: &mut Timers) -> Self {
        let (state, nameless) = match is_idempotent {
            true => (IdentityState::Wanted { not_before: None, failures: 0, old: None }, Spans::missing()),
            false => (IdentityState::Off, Spans::there()),
        };
        let machine = Self { state, nameless, refusals: Refusals::default() };
        machine.arm(timers);
        machine
    }

    /// Whether batches are numbered.
    pub(super) fn is_idempotent(&self) -> bool {
        !matches!(self.state, IdentityState::Off)
    }

    pub(super) fn known(&self) -> Option<Identity> {
        match self.state {
            IdentityState::Known(identity) => Some(identity),
            _ => None,
        }
    }

    /// Who numbers new batches. None: nobody does.
    pub(super) fn numbers(&self) -> Option<Numbers> {
        match self.state {
            IdentityState::Off => None,
            IdentityState::Wanted { old: Some(old), .. } | IdentityState::Asked { old: Some(old), .. } => {
                Some(Numbers::Fading(old))
            }
            IdentityState::Wanted { .. } | IdentityState::Asked { .. } => Some(Numbers::Wanted),
            IdentityState::Known(identity) => Some(Numbers::By(identity)),
        }
    }

    /// When there was none.
    pub(super) fn nameless(&self) -> &Spans {
        &self.nameless
    }

    /// Time is looked at. Gives whom to ask, or to connect to, for a producer id, if one is to be asked for now. `load`: what
    /// speaks against asking a node. `is_connecting`: some node is being connected to.
    pub(super) fn poll_ask(
        &mut self,
        metadata: &mut Metadata,
        load: impl Fn(NodeId) -> Option<usize>,
        is_connecting: impl FnOnce() -> bool,
        now: Instant,
        timers: &mut Timers,
    ) -> Option<Pick> {
        timers.pass(Timer::Identity, now);
        timers.pass(Timer::Elsewhere, now);
        let asked = match self.state {
            IdentityState::Wanted { not_before, .. } if not_before.is_none_or(|time| time <= now) => None,
            // Who was asked may be frozen: one more is asked, and the first answer counts.
            IdentityState::Asked { node, until: Some(until), .. } if until <= now => Some(node),
            _ => return None,
        };
        let refusals = &self.refusals;
        let is_able = |id: NodeId| asked != Some(id) && !refusals.unable.contains(&id);
        let load = |id: NodeId| if is_able(id) { load(id) } else { None };
        let mut pick = metadata.pick(|id| load(id).filter(|_| !refusals.odd.contains(&id)), now);
        let is_another_coming = is_connecting() && refusals.elsewhere_until.is_some_and(|until| now < until);
        if matches!(pick, Pick::Wait | Pick::Nobody) && !refusals.odd.is_empty() && !is_another_coming {
            pick = metadata.pick(load, now);
        }
        if let Pick::Ready(node) = pick {
            let until = if asked.is_none() { now.checked_add(PATIENCE) } else { None };
            self.handle(IdentityEvent::NodeAsked { node, until }, now, timers);
        }
        Some(pick)
    }

    /// How many answers were in vain before this one; none if this one says nothing.
    pub(super) fn failures_before(&self, result: &CallResult<Reply>) -> Option<u32> {
        match self.state {
            IdentityState::Asked { failures, .. } => Some(failures),
            // It took long, and is to be asked for again; now it need not be.
            IdentityState::Wanted { failures, .. } => Some(failures).filter(|_| given(result).is_some()),
            IdentityState::Known(_) | IdentityState::Off => None,
        }
    }

    /// A node has answered a request for a producer id that is not [beside the point](Self::failures_before). If it was in vain,
    /// it is asked for again from a time on.
    pub(super) fn handle_reply(
        &mut self,
        node: NodeId,
        result: &CallResult<Reply>,
        again: Instant,
        view: &ClusterView,
        now: Instant,
        timers: &mut Timers,
    ) -> Heard {
        let old = match self.state {
            IdentityState::Wanted { old, .. } | IdentityState::Asked { old, .. } => old,
            IdentityState::Off | IdentityState::Known(_) => None,
        };
        if let Some(identity) = given(result) {
            self.handle(IdentityEvent::IdGiven { identity, again }, now, timers);
            return self.known().map_or(Heard::NotYet, Heard::Given);
        }
        let heard = match result {
            Ok(Answer::Reply { body: Reply::InitProducerId(response), .. }) => match response.error_code {
                code if code.is_retriable() => Heard::NotYet,
                // The right may be granted while we run: what waits is told now, what comes later may fare better.
                code @ ErrorCode::CLUSTER_AUTHORIZATION_FAILED => Heard::Unauthorised { code, old },
                ErrorCode::UNSUPPORTED_VERSION => {
                    self.note_unable(node, "it refuses InitProducerId in each version", view)
                }
                code => self.note_odd(node, code, now),
            },
            Err(error) if error.is_unsupported_version() => self.note_unable(node, &error.to_string(), view),
            _ => Heard::NotYet,
        };
        self.handle(IdentityEvent::IdRefused { again }, now, timers);
        heard
    }

    /// The connection of a node is down: another program may listen there by and by.
    pub(super) fn handle_down(&mut self, node: NodeId, now: Instant, timers: &mut Timers) {
        self.refusals.unable.remove(&node);
        self.handle(IdentityEvent::NodeDown(node), now, timers);
    }

    /// Another cluster has taken the place of the one there was.
    pub(super) fn handle_cluster_change(&mut self, now: Instant, timers: &mut Timers) {
        self.refusals = Refusals::default();
        self.handle(IdentityEvent::ClusterChanged, now, timers);
    }

    /// A partition that is numbered by `used` needs other numbers: gives who gives them. None: the epochs are used up, and a
    /// producer id is asked for. Not to be called unless there is an identity.
    pub(super) fn next_for(&mut self, used: Identity, now: Instant, timers: &mut Timers) -> Option<Identity> {
        if self.known() == Some(used) {
            self.handle(IdentityEvent::EpochNeeded, now, timers);
        }
        self.known()
    }

    /// An event has happened.
    fn handle(&mut self, event: IdentityEvent, now: Instant, timers: &mut Timers) {
        let was_known = matches!(self.state, IdentityState::Known(_));
        self.state = self.state.after(event);
        let is_known = matches!(self.state, IdentityState::Known(_));
        if is_known && !was_known {
            self.refusals = Refusals::default();
        }
        self.nameless.note(!is_known && self.is_idempotent(), now);
        self.arm(timers);
    }

    /// Sets the timers of the state.
    fn arm(&self, timers: &mut Timers) {
        let (identity, elsewhere) = match self.state {
            IdentityState::Off | IdentityState::Known(_) => (None, None),
            IdentityState::Asked { until, .. } => (until.map(Due::At), None),
            IdentityState::Wanted { not_before, .. } => {
                let due = not_before.map_or(Due::AtOnce, Due::At);
                (Some(due), self.refusals.elsewhere_until.map(Due::At))
            }
        };
        timers.set(Timer::Identity, identity);
        timers.set(Timer::Elsewhere, elsewhere);
    }

    /// A node gives no producer ids: it is no broker. No producer can do without, if it is so with all of them; but not
    /// before the cluster has said which they are.
    fn note_unable(&mut self, node: NodeId, why: &str, view: &ClusterView) -> Heard {
        self.refusals.unable.insert(node);
        let is_hopeless =
            !view.is_bootstrap() && view.brokers.keys().all(|broker| self.refusals.unable.contains(broker));
        match is_hopeless {
            true => Heard::Hopeless { code: ErrorCode::UNSUPPORTED_VERSION, why: Some(why.into()) },
            false => Heard::NotYet,
        }
    }

    /// A node answered with a code that no broker should give. Others are asked first.
    fn note_odd(&mut self, node: NodeId, code: ErrorCode, now: Instant) -> Heard {
        let refusals = &mut self.refusals;
        refusals.odd.insert(node);
        refusals.odd_answers += 1;
        refusals.elsewhere_until = now.checked_add(PATIENCE);
        match refusals.odd_answers >= MAX_UNEXPECTED {
            true => Heard::Hopeless { code, why: None },
            false => Heard::NotYet,
        }
    }
}

#[cfg(test)]
impl IdentityMachine {
    /// As if all that led to this state had happened.
    pub(super) fn set(&mut self, state: IdentityState) {
        self.state = state;
    }

    /// As if a producer id had just become wanted.
    pub(super) fn set_wanted(&mut self) {
        self.set(IdentityState::Wanted { not_before: None, failures: 0, old: None });
    }

    pub(super) fn state(&self) -> IdentityState {
        self.state
    }
}

/// The identity that an answer gives, if it gives one.
fn given(result: &CallResult<Reply>) -> Option<Identity> {
    match result {
        Ok(Answer::Reply { body: Reply::InitProducerId(response), .. }) if response.error_code.is_ok() => {
            Some(Identity { id: response.producer_id, epoch: response.producer_epoch })
        }
        _ => None,
    }
}

/// How often in a row brokers may answer a request for a producer id with a code that no broker should give, before that is
/// fatal: the first ones are asked elsewhere.
pub(super) const MAX_UNEXPECTED: u32 = 5;

/// How long a broker may take to give a producer id before another one is asked as well. It asks the controller for a block of
/// them now and then; a frozen broker answers never.
const PATIENCE: Duration = Duration::from_secs(2);
