//! [`After`]: what the engine leaves to be done outside, where no lock is held.
//!
//! Owner: the caller of the engine, which keeps it for the next call, so that its lists are not allocated for each request. The
//! engine fills it under its locks. Carrying it out may happen on any thread and in any order with those of other calls: what
//! must keep its order (which partition is led by whom, which gate is open) was done under the sender's lock.
//!
//! Invariant: an `After` is empty when it is dropped. One that is not would leave deliveries without an answer.

use std::{mem, sync::Arc, task::Waker};

use kafka_batch::{DrainedBatch, wake_all};
use kafka_wire::NodeId;

use super::Plane;
use crate::{
    delivery::{BatchResult, Outcome},
    planted::planted,
    sender::{Drained, Effects, Resolution, SplitJob},
};

/// What is left to do outside after a call of the engine.
#[derive(Default)]
#[must_use = "deliveries wait for what is in here: carry it out"]
pub(crate) struct After {
    pub(super) calls: Calls,
    /// All that a batch which is begun does not lead to: made when it is first needed, and kept.
    more: Option<Box<More>>,
    /// Something is in here.
    any: bool,
}

/// What is left to do, besides calls.
#[derive(Default)]
struct More {
    /// What the sender wants. Its lists are drained here.
    effects: Effects,
    /// Batches that were given up before they were sent. Dropped, they give their memory back.
    dropped: Vec<DrainedBatch<Arc<Outcome>>>,
    /// Batches to be sealed with a codec.
    sealing: Vec<Drained>,
    /// Batches whose state a panic has torn: their answer may have been given.
    torn: Vec<Resolution>,
    /// Callers that wait for memory are to look whether the producer still takes records.
    wakes_memory: bool,
}

/// Pumps, callers and the driver, which are to be woken.
#[derive(Default)]
pub(super) struct Calls {
    /// Who calls the engine, and need not be called.
    pub(super) caller: Caller,
    /// Pumps and callers to be woken: the first of them without an allocation, since most calls have one at most.
    waker: Option<Waker>,
    wakers: Vec<Waker>,
    /// The driver is to take its turn.
    pub(super) turn_due: bool,
}

/// Who calls the engine.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    #[default]
    Anyone,
    /// The pump of this node, which looks again by itself and needs no waking.
    Pump(NodeId),
    /// The driver in its turn, which looks at everything after that.
    Driver,
}

/// Work on a batch that takes long: for a thread of its own, where no lock is held.
pub(crate) enum Job {
    Seal(Drained),
    Split(SplitJob),
}

impl After {
    pub(crate) fn new(caller: Caller) -> Self {
        let mut after = Self::default();
        after.calls.caller = caller;
        after
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.any
    }

    /// A pump or a caller is to be woken.
    pub(super) fn wake(&mut self, wakers: impl IntoIterator<Item = Waker>) {
        self.calls.wake(wakers);
        self.any |= self.calls.waker.is_some();
    }

    /// A pump is to be woken, if there is one. For appends: most wake nobody.
    #[inline]
    pub(super) fn wake_pump(&mut self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.wake([waker]);
        }
    }

    /// The driver is to take its turn.
    pub(super) fn call_driver(&mut self) {
        (self.calls.turn_due, self.any) = (true, true);
    }

    fn more(&mut self) -> &mut More {
        self.any = true;
        self.more.get_or_insert_default()
    }

    /// What the sender wants, and who is to be called.
    pub(super) fn parts(&mut self) -> (&mut Effects, &mut Calls) {
        self.any = true;
        (&mut self.more.get_or_insert_default().effects, &mut self.calls)
    }

    /// Batches that were given up before they were sent.
    pub(super) fn drop_batch(&mut self, batch: DrainedBatch<Arc<Outcome>>) {
        self.more().dropped.push(batch);
    }

    /// Batches are to be sealed elsewhere.
    pub(super) fn seal(&mut self, drained: &mut Vec<Drained>) {
        if !drained.is_empty() {
            self.more().sealing.append(drained);
        }
    }

    /// A batch whose state is lost has this answer, unless it has one.
    pub(super) fn owe(&mut self, outcome: Arc<Outcome>, result: BatchResult) {
        self.more().torn.push(Resolution { outcome, result });
    }

    /// Callers that wait for memory are to look whether the producer still takes records.
    pub(super) fn wake_memory(&mut self) {
        self.more().wakes_memory = true;
    }

    /// A batch has its answer.
    #[cfg(test)]
    pub(crate) fn resolve(&mut self, outcome: Arc<Outcome>, result: BatchResult) {
        self.more().effects.resolved.push(Resolution { outcome, result });
    }

    /// Answers that are to be given.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn resolved(&self) -> impl Iterator<Item = &Resolution> {
        self.more.iter().flat_map(|more| &more.effects.resolved)
    }

    /// Carries everything out, but for jobs, which are handed to `work`. True if the driver is to take its turn.
    ///
    /// Wakers are foreign code, which may call the engine again: no lock may be held.
    pub(crate) fn carry_out(&mut self, plane: &Plane, work: impl FnMut(Job)) -> bool {
        if !mem::take(&mut self.any) {
            return false;
        }
        if let Some(more) = &mut self.more {
            more.give_answers();
        }
        wake_all(self.calls.waker.take());
        wake_all(self.calls.wakers.drain(..));
        if let Some(more) = &mut self.more {
            more.carry_out(plane, work);
        }
        mem::take(&mut self.calls.turn_due) && self.calls.caller != Caller::Driver
    }
}

impl More {
    fn give_answers(&mut self) {
        for resolution in self.effects.resolved.drain(..) {
            let wakers = resolution.outcome.resolve(resolution.result);
            wake_all(wakers.into_iter().filter(|_| !planted!(SilentResolve)));
        }
        for Resolution { outcome, result } in self.torn.drain(..) {
            if !outcome.is_resolved() {
                wake_all(outcome.resolve(result));
            }
        }
    }

    fn carry_out(&mut self, plane: &Plane, mut work: impl FnMut(Job)) {
        if mem::take(&mut self.wakes_memory) {
            plane.pool.wake_waiting();
        }
        // The last reference to a batch gives its memory back, which may wake those who wait for it.
        if planted!(ReleasedKept) {
            mem::forget((mem::take(&mut self.effects.released), mem::take(&mut self.dropped)));
        }
        self.effects.released.clear();
        self.dropped.clear();
        self.sealing.drain(..).for_each(|drained| work(Job::Seal(drained)));
        self.effects.splits.drain(..).for_each(|job| work(Job::Split(job)));
        for event in self.effects.events.drain(..) {
            event.log();
        }
        self.effects.reset();
    }
}

impl Calls {
    pub(super) fn wake(&mut self, wakers: impl IntoIterator<Item = Waker>) {
        for waker in wakers {
            if self.waker.is_none() {
                self.waker = Some(waker);
            } else {
                self.wakers.push(waker);
            }
        }
    }
}

impl Drop for After {
    fn drop(&mut self) {
        debug_assert!(
            self.is_empty() || std::thread::panicking(),
            "what the engine left was not carried out"
        );
    }
}
