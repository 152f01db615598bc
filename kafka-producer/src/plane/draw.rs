//! Which batches a pump takes from the lanes of its leader, and in which order: the same, whoever owns the lanes.

use std::{sync::Arc, time::Instant};

use kafka_batch::{DrainedBatch, PartitionQueue, ReadyIndex, Round, SendReason};

#[cfg(any(test, fuzzing))]
use crate::sender::Supply;
use crate::{delivery::Outcome, sender::LaneId};

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
            match lanes.visit(id, |queue| take(queue, |queue, draw| queue.take(draw.reason()))) {
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

/// Queues without an index, looked into in this order: for worlds of few lanes, in tests and under the fuzzer.
#[cfg(any(test, fuzzing))]
pub(crate) struct InOrder<'a>(Vec<(LaneId, &'a mut Queue)>);

#[cfg(any(test, fuzzing))]
impl<'a> InOrder<'a> {
    /// Of all lanes, in the order of their ids, those for which there is a queue.
    pub(crate) fn new(queues: impl Iterator<Item = Option<&'a mut Queue>>) -> Self {
        Self(queues.zip(0..).filter_map(|(queue, id)| Some((LaneId(id), queue?))).collect())
    }
}

#[cfg(any(test, fuzzing))]
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kafka_batch::{Limits, Pool, QueueSettings, Record};
    use kafka_wire::TopicName;

    use super::*;

    /// The lanes of one leader, nobody else's.
    struct Own {
        index: ReadyIndex<LaneId>,
        queues: Vec<Queue>,
    }

    impl Lanes for Own {
        fn index(&mut self) -> &mut ReadyIndex<LaneId> {
            &mut self.index
        }

        fn visit(&mut self, id: LaneId, take: impl FnOnce(&mut Queue) -> Taken) -> Option<Taken> {
            let queue = &mut self.queues[id.0 as usize];
            let taken = take(queue);
            self.index.update(id, queue.readiness());
            Some(taken)
        }
    }

    /// Lanes with one batch each, of values of these sizes: full ones, and those that linger for so many milliseconds.
    fn lanes(batches: &[(usize, Option<u64>)], now: Instant) -> Own {
        let pool = Pool::new(&Limits::DEFAULT);
        let mut own = Own { index: ReadyIndex::new(), queues: Vec::new() };
        for (size, linger) in batches {
            let linger = Duration::from_millis(linger.unwrap_or(1000));
            let mut queue = Queue::new(QueueSettings { linger, ..QueueSettings::default() });
            let make = || Arc::new(Outcome::new(TopicName::from("orders"), 0));
            let value = vec![0; *size];
            let record = Record { value: Some(&value), ..Record::default() };
            assert!(queue.append_slow(&record, now, &mut &pool, make).slot.is_ok());
            own.queues.push(queue);
        }
        for (id, (queue, (_, linger))) in (0..).map(LaneId).zip(own.queues.iter_mut().zip(batches)) {
            if linger.is_none() {
                queue.close(SendReason::Full);
            }
            own.index.update(id, queue.readiness());
        }
        own
    }

    /// The lanes that one request takes from, as far as `room` reaches.
    fn request(own: &mut Own, draw: Draw, mut room: usize) -> Vec<u32> {
        let mut round = own.index.round(draw.now);
        let mut taken = Vec::new();
        while let Some((id, batch)) = draw.next(own, &mut round, room, taken.is_empty(), &mut |_| true) {
            room = room.saturating_sub(batch.size());
            taken.push(id.0);
        }
        taken
    }

    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn draw() -> Draw {
        Draw { now: Instant::now(), pressure: false, takes_along: true }
    }

    #[test]
    fn what_does_not_fit_begins_the_next_request() {
        let draw = draw();
        // Small, large, small: with what goes on behind the large one, it would be passed over again and again.
        let mut own = lanes(&[(100, None), (900, None), (100, None), (100, None)], draw.now);
        assert_eq!(request(&mut own, draw, 1000), [0]);
        assert_eq!(request(&mut own, draw, 1000), [1]);
        assert_eq!(request(&mut own, draw, 1000), [2, 3]);
    }

    #[test]
    fn what_lingers_goes_along_the_longest_first_and_only_if_it_fits() {
        let draw = draw();
        let batches = [(100, Some(30)), (100, None), (100, Some(10)), (100, Some(20))];
        assert_eq!(request(&mut lanes(&batches, draw.now), draw, 10_000), [1, 2, 3, 0]);
        assert_eq!(request(&mut lanes(&batches, draw.now), draw, 600), [1, 2, 3]);
        let ahead = Draw { takes_along: false, ..draw };
        assert_eq!(request(&mut lanes(&batches, draw.now), ahead, 10_000), [1], "nothing is sent now");
        assert_eq!(request(&mut lanes(&batches[2..], draw.now), draw, 10_000), [0; 0], "nothing is ready");
        let pressed = Draw { pressure: true, ..ahead };
        assert_eq!(request(&mut lanes(&batches[2..], draw.now), pressed, 10_000), [0, 1], "nothing lingers");
    }
}
