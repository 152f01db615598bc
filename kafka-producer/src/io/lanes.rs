//! Lanes and gates: where records wait, and how the pumps hear of them.
//!
//! A [`Lane`] is one partition's queue behind one short lock. A [`Gate`] is what one broker's pump looks at: which of
//! the partitions it leads have something. Locks are taken in the order sender, gate, lane; an append lets go of the
//! lane before it tells the gate. What it tells is a hint that may be stale, and is never lost: whoever moves a lane
//! to another gate looks into the queue after the move.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    task::Waker,
    time::Instant,
};

use kafka_batch::{DrainedBatch, Edges, PartitionQueue, QueueSettings, ReadyIndex, SendReason};
use kafka_wire::{NodeId, TopicName};

use crate::{
    delivery::Outcome,
    sender::{LaneId, Supply},
    topic::TopicShared,
};

/// One partition's queue behind its lock.
pub(crate) struct Lane {
    pub(crate) id: LaneId,
    pub(crate) topic: TopicName,
    pub(crate) partition: i32,
    state: Mutex<LaneState>,
}

/// What the lock of a lane protects.
pub(crate) struct LaneState {
    pub(crate) queue: PartitionQueue<Arc<Outcome>>,
    /// The gate of the partition's leader, or the one of partitions without.
    pub(crate) gate: Arc<Gate>,
    /// No new batch is begun: the producer is closed.
    pub(crate) closed: bool,
}

impl Lane {
    pub(crate) fn new(
        id: LaneId,
        topic: TopicName,
        partition: i32,
        settings: QueueSettings,
        gate: Arc<Gate>,
        closed: bool,
    ) -> Self {
        let state = LaneState { queue: PartitionQueue::new(settings), gate, closed };
        Self { id, topic, partition, state: Mutex::new(state) }
    }

