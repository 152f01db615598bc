//! The ends of a producer: it is closed, its runtime is gone, a panic has torn its state, or the process is a fork.

use std::{
    mem,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use kafka_batch::SendReason;

use super::{Control, Plane, after::After, flush::Unresolved, gate::End};
use crate::{
    delivery::{BatchResult, Outcome},
    error::{EndedBy, Failure, FailureKind, Persistence, Refusal},
};

/// How far the life of a producer has come. It only ever goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Life {
    /// Records are accepted.
    Open,
    /// No more records; what was accepted goes on.
    Closed,
    /// Nothing goes on.
    Aborted,
}

impl Plane {
    pub(crate) fn life(&self) -> Life {
        match self.life.load(Ordering::Acquire) {
            0 => Life::Open,
            1 => Life::Closed,
            _ => Life::Aborted,
        }
    }

    /// Whether records are accepted, as far as is known.
    pub(crate) fn is_open(&self) -> bool {
        self.life() == Life::Open
    }

    /// Why nothing is accepted, if so. Looks whether this is another process by now, which costs a call of the system: not for
    /// each record or batch.
    pub(crate) fn refusal(&self, after: &mut After) -> Option<Refusal> {
        let is_open = self.is_open() && !self.is_elsewhere(after);
        if is_open { None } else { Some(self.closed()) }
    }

    /// Why no batch is begun, if none is. As [`refusal`](Self::refusal), but for a fork in the last [`PROCESS_PAUSE`].
    pub(super) fn batch_refusal(&self, now: Instant, after: &mut After) -> Option<Refusal> {
        if self.is_open() && !self.process_looks.is_over(now) { None } else { self.refusal(after) }
    }

    /// Why no record is accepted any more.
    pub(crate) fn closed(&self) -> Refusal {
        match self.ended_by.get() {
            Some(by @ (EndedBy::Panic | EndedBy::Fork | EndedBy::Runtime)) => Refusal::Closed(*by),
            Some(EndedBy::Handle) | None => {
                let control = self.control();
                let why = control.sender.fatal_reason().cloned();
                let fatal = control.sender.fatal();
                fatal.map_or(Refusal::Closed(EndedBy::Handle), |code| Refusal::Fatal { code, why })
            }
        }
    }

    /// Accepts no more records; what was accepted goes on. Gives what is unresolved.
    pub(crate) fn close(&self, now: Instant, after: &mut After) -> Unresolved {
        // First the flag, then each lane: an append that did not see the flag has its batch closed here.
        let (open, closed) = (Life::Open as u8, Life::Closed as u8);
        if self.life.compare_exchange(open, closed, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            let _ = self.ended_by.set(EndedBy::Handle);
        }
        let unresolved = self.flush_for(SendReason::Close, now, after);
        self.wake_waiting(after);
        after.call_driver();
        unresolved
    }

    /// Gives everything up that is not resolved.
    pub(crate) fn abort(&self, kind: FailureKind, now: Instant, after: &mut After) {
        self.life.store(Life::Aborted as u8, Ordering::Release);
        let _ = self.ended_by.set(match kind {
            FailureKind::Ended(by) => by,
            _ => EndedBy::Handle,
        });
        // Every lane is closed, so that none takes a batch after this.
        self.flush_for(SendReason::Close, now, after);
        self.locked(now, after, |control, after| {
            control.sender.abort(kind, now);
            self.give_up_lanes(control, kind, now, after);
        });
        self.hang_up(after);
    }

    /// Gives everything up after a panic has left the state behind a lock half changed: no call may go on with that state.
    pub(crate) fn stop(&self, after: &mut After) {
        self.is_untold.store(false, Ordering::Release);
        self.mark_stopped();
        let failed = |outcome: &Arc<Outcome>| failure(outcome, EndedBy::Panic, Persistence::NotPersisted);
        {
            let mut control = self.control();
            self.tear_down(&mut control);
            // What a panic kept from being told, and what the sender has given up since.
            control.sender.owe(mem::take(after.parts().0));
            self.settle_effects(&mut control, after);
            for lane in control.lanes.iter() {
                let mut lane = lane.lock();
                lane.closed = true;
                // What is in the lane was never sent. Its queue may be the very thing that is torn.
                let queue = &mut lane.queue;
                let took = panic::catch_unwind(AssertUnwindSafe(|| {
                    let owed: Vec<_> = queue.tags().map(|(outcome, _)| Arc::clone(outcome)).collect();
                    (owed, queue.drain_all(SendReason::Close))
                }));
                let Ok((owed, batches)) = took else { continue };
                for outcome in owed {
                    let result = failed(&outcome);
                    after.owe(outcome, result);
                }
                batches.into_iter().for_each(|batch| after.drop_batch(batch));
            }
        }
        self.hang_up(after);
    }

