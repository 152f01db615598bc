//! Which batches a pump takes from the lanes of its leader, and in which order: the same, whoever owns the lanes.

use std::{sync::Arc, time::Instant};

use kafka_batch::{DrainedBatch, PartitionQueue, ReadyIndex, Round, SendReason};

use crate::{
    delivery::Outcome,
    sender::{LaneId, Supply},
};

type Queue = PartitionQueue<Arc<Outcome>>;
type Batch = DrainedBatch<Arc<Outcome>>;

/// The lanes of one leader, and the index of what is ready in them.
pub(crate) trait Lanes {
    fn index(&mut self) -> &mut ReadyIndex<LaneId>;

    /// Has `take` look into a lane's queue, and tells the index what is there afterwards if it has changed. None if
    /// the lane is another leader's.
    fn visit(&mut self, id: LaneId, take: impl FnOnce(&mut Queue) -> Taken) -> Option<Taken>;
}

/// What a look into a queue gave.
pub(crate) enum Taken {
    Batch(Batch),
    /// The next batch does not fit. Nothing was changed.
    TooLarge,
    Nothing,
}

impl Taken {
    /// Whether the queue is not what it was.
    pub(crate) fn is_change(&self) -> bool {
        !matches!(self, Self::TooLarge)
    }
}

/// What is drawn, and why.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw {
    pub(crate) now: Instant,
    /// Someone waits for memory: nothing may linger.
    pub(crate) pressure: bool,
    /// What is drawn is sent now: what lingers may go along.
    pub(crate) takes_along: bool,
}

impl Draw {
    /// The next batch, as [`Supply::draw`] has it: ready ones of each lane in turn, then what lingers, longest first.
    pub(crate) fn next(
        self,
        lanes: &mut impl Lanes,
        round: &mut Round<LaneId>,
        room: usize,
        alone: bool,
        admits: &mut dyn FnMut(LaneId) -> bool,
    ) -> Option<(LaneId, Batch)> {
        let take = |queue: &mut Queue, from: fn(&mut Queue, Self) -> Option<Batch>| {
            if !alone && queue.next_size().is_some_and(|size| size > room) {
                return Taken::TooLarge;
            }
            from(queue, self).map_or(Taken::Nothing, Taken::Batch)
        };
        while let Some(id) = lanes.index().next(round) {
            if !admits(id) {
                continue;
            }
            match lanes.visit(id, |queue| take(queue, |queue, draw| queue.drain(draw.now))) {
                Some(Taken::Batch(batch)) => return Some((id, batch)),
                Some(Taken::TooLarge) => {
                    lanes.index().begin_with(id);
                    return None;
                }
                Some(Taken::Nothing) => {}
                None => lanes.index().update(id, None),
            }
        }
        // What lingers goes along with a request that is made anyway; when somebody waits for memory, nothing lingers.
        if !self.pressure && (!self.takes_along || alone) {
            return None;
        }
        loop {
            let id = lanes.index().lingering_longest().find(|id| admits(*id))?;
            match lanes.visit(id, |queue| take(queue, |queue, draw| queue.take(draw.now, draw.reason()))) {
                Some(Taken::Batch(batch)) => return Some((id, batch)),
                Some(Taken::TooLarge) => return None,
                // Its place among those that linger is gone in any case, so that this ends.
                Some(Taken::Nothing) => {}
                None => lanes.index().update(id, None),
            }
        }
    }

    fn reason(self) -> SendReason {
        if self.pressure { SendReason::Pressure } else { SendReason::Piggyback }
    }
}

/// Queues without an index, looked into in this order: for those who have few.
pub(crate) struct InOrder<'a>(Vec<(LaneId, &'a mut Queue)>);

impl<'a> InOrder<'a> {
    /// Of all lanes, in the order of their ids, those for which there is a queue.
    pub(crate) fn new(queues: impl Iterator<Item = Option<&'a mut Queue>>) -> Self {
        Self(queues.zip(0..).filter_map(|(queue, id)| Some((LaneId(id), queue?))).collect())
    }
}

impl Supply for InOrder<'_> {
    fn draw(
        &mut self,
        now: Instant,
        room: usize,
        alone: bool,
        admits: &mut dyn FnMut(LaneId) -> bool,
    ) -> Option<(LaneId, Batch)> {
        let fits = |queue: &Queue| alone || queue.next_size().is_none_or(|size| size <= room);
        let mut queues = self.0.iter_mut().filter(|(id, queue)| fits(queue) && admits(*id));
        queues.find_map(|(id, queue)| Some((*id, queue.drain(now)?)))
    }
}