    /// For an append, or to move the lane to another gate.
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, LaneState> {
        // Nothing foreign runs under this lock, and the queue is whole between any two of its methods.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Tells the gate what an append changed. Neither this lane nor any other may be locked.
    pub(crate) fn tell(&self, gate: &Gate, edges: Edges) {
        if !edges.any() {
            return;
        }
        let waker = {
            let mut state = gate.lock();
            // Looked at again under both locks: two threads may come here in either order.
            let lane = self.lock();
            if !std::ptr::eq(Arc::as_ptr(&lane.gate), gate) {
                // Moved meanwhile; whoever moved it told the new gate.
                return;
            }
            state.index.update(self.id, lane.queue.readiness());
            drop(lane);
            state.waker_for(edges.full)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
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

/// What a broker's pump looks at.
pub(crate) struct Gate {
    pub(crate) node: NodeId,
    state: Mutex<GateState>,
}

/// What the lock of a gate protects.
#[derive(Default)]
pub(crate) struct GateState {
    pub(crate) index: ReadyIndex<LaneId>,
    waker: Option<Waker>,
    /// When the pump looks again by itself.
    armed: Armed,
    /// Rises with everything the pump should look at.
    pub(crate) told: u64,
    pub(crate) end: End,
}

/// When a pump looks at its gate again without being woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Armed {
    /// Never.
    #[default]
    Off,
    /// At this time.
    At(Instant),
    /// When its connection takes a call again: it is woken for nothing but that.
    Full,
}

/// Whether a pump goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum End {
    #[default]
    Open,
    /// Its broker is gone, or everything is resolved.
    Finish,
    /// Hang up at once.
    Abort,
}

impl Gate {
    pub(crate) fn new(node: NodeId) -> Arc<Self> {
        Arc::new(Self { node, state: Mutex::default() })
    }

    /// For the ready index, and to sleep or wake.
    pub(crate) fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a new pump begin where an old one has ended.
    pub(crate) fn reopen(&self) {
        self.lock().end = End::Open;
    }

    /// Wakes the pump, whatever it waits for.
    pub(crate) fn wake(&self) {
        let waker = self.lock().wakeup();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Ends the pump.
    pub(crate) fn end(&self, end: End) {
        if let Some(waker) = self.ended(end) {
            waker.wake();
        }
    }

    /// Ends the pump once its waker is run.
    #[must_use = "the pump must be woken to see it"]
    pub(crate) fn ended(&self, end: End) -> Option<Waker> {
        let mut state = self.lock();
        if state.end != End::Abort {
            state.end = end;
        }
        state.wakeup()
    }
}

impl GateState {
    /// The waker, for something that the pump must look at in any case.
    pub(crate) fn wakeup(&mut self) -> Option<Waker> {
        self.told += 1;
        self.waker.take()
    }

    /// The pump goes to sleep.
    pub(crate) fn sleep(&mut self, waker: &Waker, armed: Armed) {
        self.armed = armed;
        match &mut self.waker {
            Some(kept) => kept.clone_from(waker),
            kept => *kept = Some(waker.clone()),
        }
    }

    /// The waker, if the pump would not look in time by itself.
    pub(crate) fn waker_for(&mut self, full: bool) -> Option<Waker> {
        self.told += 1;
        let wake = match self.armed {
            Armed::Full => false,
            Armed::Off => true,
            Armed::At(time) => full || self.index.poll_timeout().is_some_and(|due| due < time),
        };
        if wake { self.waker.take() } else { None }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("node", &self.node).finish_non_exhaustive()
    }
}

/// Where each lane is: the partition's topic and its index there. Owned under the sender's lock.
#[derive(Debug, Default)]
pub(crate) struct LaneTable {
    lanes: Vec<(Arc<TopicShared>, u32)>,
}

impl LaneTable {
    /// The id of the next lane.
    pub(crate) fn push(&mut self, topic: &Arc<TopicShared>, partition: u32) -> LaneId {
        let id = LaneId(u32::try_from(self.lanes.len()).unwrap_or(u32::MAX));
        self.lanes.push((Arc::clone(topic), partition));
        id
    }

    pub(crate) fn get(&self, id: LaneId) -> Option<&Lane> {
        let (topic, partition) = self.lanes.get(id.0 as usize)?;
        topic.lane(*partition)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter().filter_map(|(topic, partition)| topic.lane(*partition))
    }
}

/// What one pump draws from, under the sender's lock.
pub(crate) struct Draw<'a> {
    pub(crate) lanes: &'a LaneTable,
    pub(crate) gate: &'a Gate,
    /// Someone waits for memory: nothing may linger.
    pub(crate) pressure: bool,
    /// What is drawn is sent now: what lingers may go along.
    pub(crate) takes_along: bool,
}

impl Supply for Draw<'_> {
    fn draw(
        &mut self,
        now: Instant,
        room: usize,
        alone: bool,
        admits: &mut dyn FnMut(LaneId) -> bool,
    ) -> Option<(LaneId, DrainedBatch<Arc<Outcome>>)> {
        let mut state = self.gate.lock();
        let mut round = state.index.round(now);
        while let Some(id) = state.index.next(&mut round) {
            if !admits(id) {
                continue;
            }
            let Some(lane) = self.lanes.get(id) else { continue };
            let mut guard = lane.lock();
            if !std::ptr::eq(Arc::as_ptr(&guard.gate), self.gate) {
                state.index.update(id, None);
                continue;
            }
            if !alone && guard.queue.next_size().is_some_and(|size| size > room) {
                state.index.begin_with(id);
                return None;
            }
            let batch = guard.queue.drain(now);
            state.index.update(id, guard.queue.readiness());
            if let Some(batch) = batch {
                return Some((id, batch));
            }
        }
        // What lingers goes along with a request that is made anyway; when somebody waits for memory, nothing lingers.
        let reason = match () {
            () if self.pressure => SendReason::Pressure,
            () if self.takes_along && !alone => SendReason::Piggyback,
            () => return None,
        };
        loop {
            let id = state.index.lingering_longest().find(|id| admits(*id))?;
            let lane = self.lanes.get(id)?;
            let mut guard = lane.lock();
            if !std::ptr::eq(Arc::as_ptr(&guard.gate), self.gate) {
                state.index.update(id, None);
                continue;
            }
            if !alone && guard.queue.next_size().is_some_and(|size| size > room) {
                return None;
            }
            let batch = guard.queue.take(now, reason);
            // Its place among those that linger is gone in any case, so that this ends.
            state.index.update(id, guard.queue.readiness());
            if let Some(batch) = batch {
                return Some((id, batch));
            }
        }
    }
}
