//! Lanes: where records wait, and how the pumps hear of them.
//!
//! A [`Lane`] is one partition's queue behind one short lock. Locks are taken in the order sender, gate, lane; an append
//! lets go of the lane before it tells the [`Gate`]. What it tells is a hint that may be stale, and is never lost: whoever
//! moves a lane to another gate looks into the queue after the move.

use std::{
    cell::Cell,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::Waker,
    time::Instant,
};

use kafka_batch::{DrainedBatch, Edges, PartitionQueue, Pool, ReadyIndex, Round};
use kafka_wire::TopicName;

use super::{
    draw::{Draw, Lanes, Taken},
    gate::{Gate, GateGuard, GateState},
    topic::TopicShared,
};
use crate::{
    delivery::Outcome,
    planted::planted,
    sender::{LaneId, Supply},
};

/// One partition's queue behind its lock.
pub(crate) struct Lane {
    pub(crate) id: LaneId,
    pub(crate) topic: TopicName,
    pub(crate) partition: i32,
    /// How many batches wait here, as last reported; and whether their broker takes none.
    load: AtomicU32,
    is_stalled: AtomicBool,
    state: Mutex<LaneState>,
}

/// What the lock of a lane protects.
pub(crate) struct LaneState {
    pub(crate) queue: PartitionQueue<Arc<Outcome>>,
    /// The gate of the partition's leader, or the one of partitions without.
    pub(crate) gate: Arc<Gate>,
    /// No new batch is begun: the producer is closed.
    pub(crate) closed: bool,
    /// No new batch is begun: the topic was made again, and does not have the partition any more.
    pub(crate) is_gone: bool,
}

impl Lane {
    pub(crate) fn new(
        id: LaneId,
        topic: TopicName,
        partition: i32,
        queue: PartitionQueue<Arc<Outcome>>,
        gate: Arc<Gate>,
        closed: bool,
    ) -> Self {
        let state = LaneState { queue, gate, closed, is_gone: false };
        let (load, is_stalled) = (AtomicU32::new(0), AtomicBool::new(false));
        Self { id, topic, partition, load, is_stalled, state: Mutex::new(state) }
    }

    /// For an append, to move the lane to another gate, or to end it. What a panic has left here is not looked for with each
    /// record, which would cost each: nothing of it leaves the lane, and it is found when the next batch is due or begun.
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, LaneState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For an append that looks whether the lane is whole. None if a panic has left half of one here: see
    /// [`is_torn`](Self::is_torn).
    pub(crate) fn lock_whole(&self) -> Option<MutexGuard<'_, LaneState>> {
        self.state.lock().ok()
    }

    /// For an append that can go elsewhere.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, LaneState>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// A panic has left the queue half changed. Nothing of it may be sent: whoever sees it ends the producer.
    pub(crate) fn is_torn(&self) -> bool {
        self.state.is_poisoned()
    }

    /// Tells the gate's index what the queue has now, and those who choose partitions how much.
    pub(crate) fn report(&self, gate: &mut GateState, lane: &LaneState) {
        gate.index.update(self.id, lane.queue.readiness());
        let batches = u32::try_from(lane.queue.batches()).unwrap_or(u32::MAX);
        self.load.store(batches, Ordering::Relaxed);
    }

    /// How many batches wait here; none if their broker takes nothing.
    pub(crate) fn load(&self) -> Option<u32> {
        let is_stalled = self.is_stalled.load(Ordering::Relaxed);
        (!is_stalled).then(|| self.load.load(Ordering::Relaxed))
    }

    /// Its broker takes nothing, or does again.
    pub(crate) fn set_stalled(&self, is_stalled: bool) {
        self.is_stalled.store(is_stalled, Ordering::Relaxed);
    }

    /// Tells the gate what an append changed, and gives who is to be woken for it. Neither this lane nor any other may be locked.
    ///
    /// A batch that is begun while somebody waits for memory must not linger: who waited first was granted the last of it, and
    /// the others have told all gates before there was this batch. Looked at under the gate's lock: whoever begins to wait
    /// later tells the gate after this.
    #[must_use = "the pump must be woken to see it"]
    pub(crate) fn tell(&self, gate: &Gate, edges: Edges, pool: &Pool) -> Option<Waker> {
        if !edges.any() {
            return None;
        }
        let mut state = gate.lock();
        // Looked at again under both locks: two threads may come here in either order.
        let lane = self.lock();
        if !std::ptr::eq(Arc::as_ptr(&lane.gate), gate) {
            // Moved meanwhile; whoever moved it told the new gate.
            return None;
        }
        self.report(&mut state, &lane);
        drop(lane);
        let presses = edges.first && pool.waiting() > 0 && !planted!(PressureUnheard);
        state.waker_for(edges.full || presses).filter(|_| !planted!(DeafPump))
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane")
            .field("topic", &self.topic)
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}

/// Where each lane is: the partition's topic and its index there. Owned under the sender's lock.
#[derive(Debug, Default)]
pub(crate) struct LaneTable {
    lanes: Vec<(Arc<TopicShared>, u32)>,
    /// Somebody looked for a lane that is torn.
    is_torn: Cell<bool>,
}