    /// Whether a panic was seen whose deliveries have no answer yet: in a lane, or in a question.
    pub(super) fn must_stop(&self, control: &Control) -> bool {
        let is_torn = control.lanes.is_torn() && !self.is_stopped.swap(true, Ordering::AcqRel);
        is_torn || self.is_untold.load(Ordering::Relaxed)
    }

    /// From here on nothing is accepted or sent.
    fn mark_stopped(&self) {
        self.is_stopped.store(true, Ordering::Release);
        self.life.store(Life::Aborted as u8, Ordering::Release);
        let _ = self.ended_by.set(EndedBy::Panic);
    }

    /// Empties a sender whose state is torn, but for what is owed: it is among its effects. Once.
    pub(super) fn tear_down(&self, control: &mut Control) {
        if !self.is_stopped.load(Ordering::Acquire) {
            self.is_untold.store(true, Ordering::Release);
        }
        self.mark_stopped();
        control.sender.tear_down(FailureKind::Ended(EndedBy::Panic));
    }

    /// Whether this process is not the one that made the producer. Costs a call of the system.
    pub(crate) fn is_fork(&self) -> bool {
        (self.process)() != self.born_in
    }

    /// Whether this process is a fork, all of whose ends were seen to.
    pub(crate) fn is_elsewhere(&self, after: &mut After) -> bool {
        let is_fork = self.is_fork();
        if is_fork {
            self.end_fork(after);
        }
        is_fork
    }

    /// Gives everything up in a fork of the process: its parent goes on with the same records, numbers and sockets.
    ///
    /// Threads of the parent that held a lock are not here to let go of it: what is locked is left alone.
    #[cold]
    pub(crate) fn end_fork(&self, after: &mut After) {
        if self.ended_by.set(EndedBy::Fork).is_err() && self.life() == Life::Aborted {
            return;
        }
        self.life.store(Life::Aborted as u8, Ordering::Release);
        let Ok(mut control) = self.control.try_lock() else { return };
        let mut owed: Vec<Arc<Outcome>> =
            control.sender.unresolved().map(|(outcome, _)| Arc::clone(outcome)).collect();
        for lane in control.lanes.iter() {
            let Some(mut lane) = lane.try_lock() else { continue };
            lane.closed = true;
            owed.extend(lane.queue.tags().map(|(outcome, _)| Arc::clone(outcome)));
            // Its memory is a copy of the parent's. Nobody sends it from here.
            lane.queue.drain_all(SendReason::Close).into_iter().for_each(|batch| after.drop_batch(batch));
        }
        control.sender.tear_down(FailureKind::Ended(EndedBy::Fork));
        let effects = control.sender.take_effects();
        drop((control, effects));
        // The parent sends what was accepted before, or has sent it.
        for outcome in owed {
            let result = failure(&outcome, EndedBy::Fork, Persistence::PossiblyPersisted);
            after.owe(outcome, result);
        }
    }

    /// Ends pumps, and wakes all who wait.
    fn hang_up(&self, after: &mut After) {
        for gate in self.all_gates() {
            after.wake(gate.ended(End::Abort));
        }
        self.wake_waiting(after);
        after.call_driver();
    }

    /// Wakes callers that wait for a topic or for memory, to see that the producer accepts nothing any more.
    fn wake_waiting(&self, after: &mut After) {
        self.wake_topics(&mut after.calls);
        after.wake_memory();
    }
}

/// The answer of a batch that is given up.
fn failure(outcome: &Arc<Outcome>, by: EndedBy, persistence: Persistence) -> BatchResult {
    let (topic, partition) = (outcome.topic().clone(), outcome.partition());
    BatchResult::Failed(Arc::new(Failure::new(topic, partition, FailureKind::Ended(by), persistence)))
}

/// So often batches look whether this is another process by now: a hundred times as long as the look takes, at least.
pub(super) const PROCESS_PAUSE: Duration = Duration::from_micros(100);
