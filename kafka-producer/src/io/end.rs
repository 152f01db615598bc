//! The ends of a producer: it is closed, its runtime is gone, a panic has torn its state, or the process is a fork.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{Arc, atomic::Ordering},
    task::Waker,
    time::{Duration, Instant},
};

use kafka_batch::{SendReason, wake_all};

use super::{ABORTED, CLOSED, Control, OPEN, Shared, now, unsent};
use crate::{
    delivery::{BatchResult, Outcome},
    error::{EndedBy, Failure, FailureKind, Persistence, Refusal},
    plane::gate::End,
};

impl Shared {
    /// Why nothing is accepted, if so. Looks whether this is another process by now, which costs a call of the system: not for
    /// each record or batch.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        let is_open = self.is_open() && !self.is_elsewhere();
        if is_open { None } else { Some(self.closed()) }
    }

    /// Why no batch is begun, if none is. As [`refusal`](Self::refusal), but for a fork in the last [`PROCESS_PAUSE`].
    pub(crate) fn batch_refusal(&self, now: Instant) -> Option<Refusal> {
        if self.is_open() && !self.process_looks.is_over(now) { None } else { self.refusal() }
    }

    /// Whether records are accepted, as far as is known.
    pub(crate) fn is_open(&self) -> bool {
        self.life.load(Ordering::Acquire) == OPEN
    }

    /// Why no record is accepted any more.
    pub(crate) fn closed(&self) -> Refusal {
        match self.ended_by.get() {
            Some(by @ (EndedBy::Panic | EndedBy::Fork | EndedBy::Runtime)) => Refusal::Closed(*by),
            Some(EndedBy::Handle) | None => {
                let control = self.lock("to see why the producer is closed");
                let why = control.sender.fatal_reason().cloned();
                let fatal = control.sender.fatal();
                fatal.map_or(Refusal::Closed(EndedBy::Handle), |code| Refusal::Fatal { code, why })
            }
        }
    }

    /// Accepts no more records; what was accepted goes on.
    pub(crate) fn close(&self) -> Vec<(Arc<Outcome>, u32)> {
        // First the flag, then each lane: an append that did not see the flag has its batch closed here.
        if self.life.compare_exchange(OPEN, CLOSED, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            let _ = self.ended_by.set(EndedBy::Handle);
        }
        let unresolved = self.flush(SendReason::Close);
        self.wake_waiting();
        self.signal.set();
        unresolved
    }

    /// Gives everything up that is not resolved.
    pub(crate) fn abort(&self, kind: FailureKind) {
        self.life.store(ABORTED, Ordering::Release);
        let _ = self.ended_by.set(match kind {
            FailureKind::Ended(by) => by,
            _ => EndedBy::Handle,
        });
        self.flush(SendReason::Close);
        self.with_control("to give everything up", |control, afterwards| {
            let now = now();
            control.sender.abort(kind, now);
            for lane in control.lanes.iter() {
                let batches = lane.lock().queue.drain_all(SendReason::Close);
                for batch in batches {
                    control.sender.give_up(lane.id, &unsent(&batch), kind, now);
                    afterwards.dropped.push(batch);
                }
            }
        });
        self.hang_up();
    }

    /// Gives everything up after a panic has left the state behind a lock half changed: nobody may go on with it.
    pub(crate) fn stop(&self) {
        self.mark_stopped();
        let mut owed = Vec::new();
        {
            let mut control = self.lock("to give everything up after a panic");
            self.tear_down(&mut control);
            for lane in control.lanes.iter() {
                let mut lane = lane.lock();
                lane.closed = true;
                // What is in the lane was never sent. Its queue may be the very thing that is torn.
                let queue = &mut lane.queue;
                let took = panic::catch_unwind(AssertUnwindSafe(|| {
                    let owed: Vec<_> = queue.tags().map(|(outcome, _)| Arc::clone(outcome)).collect();
                    (owed, queue.drain_all(SendReason::Close))
                }));
                owed.extend(took);
            }
        }
        for (outcomes, batches) in owed {
            for outcome in outcomes {
                resolve_unless_done(&outcome, EndedBy::Panic, Persistence::NotPersisted);
            }
            drop(batches);
        }
        // What the sender owed: the driver may be gone, or be the one who panicked.
        self.with_control("to tell what a panic has ended", |_, _| ());
        self.hang_up();
    }

    /// A lane is torn. Whether nobody has said so before.
    pub(super) fn mark_torn(&self) -> bool {
        !self.is_stopped.swap(true, Ordering::AcqRel)
    }

    /// From here on nothing is accepted or sent.
    fn mark_stopped(&self) {
        self.is_stopped.store(true, Ordering::Release);
        self.life.store(ABORTED, Ordering::Release);
        let _ = self.ended_by.set(EndedBy::Panic);
    }

    /// Empties a sender whose state is torn, but for what is owed: it is among its effects. Once.
    pub(super) fn tear_down(&self, control: &mut Control) {
        self.mark_stopped();
        control.sender.tear_down(FailureKind::Ended(EndedBy::Panic));
    }

    /// Whether this process is not the one that made the producer.
    pub(super) fn is_fork(&self) -> bool {
        (self.process)() != self.born_in
    }

    /// Whether this process is a fork, all of whose ends were seen to.
    pub(crate) fn is_elsewhere(&self) -> bool {
        let is_fork = self.is_fork();
        if is_fork {
            self.end_fork();
        }
        is_fork
    }

    /// Gives everything up in a fork of the process: its parent goes on with the same records, numbers and sockets.
    ///
    /// Threads of the parent that held a lock are not here to let go of it: what is locked is left alone.
    #[cold]
    pub(super) fn end_fork(&self) {
        if self.ended_by.set(EndedBy::Fork).is_err() && self.life.load(Ordering::Acquire) == ABORTED {
            return;
        }
        self.life.store(ABORTED, Ordering::Release);
        let Ok(mut control) = self.control.try_lock() else { return };
        let mut owed: Vec<Arc<Outcome>> =
            control.sender.unresolved().map(|(outcome, _)| Arc::clone(outcome)).collect();
        for lane in control.lanes.iter() {
            let Some(mut lane) = lane.try_lock() else { continue };
            lane.closed = true;
            owed.extend(lane.queue.tags().map(|(outcome, _)| Arc::clone(outcome)));
            // Its memory is a copy of the parent's. Nobody sends it from here.
            drop(lane.queue.drain_all(SendReason::Close));
        }
        control.sender.tear_down(FailureKind::Ended(EndedBy::Fork));
        let effects = control.sender.take_effects();
        drop((control, effects));
        // The parent sends what was accepted before, or has sent it.
        for outcome in owed {
            resolve_unless_done(&outcome, EndedBy::Fork, Persistence::PossiblyPersisted);
        }
    }

    /// Ends pumps, and wakes all who wait.
    fn hang_up(&self) {
        for gate in self.all_gates() {
            gate.end(End::Abort);
        }
        self.wake_waiting();
        self.signal.set();
    }

    /// Wakes those who wait for a topic or for memory, to see that the producer accepts nothing any more.
    fn wake_waiting(&self) {
        self.wake_topics();
        self.pool.wake_waiting();
    }

    /// The tasks have ended.
    pub(super) fn over(&self) {
        let wakers = {
            let mut control = self.lock("to say that all is over");
            control.is_over = true;
            control.closing.take_all()
        };
        wake_all(wakers);
        self.alarms.end();
    }

    /// Whether the tasks have ended; if not, the waker is kept under the key, which an earlier call gave.
    pub(crate) fn poll_over(&self, key: &mut Option<u64>, waker: &Waker) -> bool {
        // Foreign code: cloned before the lock is taken, and dropped after it unless it is kept.
        let mut waker = waker.clone();
        let mut control = self.lock("to wait for the end");
        if !control.is_over {
            control.closing.keep(key, &mut waker);
        }
        control.is_over
    }

    /// How many wait for the end.
    #[cfg(test)]
    pub(crate) fn closing(&self) -> usize {
        self.lock("to count").closing.len()
    }

    /// Waits for the end no longer.
    pub(crate) fn cancel_over(&self, key: u64) {
        let waker = self.lock("to wait for the end no longer").closing.cancel(key);
        drop(waker);
    }
}

/// So often batches look whether this is another process by now: a hundred times as long as the look takes, at least.
pub(super) const PROCESS_PAUSE: Duration = Duration::from_micros(100);

/// Gives a batch up whose state is lost.
fn resolve_unless_done(outcome: &Arc<Outcome>, by: EndedBy, persistence: Persistence) {
    if outcome.is_resolved() {
        return;
    }
    let (topic, partition) = (outcome.topic().clone(), outcome.partition());
    let failure = Failure::new(topic, partition, FailureKind::Ended(by), persistence);
    wake_all(outcome.resolve(BatchResult::Failed(Arc::new(failure))));
}