impl LaneTable {
    /// The id of the next lane.
    pub(crate) fn push(&mut self, topic: &Arc<TopicShared>, partition: u32) -> LaneId {
        let id = LaneId(u32::try_from(self.lanes.len()).unwrap_or(u32::MAX));
        self.lanes.push((Arc::clone(topic), partition));
        id
    }

    /// A lane that is whole.
    pub(crate) fn get(&self, id: LaneId) -> Option<&Lane> {
        let (topic, partition) = self.lanes.get(id.0 as usize)?;
        let lane = topic.lane(*partition)?;
        if lane.is_torn() {
            self.is_torn.set(true);
            return None;
        }
        Some(lane)
    }

    /// Whether somebody has looked for a lane that is torn.
    pub(crate) fn is_torn(&self) -> bool {
        self.is_torn.get()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter().filter_map(|(topic, partition)| topic.lane(*partition))
    }
}

/// What one pump draws from, under the sender's lock: one round over what is ready, under one lock of the gate.
pub(crate) struct GateDraw<'a> {
    open: OpenGate<'a>,
    round: Round<LaneId>,
    draw: Draw,
}

/// The lanes of a gate that is locked.
struct OpenGate<'a> {
    lanes: &'a LaneTable,
    gate: &'a Gate,
    state: GateGuard<'a>,
}

impl<'a> GateDraw<'a> {
    pub(crate) fn new(lanes: &'a LaneTable, gate: &'a Gate, draw: Draw) -> Self {
        let mut state = gate.lock();
        let round = state.index.round(draw.now);
        Self { open: OpenGate { lanes, gate, state }, round, draw }
    }

    /// Whether a batch has waited too long to be drawn.
    pub(crate) fn has_expired(&self) -> bool {
        self.open.state.index.first_expiry().is_some_and(|expiry| expiry <= self.draw.now)
    }
}

impl Lanes for OpenGate<'_> {
    fn index(&mut self) -> &mut ReadyIndex<LaneId> {
        &mut self.state.index
    }

    fn visit(
        &mut self,
        id: LaneId,
        take: impl FnOnce(&mut PartitionQueue<Arc<Outcome>>) -> Taken,
    ) -> Option<Taken> {
        let lane = self.lanes.get(id)?;
        let mut guard = lane.lock();
        if !std::ptr::eq(Arc::as_ptr(&guard.gate), self.gate) {
            return None;
        }
        let taken = take(&mut guard.queue);
        if taken.is_change() {
            lane.report(&mut self.state, &guard);
        }
        Some(taken)
    }
}

impl Supply for GateDraw<'_> {
    fn draw(
        &mut self,
        now: Instant,
        room: usize,
        alone: bool,
        admits: &mut dyn FnMut(LaneId) -> bool,
    ) -> Option<(LaneId, DrainedBatch<Arc<Outcome>>)> {
        debug_assert_eq!(now, self.draw.now, "a round is of one moment");
        self.draw.next(&mut self.open, &mut self.round, room, alone, admits)
    }
}

#[cfg(test)]
mod tests {
    use kafka_batch::{Readiness, Wait};

    use std::{
        sync::atomic::AtomicUsize,
        task::{Wake, Waker},
        time::Duration,
    };

    use kafka_wire::NodeId;

    use super::*;

    /// A waker that looks, when the last of it is dropped, whether the gate is locked.
    struct Leaves(Arc<Gate>, Arc<AtomicUsize>);

    impl Wake for Leaves {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for Leaves {
        fn drop(&mut self) {
            let is_free = !self.0.is_locked();
            self.1.fetch_add(if is_free { 1 } else { 1_000 }, Ordering::Relaxed);
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn a_pumps_waker_is_not_dropped_under_the_lock() {
        let (now, gate, dropped) = (Instant::now(), Gate::new(NodeId(1)), Arc::new(AtomicUsize::new(0)));
        let waker = || Waker::from(Arc::new(Leaves(Arc::clone(&gate), Arc::clone(&dropped))));
        let glance = gate.glance(now).expect("it is open");
        assert_eq!(gate.rest(glance, None, now, &waker()), Some(None));
        assert_eq!(gate.rest(glance, None, now, &waker()), Some(None));
        assert_eq!(dropped.load(Ordering::Relaxed), 1, "the second one has its place");
        gate.wake();
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
        assert_eq!(gate.rest(glance, None, now, &waker()), None, "there is something new");
        assert_eq!(dropped.load(Ordering::Relaxed), 3);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn a_broker_is_stalled_once_something_was_due_for_too_long_and_no_longer_when_it_takes_something() {
        let (zero, timeout) = (Instant::now(), Duration::from_millis(100));
        let at = |millis| zero + Duration::from_millis(millis);
        let shared = Gate::new(NodeId(1));
        let see = |now| shared.lock().see_to_stall(timeout, now);
        assert!(!see(at(0)), "nothing is due");
        assert!(!see(at(5000)), "and was not for long");
        let due = Readiness { wait: Wait::Ready, expires_at: at(120_000) };
        shared.lock().index.update(LaneId(0), Some(due));
        assert!(!see(at(5010)));
        assert!(!see(at(5110)));
        assert!(see(at(5111)));
        assert!(shared.glance(at(5115)).is_ok());
        assert!(!see(at(5120)));
        assert!(see(at(5300)));
        shared.lock().index.update(LaneId(0), None);
        assert!(!see(at(5301)));
    }
}
